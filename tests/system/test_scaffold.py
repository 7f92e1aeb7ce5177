"""`switchgear plugins new` writes projects of every kind that pip installs and whose own tests pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from switchgear.cli import main
from switchgear.cli.scaffold import KINDS


def new(name: str, *arguments: str) -> str:
    done = CliRunner().invoke(main, ["plugins", "new", name, *arguments], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


def carried_out(*command: str, cwd: Path, path: Path) -> str:
    """Run Python with a directory of installed distributions on its path; return what it said."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(path), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_is_written_is_installed_and_passes_its_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        new(f"my-{kind}", "--kind", kind)
    projects = sorted(str(path) for path in tmp_path.glob("switchgear-my-*"))
    assert len(KINDS) == len(projects)
    site = tmp_path / "site"
    pip = ("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site))
    carried_out(*pip, *projects, cwd=tmp_path, path=site)
    flags = ("-q", "--import-mode=importlib", "-p", "no:xdist", "-p", "no:cacheprovider", "--asyncio-mode=auto")
    told = carried_out("-m", "pytest", *flags, "--rootdir", str(tmp_path), *projects, cwd=tmp_path, path=site)
    assert "failed" not in told
    assert "skipped" not in told
    (tmp_path / "plugins.toml").write_text("[plugins]\nmemory = { enabled = true }\n")
    for kind in set(KINDS) - {"counters"}:  # of which one is active
        carried_out("-m", "switchgear", "plugins", "enable", f"my_{kind}", cwd=tmp_path, path=site)
    checked = carried_out("-m", "switchgear", "config", "check", cwd=tmp_path, path=site)
    for kind in set(KINDS) - {"counters"}:
        assert f"my_{kind}" in checked


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_named_throughout(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "switchgear plugins enable north_wind" in new("north-wind", "--kind", kind)
    files = [path for path in (tmp_path / "switchgear-north-wind").rglob("*") if path.is_file()]
    assert {"README.md", "pyproject.toml", "py.typed", "plugin.py"} <= {path.name for path in files}
    left = [
        str(path) for path in files if any(it in path.read_text() for it in ("plugin_name", "PluginName", "WHAT_IT"))
    ]
    assert [] == left
    assert "switchgear-north-wind" in (tmp_path / "switchgear-north-wind" / "pyproject.toml").read_text()


def test_a_name_that_an_installed_plugin_has_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "already brings a plugin `openai_compatible`" in new("openai-compatible")
    assert "Warning" not in new("nobody-has-this")
