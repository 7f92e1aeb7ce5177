import base64
import os
import stat
import subprocess
import sys

import pytest

from switchgear import NoSettings
from switchgear.ambient import Ambient
from switchgear.errors import PluginError
from switchgear.testing.context import PluginContext
from switchgear_plugins.encrypted import keys
from switchgear_plugins.encrypted.plugin import EncryptedPlugin

RAW = bytes(range(200, 232))
B64 = base64.b64encode(RAW).decode()
OTHER = base64.b64encode(b"x" * 32).decode()


def load(directory, text=""):
    return keys.load({keys.VARIABLE: text}, directory, Ambient())


@pytest.mark.parametrize(
    "text", [B64, B64.rstrip("="), base64.urlsafe_b64encode(RAW).decode(), RAW.hex(), RAW.hex().upper(), f"  {B64}\n"]
)
def test_a_key_is_read_in_each_documented_form(text):
    assert RAW == keys.parse(text, "here")


@pytest.mark.parametrize(
    "text", ["hunter2", "a" * 63, "ä" * 44, base64.b64encode(b"x" * 31).decode(), "x" * 44 + "!", "="]
)
def test_anything_else_is_refused_saying_where_and_what_it_must_be_and_not_what_it_is(text):
    with pytest.raises(PluginError, match=r"in here .*32 bytes as base64, base64url or 64 hex digits") as caught:
        keys.parse(text, "here")
    assert text == "=" or text not in str(caught.value)


def test_without_a_key_one_is_made_that_only_its_owner_may_read(tmp_path):
    made = load(tmp_path)
    assert 0o600 == stat.S_IMODE((tmp_path / "master.key").stat().st_mode)
    assert made == load(tmp_path)
    assert ["master.check", "master.key"] == sorted(file.name for file in tmp_path.iterdir())
    assert made[0].value not in (tmp_path / "master.check").read_bytes()
    assert "value" not in repr(made)


def test_the_environment_comes_first_and_the_file_still_opens(tmp_path):
    from_file = load(tmp_path)[0]
    assert [keys.MasterKey.of(RAW), from_file] == list(load(tmp_path, B64))


def test_with_a_key_in_the_environment_no_file_is_made(tmp_path):
    assert [RAW, b"x" * 32] == [key.value for key in load(tmp_path, f"{B64}, {OTHER},")]
    assert ["master.check"] == [file.name for file in tmp_path.iterdir()]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_file_others_may_read_is_refused(tmp_path, mode):
    load(tmp_path)
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(PluginError, match="chmod 600"):
        load(tmp_path)


def test_a_wrong_key_is_refused_saying_what_to_do_and_the_right_one_is_still_taken(tmp_path):
    load(tmp_path, B64)
    with pytest.raises(PluginError, match=r"not among the keys given .*NEW_KEY,OLD_KEY.*delete .*master\.check"):
        load(tmp_path, OTHER)
    assert RAW == load(tmp_path, B64)[0].value


def test_a_key_is_changed_by_giving_both_and_then_the_new_one(tmp_path):
    load(tmp_path, B64)
    load(tmp_path, f"{OTHER},{B64}")
    load(tmp_path, OTHER)
    with pytest.raises(PluginError):
        load(tmp_path, B64)


def test_a_lost_key_file_is_noticed(tmp_path):
    load(tmp_path)
    (tmp_path / "master.key").unlink()
    with pytest.raises(PluginError, match=r"is missing: set SWITCHGEAR_MASTER_KEY or bring back .*master\.key"):
        load(tmp_path)
    assert not (tmp_path / "master.key").exists()


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    script = (
        "import sys, pathlib; from switchgear.ambient import Ambient; from switchgear_plugins.encrypted import keys;"
        "sys.stdin.read(1); print(keys.load({}, pathlib.Path(sys.argv[1]) / 'new', Ambient())[0].value.hex())"
    )
    for round in range(3):
        directory = tmp_path / str(round)
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        for process in started:
            process.stdin.write("g")
            process.stdin.flush()
        answers = [process.communicate(timeout=30)[0].strip() for process in started]
        assert [0] * 4 == [process.returncode for process in started]
        assert 1 == len(set(answers))
        assert 64 == len(answers[0])
        assert ["master.check", "master.key"] == sorted(file.name for file in (directory / "new").iterdir())


def test_the_plugin_starts_without_importing_cryptography_and_seals(tmp_path):
    script = (
        "import asyncio, pathlib, sys; from switchgear import NoSettings; from switchgear_plugins.encrypted.plugin import *;"
        "from switchgear.testing.context import PluginContext;"
        "p = EncryptedPlugin(NoSettings(), PluginContext('encrypted', pathlib.Path(sys.argv[1]))); asyncio.run(p.start());"
        "print(any(m.startswith('cryptography') for m in sys.modules));"
        "b = p.switchgear_credential_backends()[0].factory(); print(b.unseal(b.seal('s', context='c'), context='c'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != keys.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True, env=environment
    )
    assert ["False", "s"] == done.stdout.split()


async def test_the_plugin_refuses_to_start_with_a_wrong_key(tmp_path, monkeypatch):
    load(tmp_path, B64)
    monkeypatch.setenv(keys.VARIABLE, OTHER)
    with pytest.raises(PluginError, match="not among"):
        await EncryptedPlugin(NoSettings(), PluginContext("encrypted", tmp_path)).start()
