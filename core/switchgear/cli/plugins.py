import os
import tomllib
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from switchgear.brings import brought, settings_of, told_of
from switchgear.brings import warnings as brings_warnings
from switchgear.cli.common import answer, config_option, json_option, read_config
from switchgear.cli.examined import conformance, costs
from switchgear.cli.scaffold import KINDS, scaffold, warnings
from switchgear.config import FILE, default_source, load
from switchgear.discovery import Discovery
from switchgear.errors import BootError, ConfigError
from switchgear.kernel import Kernel


@click.group()
def plugins() -> None:
    """List, enable, disable, write, test and examine plugins."""


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
            "warnings": told_of(kernel, found.name),
        }
        for found in kernel.discovery
    ]
    if as_json:
        answer({"plugins": rows, "failures": list(problem.failures) if problem else []})
        return
    _table(rows)
    for row in rows:
        for warning in row["warnings"]:
            click.secho(warning, fg="yellow", err=True)
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
    warned = warnings(plugin, Discovery())
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
@config_option
@json_option
def test(*, name: str, path: Path | None, as_json: bool) -> None:
    """Hold a plugin to its contracts: run the suites that fit what it offers, and its own tests where they are at hand.

    Its own tests are those of the checkout it was installed from (`pip install -e DIRECTORY`). Exit code 1 if something
    failed or nothing was run. `--json` has `name`, `passed`, `failed` and `total`, as a badge wants them.
    """
    report, output = conformance(Discovery().find(name), path)
    if as_json:
        answer({**report, "output": output})
    else:
        _print_report(report)
        if report["failed"]:
            click.echo(output)
    raise SystemExit(1 if report["failed"] or not report["passed"] else 0)


@plugins.command()
@click.argument("name")
@config_option
@json_option
def doctor(*, name: str, path: Path | None, as_json: bool) -> None:
    """Say what a plugin brings, who has a use for it, and what it costs each request.

    Costs are measured in a process of their own, over an exchange with nothing in it; what cannot be measured so is not told.
    """
    found = Discovery().find(name)
    enabled = name in read_config(path).enabled
    kernel = Kernel(
        load(path, environ={**os.environ, f"SWITCHGEAR__PLUGINS__{name.upper()}__ENABLED": "true"}, flags={})
    )
    kernel.boot()
    [item] = [it for it in kernel.plugins if it.installed.name == name]
    brings = list(brought(kernel, name))
    warned = brings_warnings(kernel, item, enabled=enabled)
    policies: list[dict[str, Any]] = []
    if any(it.kind == "policies" for it in brings):
        try:
            policies = costs(found, path)
        except BootError as error:
            warned += (f"not measured: {why}" for why in error.failures)
    said = {
        "name": name,
        "distribution": f"{found.distribution} {found.version}",
        "api": item.plugin.api,
        "enabled": enabled,
        "requires": list(item.plugin.requires),
        "after": list(item.plugin.after),
        "defines": [kind.name for kind in item.plugin.defines],
        "live": item.plugin.live,
        "settings": settings_of(item),
        "brings": [structs.asdict(it) for it in brings],
        "policies": policies,
        "warnings": warned,
    }
    if as_json:
        answer(said)
    else:
        _print_doctor(said)


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


def _print_report(report: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON
    from rich.table import Table  # noqa: PLC0415

    console = Console(soft_wrap=True)
    table = Table("suite", "test", "passed", "failed", "skipped", box=None, header_style="bold", pad_edge=False)
    for row in report["suites"]:
        table.add_row(*(str(row[it]) for it in ("suite", "test", "passed", "failed", "skipped")))
    console.print(table)
    for row in report["not_run"]:
        console.print(f"not run: {row['kind']} `{row['offer']}`: {row['why']}", markup=False)
    console.print(f"{report['name']} ({report['distribution']}): {report['passed']} of {report['total']} passed")


def _print_doctor(said: dict[str, Any]) -> None:
    click.secho(f"{said['name']} ({said['distribution']})", bold=True)
    for name in ("api", "enabled", "requires", "after", "defines", "live"):
        value = said[name]
        click.echo(f"  {name:9} {', '.join(value) or '-' if isinstance(value, list) else _yes(value)}")
    click.echo(f"  settings  {', '.join(f'{name} ({kind})' for name, kind in said['settings'].items()) or '-'}")
    for it in said["brings"]:
        summary = f", {it['summary']}" if it["summary"] else ""
        click.echo(f"{it['kind'].replace('_', ' ')}: {it['name']}{summary}")
        click.echo(f"  consumed by {it['consumer'] or 'nothing: no enabled plugin takes it'}")
        if it["steps"]:
            click.echo(f"  in a request: {it['steps']}")
    for policy in said["policies"]:
        click.echo(f"policy {policy['policy']}: {len(policy['phases'])} steps of a request")
        for phase, us in policy["us"].items():
            click.echo(f"  {phase}: {us:g} µs a call, measured here over an empty exchange")
        for phase, why in policy["not_measured"].items():
            click.echo(f"  {phase}: not measured, {why}")
    for warning in said["warnings"]:
        click.secho(f"warning: {warning}", fg="yellow")


def _yes(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


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
