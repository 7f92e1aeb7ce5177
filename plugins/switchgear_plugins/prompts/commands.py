"""`switchgear prompts`: rendered from a terminal, and the library installed."""

from pathlib import Path

import click
import msgspec

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.errors import NotFound
from switchgear_plugins.prompts.library import Installed, install, library
from switchgear_plugins.prompts.preview import Rendered, preview
from switchgear_plugins.prompts.shelf import Shelf, current


@click.group()
def prompts() -> None:
    """Render prompts, and install those that come with the gateway."""


@prompts.command("library")
@json_option
def library_(*, as_json: bool) -> None:
    """List the prompts that can be installed."""
    found = library()
    if as_json:
        answer([{"id": id, **body} for id, body in found.items()])
        return
    for id, body in found.items():
        click.echo(f"{id:24} {body['description']}")


@prompts.command("install")
@click.argument("ids", nargs=-1)
@config_option
@gateway_flags("data_dir")
@json_option
def install_(*, ids: tuple[str, ...], path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Install the prompts IDS of the library, or all of them. A prompt that exists is never written over."""

    async def work(it: Local) -> Installed:
        return await install(it.resources, ids, it.by)

    done = local(path, flags, work)
    if as_json:
        answer(msgspec.to_builtins(done))
        return
    for id in done.installed:
        click.echo(f"installed {id}")
    for id in done.existing:
        click.echo(f"{id} exists and was left alone")


@prompts.command()
@click.argument("id")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="The value of a variable.")
@click.option("--version", type=click.IntRange(min=1), help="An older version of the prompt.")
@config_option
@gateway_flags("data_dir")
@json_option
def render(
    *, id: str, given: tuple[str, ...], version: int | None, path: Path | None, flags: dict[str, str], as_json: bool
) -> None:
    """Show what the prompt with this ID says. Exits with 1 if a variable has no value."""
    if wrong := [it for it in given if "=" not in it]:
        raise click.UsageError(f"--var takes NAME=VALUE, not {wrong[0]!r}.")
    values = dict(it.split("=", 1) for it in given)

    async def work(it: Local) -> Rendered:
        found = current(it.resources.snapshot, id)
        if found is not None and version is not None:
            found = await Shelf(it.store).version(found, version)
        if found is None:
            raise NotFound(f"There is no prompt {id!r} of this version.")
        return preview(found, values, it.plugins["prompts"].settings.most_characters)

    rendered = local(path, flags, work)
    if as_json:
        answer(msgspec.to_builtins(rendered))
    else:
        for message in rendered.messages:
            click.echo(message.content if message.role is None else f"[{message.role}]\n{message.content}")
    if rendered.missing:
        click.echo(f"No value for {', '.join(rendered.missing)}: use --var.", err=True)
        click.get_current_context().exit(1)
