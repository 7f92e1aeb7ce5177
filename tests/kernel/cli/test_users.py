import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli import main


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data-dir", "data"], input=typed)


def test_users_are_added_listed_and_given_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    added = run("users", "add", "ann", typed="a long password\n")
    assert (0, True) == (added.exit_code, "ann is owner of administrators" in added.output), added.output
    assert 0 != run("users", "add", "bob", typed="short\n").exit_code
    assert 0 != run("users", "add", "ANN", typed="a long password\n").exit_code
    [ann] = json.loads(run("users", "list", "--json").stdout)
    assert ("ann", "administrators", "owner") == (ann["username"], ann["team_id"], ann["role"])
    assert "ann" in run("users", "list").stdout
    assert 0 == run("users", "passwd", "Ann", typed="another password\n").exit_code
    missing = run("users", "passwd", "nobody", typed="another password\n")
    assert missing.exit_code != 0
    assert "there is no user" in str(missing.output) + str(missing.exception)


def test_keys_are_rotated_suspended_and_activated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    id, secret = run("keys", "create", "app", "--test").stdout.splitlines()
    assert secret.startswith("sg_test_")
    renewed = run("keys", "rotate", id, "--overlap", "60").stdout.strip()
    assert renewed.startswith("sg_test_")
    assert renewed != secret
    for action, status in (("suspend", "suspended"), ("activate", "active"), ("revoke", "revoked")):
        assert status == json.loads(run("keys", action, id, "--json").stdout)["status"]
    assert 0 != run("keys", "rotate", id).exit_code
