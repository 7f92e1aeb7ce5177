from pathlib import Path

import pytest
from click.testing import CliRunner

from switchgear.cli import main


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--data-dir", "data"], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return result.stdout


def test_what_the_list_shows_can_be_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    id, secret = run("keys", "create", "app", "--model", "a-model-with-a-long-name", "--rpm", "60").splitlines()
    [_, row] = run("keys", "list").splitlines()[:2]
    assert id == row.split()[0]
    assert secret not in run("keys", "list", "--json")
    run("keys", "revoke", row.split()[0])
    assert "revoked" in run("keys", "list")


def test_an_export_leaves_keys_out_so_that_none_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    id, _ = run("keys", "create", "app").splitlines()
    run("keys", "revoke", id)
    assert id not in run("export")
    assert id in run("export", "api-keys")
