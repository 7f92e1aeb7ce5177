"""`switchgear workflows`: run, tried and made of templates from a terminal."""

from pathlib import Path
from typing import Any

import click
import msgspec

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear_plugins.workflows.dialect import PATH
from switchgear_plugins.workflows.resources import KIND
from switchgear_plugins.workflows.templates import filled, needs, templates


@click.group()
def workflows() -> None:
    """Run workflows, and make them of templates."""


@workflows.command("templates")
@json_option
def templates_(*, as_json: bool) -> None:
    """List the workflows to begin with, and what each needs."""
    found = templates()
    if as_json:
        answer([{"id": id, "needs": needs(body), **body} for id, body in found.items()])
        return
    for id, body in found.items():
        click.echo(f"{id:20} {body['description']} Needs {', '.join(needs(body))}.")


@workflows.command()
@click.argument("template")
@click.argument("id")
@click.option("--model", help="The model that its steps ask.")
@click.option("--knowledge-base", help="The knowledge base that they search.")
@click.option("--external-api", help="The external API that they call.")
@config_option
@gateway_flags("data_dir")
@json_option
def new(
    *,
    template: str,
    id: str,
    model: str | None,
    knowledge_base: str | None,
    external_api: str | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Make a workflow called ID of a TEMPLATE."""
    asked = {"model": model, "knowledge_base": knowledge_base, "external_api": external_api}
    body = filled(template, {name: value for name, value in asked.items() if value is not None})

    async def work(it: Local) -> dict[str, Any]:
        return dict(await it.resources.create(KIND, id, body, by=it.by))

    made = local(path, flags, work)
    answer(made) if as_json else click.echo(f"{id} is made: switchgear workflows run {id} --input '{{…}}'")


@workflows.command()
@click.argument("id")
@click.option("--input", "given", default="{}", show_default=True, help="The input, as JSON.")
@config_option
@gateway_flags("data_dir")
@json_option
def run(*, id: str, given: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Run the workflow with this ID here, and show what it came to; with --json each step too. Its calls are real ones."""
    try:
        asked = msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--input is no JSON object: {error}") from None

    async def work(it: Local) -> bytes:
        who = Principal(it.by.id, it.by.kind, name=it.by.name, grants=(Grant(USE, "models"),))
        call = it.plugins["workflows"].context.call
        return (await call(PATH, {"id": id, "input": asked}, principal=who, labels={"by": "cli"})).body

    found = msgspec.json.decode(local(path, flags, work))
    if as_json:
        answer(found)
        return
    output = found["output"]
    click.echo(output if isinstance(output, str) else msgspec.json.format(msgspec.json.encode(output)).decode())
