"""`switchgear usage`: what was consumed, without the admin API."""

import sys
from pathlib import Path
from typing import Any, cast

import click

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.errors import ConfigError, InvalidRequest
from switchgear_plugins.usage.record import usage_kind

_SHOWN = ("input_tokens", "output_tokens", "cost_microusd", "unpriced")


@click.group()
def usage() -> None:
    """See and export what was consumed and what it cost."""


def _filters(given: tuple[str, ...], since: str | None, until: str | None) -> dict[str, str]:
    found = dict(pair.split("=", 1) for pair in given if "=" in pair)
    if len(found) < len(given):
        raise ConfigError("a filter is MEMBER=VALUE, as model=gpt-4o or labels.team=a")
    return found | ({} if since is None else {"since": since}) | ({} if until is None else {"until": until})


_where = click.option(
    "--where", multiple=True, metavar="MEMBER=VALUE", help="Only records with this; may be given again."
)
_since = click.option("--since", help="A time (RFC 3339) or a date.")
_until = click.option("--until", help="A time, or a date, which is included.")


@usage.command()
@click.option("--by", default="model", help="Up to three members of records, or day, separated by commas.")
@_where
@_since
@_until
@config_option
@gateway_flags("data_dir")
@json_option
def summary(
    *,
    by: str,
    where: tuple[str, ...],
    since: str | None,
    until: str | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Sum usage up."""
    from switchgear_plugins.usage.asking import groups_of, query_of, sums_of  # noqa: PLC0415 - help has no use for it

    kind = usage_kind()
    try:
        names = groups_of(by, kind)
        query = query_of(_filters(where, since, until), kind, limit=10_000)
    except InvalidRequest as error:
        raise ConfigError(error.message) from None

    async def work(it: Local) -> list[dict[str, Any]]:
        groups = await it.plugins["usage"].context.records.summarise(query, names, kind.measures)
        return [
            {
                **dict(zip(names, g.by, strict=True)),
                "requests": g.count,
                **sums_of(g, kind),
            }
            for g in groups
        ]

    found = local(path, flags, work)
    if as_json:
        answer(found)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in (*names, "requests", "input", "output", "USD"):
        table.add_column(title)
    for line in found:
        read, written, cost, unpriced = (line[name] for name in _SHOWN)
        money = [] if cost is None else [f"{cost / 1e6:.6f}"]
        money += [f"unknown of {unpriced}"] if unpriced else []
        counts = ("" if it is None else str(it) for it in (line["requests"], read, written))
        table.add_row(*(str(line[name] or "") for name in names), *counts, ", ".join(money))
    Console().print(table)


@usage.command()
@click.option("--format", "format_", type=click.Choice(["csv", "ndjson", "focus"]), default="csv", help="Default: csv.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: the standard output.")
@_where
@_since
@_until
@config_option
@gateway_flags("data_dir")
def export(
    *,
    format_: str,
    output: Path | None,
    where: tuple[str, ...],
    since: str | None,
    until: str | None,
    path: Path | None,
    flags: dict[str, str],
) -> None:
    """Write usage records, newest first."""
    from switchgear_plugins.usage.asking import query_of  # noqa: PLC0415 - help has no use for it
    from switchgear_plugins.usage.exports import Format, lines  # noqa: PLC0415 - likewise

    try:
        query = query_of(_filters(where, since, until), usage_kind(), limit=1)
    except InvalidRequest as error:
        raise ConfigError(error.message) from None

    async def work(it: Local) -> None:
        records = it.plugins["usage"].context.records
        file = sys.stdout.buffer if output is None else output.open("wb")
        try:
            async for piece in lines(records, query, cast("Format", format_)):
                file.write(piece)
            file.flush()
        finally:
            if output is not None:
                file.close()

    local(path, flags, work)
