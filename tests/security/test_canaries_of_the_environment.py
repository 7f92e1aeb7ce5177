"""Secrets of plugins.toml and the environment are in nothing that a command says, whatever is wrong with them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORD = "canary0word"
COMMANDS = ("config show --origin", "config check", "doctor", "db status", "keys list")
GOOD = {
    "DATABASE_URL": f"postgresql://user:{WORD}@127.0.0.1:1/db?sslmode=disable",
    "REDIS_URL": f"redis://:{WORD}@127.0.0.1:1/0",
    "ADMIN_KEY": f"{WORD}1234567890",
    "SWITCHGEAR_MASTER_KEY": "0123456789abcdef" * 4,
}
BAD = {
    "no database": {"DATABASE_URL": f"postgres//user:{WORD}@127.0.0.1/db"},
    "a percent": {"DATABASE_URL": f"postgresql://user:{WORD}%zz@127.0.0.1/db"},
    "an option": {"DATABASE_URL": f"postgresql://127.0.0.1/db?passwd={WORD}"},
    "a slash": {"DATABASE_URL": "", "REDIS_URL": f"redis://:{WORD}/x@127.0.0.1/0"},
    "no scheme": {"DATABASE_URL": "", "REDIS_URL": WORD},
    "a bracket": {"DATABASE_URL": "", "REDIS_URL": f"redis://:{WORD}@[::1/0"},
    "a master key": {"DATABASE_URL": "", "SWITCHGEAR_MASTER_KEY": WORD},
    "an admin key": {"DATABASE_URL": "", "ADMIN_KEY": f" {WORD}\u0436\n"},
}


def said(directory: Path, command: str, environ: dict[str, str]) -> str:
    data = {"HOME": str(directory), "SWITCHGEAR__GATEWAY__DATA_DIR": str(directory / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "switchgear", *command.split()],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **data, **environ},
        cwd=directory, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("what", [None, *BAD])
def test_what_is_said_of_the_configuration_quotes_no_secret(tmp_path: Path, what: str | None) -> None:
    environ = {name: value for name, value in (GOOD | BAD.get(what or "", {})).items() if value}
    for command in COMMANDS if what is None else COMMANDS[1:3]:
        text = said(tmp_path, command, environ)
        assert text
        assert WORD not in text, (command, text)
    assert [] == [file for file in tmp_path.rglob("*") if file.is_file() and WORD.encode() in file.read_bytes()]
