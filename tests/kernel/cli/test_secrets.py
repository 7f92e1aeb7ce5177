import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli import main
from switchgear_plugins.encrypted.keys import VARIABLE

OLD, NEW = "1" * 64, "2" * 64
CREDENTIAL = """
[credentials.c]
type = "openai"
source = { backend = "encrypted", values = { api_key = { env = "PROVIDER_KEY" } } }

[providers.p]
type = "openai"
credential_id = "c"

[models.m]
provider_id = "p"
provider_model = "m"
"""


def run(*arguments: str, keys: str) -> Result:
    environ = {VARIABLE: keys, "PROVIDER_KEY": "sk-canary-0123456789"}
    return CliRunner().invoke(main, [*arguments, "--data-dir", "data"], env=environ, catch_exceptions=False)


def test_after_a_rotation_the_old_master_key_is_needed_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("resources.toml").write_text(CREDENTIAL)
    assert 0 == run("apply", "-f", "resources.toml", keys=OLD).exit_code
    rotated = run("secrets", "rotate", "--json", keys=f"{NEW},{OLD}")
    assert {"resealed": 1} == json.loads(rotated.stdout)
    assert "0 resources" in run("secrets", "rotate", keys=f"{NEW},{OLD}").output
    [target] = json.loads(run("explain", "m", "--json", keys=NEW).stdout)["targets"]
    assert target["credential"]


def test_without_a_sealer_it_says_what_to_enable(run):
    memory = {"SWITCHGEAR__PLUGINS__MEMORY__ENABLED": "true", "SWITCHGEAR__PLUGINS__MEMORY__STORE": "true"}
    result = run("secrets", "rotate", environ=memory)
    assert 2 == result.exit_code
    assert "plugins enable" in result.stderr
