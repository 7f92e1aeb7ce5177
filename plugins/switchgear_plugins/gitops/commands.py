"""`switchgear apply` and `export`: resources in files, and files from resources."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local, require_output
from switchgear.contracts.declared import Exported, Planned
from switchgear_plugins.gitops.export import Format, to_text
from switchgear_plugins.gitops.files import Allowed, read_files
from switchgear_plugins.gitops.settings import GitopsSettings

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

    async def work(it: Local) -> Planned:
        declared = read_files(files, it.declarations.kinds, allowed=allowed_by(it))
        planned = await it.declarations.plan(declared, by=it.by, prune=prune, adopt=adopt)
        if not only_plan and planned.once:
            require_output("new keys")
        if not only_plan:
            await it.declarations.carry_out(planned, by=it.by)
        return planned

    planned = local(path, flags, work)
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
    format_: Format,
    output: Path | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Write stored resources as a file that `switchgear apply` takes.

    KINDS (`models providers`) chooses some; default: all but those that applying would make anew, as keys.
    Secrets are left out, and a comment names them.
    """

    async def work(it: Local) -> Exported:
        return await it.declarations.export(kinds or None)

    exported = local(path, flags, work)
    text = to_text(exported, format_)
    if output is not None:
        output.write_text(text, "utf-8")
    if as_json:
        answer({"text": text, "left_out": list(exported.left_out)})
    elif output is None:
        click.echo(text, nl=False)


def allowed_by(it: Local) -> Allowed:
    """Return what files may name under the settings of the plugin."""
    gateway, files = it.config.gateway, it.config.settings("gitops", GitopsSettings)
    return Allowed(
        environ=os.environ,
        env=files.allow_env,
        not_env=(*files.deny_env, *it.config.variables),
        folders=tuple(Path(path).expanduser() for path in files.allow_paths),
        not_below=(gateway.data_path,),
        not_values=frozenset({gateway.admin_key} if gateway.admin_key else ()),
    )


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
