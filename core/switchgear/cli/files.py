"""`switchgear apply` and `export`: resources in files, and files from resources."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from switchgear.cli.common import answer, config_option, gateway_flags, json_option, require_output
from switchgear.cli.local import CLI, with_gateway
from switchgear.gateway import Gateway
from switchgear.resources import apply as applying
from switchgear.resources.files import Allowed, read_files
from switchgear.settings import GatewaySettings

_MARKS = {"create": "+", "update": "~", "delete": "-", "unchanged": " "}


@click.command()
@click.option("-f", "--file", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path),
              help="A TOML, JSON or YAML file, or a directory of them; may be given again.")  # fmt: skip
@click.option("--prune", is_flag=True, help="Also delete what came from these files before and is no longer in them.")
@click.option("--adopt", is_flag=True, help="Take over resources that the admin API or other files made.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would change.")
@config_option
@gateway_flags("data_dir")
@json_option
def apply(
    *,
    files: tuple[Path, ...],
    prune: bool,
    adopt: bool,
    only_plan: bool,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Create and change resources as files say: work out a plan, write it, all or nothing, and show it.

    Applying the same files again changes nothing. What came from a file cannot be changed over the admin API.
    """

    async def work(gateway: Gateway) -> applying.Plan:
        declared = read_files(files, gateway.resources.kinds, allowed=allowed_by(gateway.settings))
        planned = await applying.plan(gateway.resources, declared, by=CLI, prune=prune, adopt=adopt)
        if not only_plan and planned.once:
            require_output("new keys")
        if not only_plan:
            await applying.carry_out(gateway.resources, planned, by=CLI)
        return planned

    planned = with_gateway(path, flags, work)
    once = {} if only_plan else planned.once
    if as_json:
        answer({"applied": not only_plan, "steps": msgspec.to_builtins(planned.steps), "once": once})
        return
    changed = [step for step in planned.steps if step.action != "unchanged"]
    for step in changed:
        click.echo(f"{_MARKS[step.action]} {step.kind}/{step.id}  ({step.origin})")
        for change in step.changes if step.action == "update" else ():
            click.echo(f"    {change.pointer}: {_shown(change.before)} -> {_shown(change.after)}")
    for name, values in once.items():
        for field, value in values.items():
            click.echo(f"{name}: {field} {value}  (shown once)")
    verb = "would change" if only_plan else "changed"
    click.echo(f"{len(changed)} {verb}, {len(planned.steps) - len(changed)} unchanged.")


@click.command()
@click.argument("kinds", nargs=-1)
@click.option("--format", "format_", type=click.Choice(["toml", "json", "yaml"]), default="toml", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write. Default: stdout.")
@config_option
@gateway_flags("data_dir")
@json_option
def export(
    *,
    kinds: tuple[str, ...],
    format_: applying.Format,
    output: Path | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Write stored resources as a file that `switchgear apply` takes.

    KINDS (`models providers`) chooses some; default: all but those that applying would make anew, as keys.
    Secrets are left out, and a comment names them.
    """

    async def work(gateway: Gateway) -> applying.Export:
        return await applying.export(gateway.resources, kinds or None, format_)

    exported = with_gateway(path, flags, work)
    if output is not None:
        output.write_text(exported.text, "utf-8")
    if as_json:
        answer({"text": exported.text, "left_out": list(exported.left_out)})
    elif output is None:
        click.echo(exported.text, nl=False)


def allowed_by(settings: GatewaySettings) -> Allowed:
    """Return what files may name under these settings."""
    files = settings.files
    return Allowed(
        environ=os.environ,
        env=files.allow_env,
        not_env=files.deny_env,
        folders=tuple(Path(path).expanduser() for path in files.allow_paths),
        not_below=(settings.data_path,),
        not_values=frozenset({settings.admin_key} if settings.admin_key else ()),
    )


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
