import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prompts", *arguments], catch_exceptions=False)


def test_prompts_are_installed_and_rendered_from_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert 17 == len(run("library").stdout.splitlines())
    installed = run("install", "translate", "title", "--data-dir", "data").stdout
    assert "installed translate\ninstalled title\n" == installed
    assert "title exists and was left alone\n" == run("install", "title", "--data-dir", "data").stdout
    half = run("render", "translate", "--var", "language=Latin", "--data-dir", "data")
    assert 1 == half.exit_code
    assert "No value for text" in half.stderr
    whole = run("render", "translate", "--var", "language=Latin", "--var", "text=a=b", "--json", "--data-dir", "data")
    assert 0 == whole.exit_code
    said = json.loads(whole.stdout)["messages"][0]["content"]
    assert "into Latin" in said
    assert "a=b" in said
