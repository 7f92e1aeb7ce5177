from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.distributions import Site, installed
from switchgear.cli import main

GOOD = """
    import click, msgspec
    from support.stubs import stub
    from switchgear import Offer
    from switchgear.contracts.provider import Provider

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        url: str = "http://user:hunter2@host/"
        api_key: str = "sk-1"
        names: dict[str, str] = {}

    class Tools(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings
        def switchgear_providers(self):
            return [Offer("translate", lambda config: stub(Provider))]
        def switchgear_commands(self):
            return [click.Command("translate", callback=lambda: click.echo("translated"))]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "plugins.toml").write_text(f"[gateway]\ndata_dir = '{tmp_path}/data'\nport = 0\n[plugins]\n")
    with installed(tmp_path / "site") as found:
        found.add("acme-tools", {"tools": "Tools"}, GOOD, version="1.2")
        found.add("zenith", {"broken": "X"}, "1/0")
        yield found


@pytest.fixture
def run(site: Site):
    def run(*arguments: str, environ: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, list(arguments), env=environ, catch_exceptions=False)

    return run


@pytest.fixture
def enabled(run) -> Iterator[Path]:
    run("plugins", "enable", "tools")
    return Path("plugins.toml")
