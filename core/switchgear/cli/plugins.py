import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from switchgear.cli.common import answer, config_option, json_option, read_config
from switchgear.cli.scaffold import KINDS, scaffold, tests_of, warnings
from switchgear.config import FILE, default_source
from switchgear.discovery import Discovery
from switchgear.errors import BootError, ConfigError
from switchgear.kernel import Kernel


@click.group()
def plugins() -> None:
    """List, enable, disable, write and test plugins."""


@plugins.command("list")
@config_option
@json_option
def list_(*, path: Path | None, as_json: bool) -> None:
    """Show every installed plugin, enabled or not.

    What a plugin brings is shown for enabled ones only: the others are not imported.
    """
    kernel = Kernel(read_config(path))
    problem = None
    try:
        kernel.boot()
    except BootError as error:
        problem = error
    rows: list[dict[str, Any]] = [
        {
            "name": found.name,
            "enabled": found.name in kernel.config.enabled,
            "distribution": found.distribution,
            "version": found.version,
            "brings": kernel.registry.brought_by(found.name),
            "waiting": [kind for kind, it in kernel.registry.waiting() if it.plugin == found.name],
        }
        for found in kernel.discovery
    ]
    if as_json:
        answer({"plugins": rows, "failures": list(problem.failures) if problem else []})
        return
    _table(rows)
    if problem:
        click.secho(
            f"{len(problem.failures)} things keep the gateway from starting: `switchgear config check`.",
            fg="red",
            err=True,
        )


@plugins.command()
@click.argument("name")
@config_option
@json_option
def enable(*, name: str, path: Path | None, as_json: bool) -> None:
    """Enable a plugin in plugins.toml.

    Comments of the file are kept; if there is none, it is written with the defaults.
    """
    found = Discovery().find(name)
    _switch(name, on=True, path=path or Path(FILE), as_json=as_json, what=str(found))


@plugins.command()
@click.argument("name")
@config_option
@json_option
def disable(*, name: str, path: Path | None, as_json: bool) -> None:
    """Disable a plugin in plugins.toml.

    Comments of the file are kept; if there is none, it is written with the defaults.
    """
    file = path or Path(FILE)
    if not (file.exists() and name in tomllib.loads(file.read_text("utf-8")).get("plugins", {})):
        Discovery().find(name)
    _switch(name, on=False, path=file, as_json=as_json, what=f"plugin `{name}`")


@plugins.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(KINDS)), default="provider", show_default=True, help="What the plugin brings."
)
@click.option("--directory", type=click.Path(path_type=Path), help="Where to write it. Default: ./switchgear-NAME.")
@json_option
def new(*, name: str, kind: str, directory: Path | None, as_json: bool) -> None:
    """Write a new plugin called NAME: a project of its own, with tests that pass."""
    made = scaffold(name, kind, directory)
    plugin = name.replace("-", "_")
    warned = warnings(plugin, kind, Discovery())
    if as_json:
        answer({"directory": str(made), "warnings": warned})
        return
    for warning in warned:
        click.secho(f"Warning: {warning}", fg="yellow", err=True)
    click.echo(
        f"Wrote {made}. Next:\n\n  pip install -e '{made}[dev]'\n  switchgear plugins test {plugin}\n"
        f"  switchgear plugins enable {plugin}"
    )


@plugins.command()
@click.argument("name")
@json_option
def test(*, name: str, as_json: bool) -> None:
    """Run a plugin's tests. It must be installed from its source: `pip install -e DIRECTORY`."""
    paths = tests_of(Discovery().find(name))
    if find_spec("pytest") is None:
        raise ConfigError("the tests need pytest. Run `pip install pytest pytest-asyncio hypothesis`.")
    command = [sys.executable, "-m", "pytest", "-q", *map(str, paths)]
    done = subprocess.run(command, check=False, capture_output=as_json, text=True)  # noqa: S603 - our own interpreter
    if as_json:
        answer({"ok": done.returncode == 0, "tests": [str(path) for path in paths], "output": done.stdout})
    raise SystemExit(done.returncode)


def _switch(name: str, *, on: bool, path: Path, as_json: bool, what: str) -> None:
    import tomlkit  # noqa: PLC0415 - only these commands write

    source = path.read_text("utf-8") if path.exists() else default_source()
    try:
        document = tomlkit.parse(source)
    except tomlkit.exceptions.ParseError as error:
        raise ConfigError(f"{path}: this is not TOML: {error}. Mend it first.") from error
    if "plugins" not in document:
        # Until now the default selection was on; naming one plugin must not switch the others off.
        source = f"{source.rstrip()}\n\n{default_source()[default_source().index('[plugins.') :]}"
        document = tomlkit.parse(source)
    if name in document["plugins"]:
        document["plugins"][name]["enabled"] = on
        text = tomlkit.dumps(document)
    else:
        # At the end, where a new table cannot come between another and its keys.
        text = f"{source.rstrip()}\n\n[plugins.{tomlkit.key(name).as_string()}]\nenabled = {str(on).lower()}\n".lstrip()
    _replace(path, text)
    if as_json:
        answer({"name": name, "enabled": on, "file": str(path)})
    else:
        click.echo(f"{'Enabled' if on else 'Disabled'} {what} in {path}. It takes effect when the gateway starts.")


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all. Raises `ConfigError` rather than leave one that cannot be read."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: its form leaves no room for another table ({error}). Edit it by hand.") from error
    written = path.with_name(f".{path.name}.new")
    written.write_text(text, "utf-8")
    written.replace(path)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON
    from rich.table import Table  # noqa: PLC0415

    table = Table("plugin", "enabled", "distribution", "brings", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        brings = "; ".join(
            f"{kind}: {', '.join(filter(None, names)) or len(names)}{' (waiting)' if kind in row['waiting'] else ''}"
            for kind, names in row["brings"].items()
        )
        table.add_row(row["name"], "yes" if row["enabled"] else "no", f"{row['distribution']} {row['version']}", brings)
    Console(soft_wrap=True).print(table)
