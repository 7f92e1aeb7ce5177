"""What README.md and the pages that it leads to show is true: their examples run, their commands and files exist."""

import asyncio
import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.environments import CHECKOUT, Environment
from support.gateway import Running, running
from support.process import serving, switchgear
from switchgear.cli import main
from switchgear.config import load
from switchgear.contracts.principal import Principal
from switchgear.errors import PermissionDenied
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import make_exchange

DOCS = CHECKOUT / "contrib" / "docs"
FIRST = [CHECKOUT / "README.md", DOCS / "start.md", DOCS / "promises.md"]
README = "\n".join(page.read_text("utf-8") for page in FIRST)
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.rglob("*.md"))]


def block(beginning: str) -> str:
    """Return the one fenced block that begins so."""
    [found] = [text for text in re.findall(r"```\w+\n(.*?)```", README, re.DOTALL) if text.startswith(beginning)]
    return found


def test_the_files_are_applied_and_then_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "resources.toml"
    file.write_text(block("# resources.toml"))
    arguments = ["apply", "-f", str(file), "--data-dir", str(tmp_path / "data")]
    first, second = (CliRunner().invoke(main, arguments, catch_exceptions=False) for _ in range(2))
    assert "5 changed, 0 unchanged." == first.output.splitlines()[-1]
    assert "0 changed, 5 unchanged." == second.output.splitlines()[-1]


async def test_the_admin_requests_make_what_they_say(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        posted = re.findall(r"^post (\S+) \'(.+)\'$", block("post()"), re.MULTILINE)
        assert ["credentials", "providers", "models", "api-keys"] == [kind for kind, _ in posted]
        made = [await gateway.create(kind, **json.loads(body)) for kind, body in posted]
        assert ["gpt-4o"] == await models_of(gateway, made[-1]["key"])


async def models_of(gateway: Running, key: str) -> list[str]:
    answer = await gateway.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    return [model["id"] for model in answer.json()["data"]]


def test_the_sdk_gets_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(switchgear("--data-dir", str(tmp_path)), cwd=tmp_path) as gateway:
        monkeypatch.setenv("KEY", (tmp_path / "first-api-key").read_text().strip())
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(block("import os").replace("http://127.0.0.1:8080", gateway.url), {})
    assert "Hello\nHello" == said.getvalue()


def test_the_configuration_is_good(tmp_path: Path) -> None:
    file = tmp_path / "plugins.toml"
    file.write_text(block("[gateway]"))
    config = load(file, environ={"ADMIN_KEY": "k"})
    assert [] == config.failures
    assert (9000, "k") == (config.gateway.port, config.gateway.admin_key)


async def test_the_plugin_is_installed_and_decides(tmp_path: Path, ambient: FixedAmbient) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("office_hours.py", "pyproject.toml"):
        (project / name).write_text(block(f"# {name}"))
    environment = await asyncio.to_thread(Environment, tmp_path / "venv")
    await asyncio.to_thread(environment.install, CHECKOUT, project)
    environment.run("switchgear", "plugins", "enable", "office_hours", cwd=tmp_path)
    assert "office_hours" in environment.run("switchgear", "config", "check", cwd=tmp_path)
    module: dict = {}
    exec(block("# office_hours.py"), module)
    policy = module["OfficeHours"](ambient)
    policy.admit(make_exchange(Principal("k", "key", tags=("night-shift",))))
    x = make_exchange(Principal("k", "key"))
    with pytest.raises(PermissionDenied):  # a FixedAmbient begins at 22:13
        policy.admit(x)
    ambient.advance(12 * 3600)
    policy.admit(x)


def test_every_command_exists_with_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    lines = re.findall(r"^    (?:\w+=\S+ )*(switchgear .*)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        _, *arguments = shlex.split(line, comments=True)
        shown = CliRunner().invoke(main, [*arguments, "--help"])
        assert 0 == shown.exit_code, f"{line}\n{shown.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_it_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    linked = [page.parent / path for path in re.findall(r"\]\(([^)#:]+)\)", text)]
    named = re.findall(r"`((?:tests|core|plugins|contrib|migrations)/[\w./-]+)`", text)
    missing = [str(path) for path in [*linked, *(CHECKOUT / name for name in named)] if not path.exists()]
    assert [] == missing
