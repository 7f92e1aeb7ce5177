"""`switchgear catalogue`: the price book."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from switchgear_plugins.prices.plugin import PricesPlugin


@click.group()
def catalogue() -> None:
    """See and replace the catalogue of models' prices."""


@catalogue.command()
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@config_option
@gateway_flags("data_dir")
@json_option
def sync(*, source: str, dry_run: bool, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Take over prices from SOURCE: a file or an https URL, a price book or the community's model_prices_and_context_window.json.

    What is broken, or has lost much of what there was, is refused. Gateways use it from their next start on.
    """
    from switchgear_plugins.prices import syncing  # noqa: PLC0415 - help has no use for it
    from switchgear_plugins.prices.book import decode  # noqa: PLC0415 - likewise

    async def work(it: Local) -> dict[str, Any]:
        plugin = cast("PricesPlugin", it.plugins["prices"])
        data = await _fetch(plugin, source) if source.startswith(("http://", "https://")) else _read(source)
        today = datetime.fromtimestamp(plugin.context.ambient.now_us() / 1e6, UTC).date().isoformat()
        new, old = syncing.read(data, today), decode(plugin.data)
        try:
            syncing.check(new, old)
        except InvalidRequest as error:
            raise ConfigError(error.message) from None
        if not dry_run:
            await plugin.take(new)
        return dict(syncing.changes(new, old))

    try:
        changed = local(path, flags, work)
    except InvalidRequest as error:
        raise ConfigError(error.message) from None
    if as_json:
        answer(changed)
        return
    click.echo(
        f"{changed['source']} of {changed['date']}: {changed['models']} models, {changed['models_before']} before."
    )
    for name in changed["changed"]:
        click.echo(f"  changed: {name}")
    if not dry_run:
        click.echo("Gateways use these prices from their next start on.", err=True)


@catalogue.command()
@click.argument("model", required=False)
@config_option
@gateway_flags("data_dir")
@json_option
def show(*, model: str | None, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Show the catalogue, or what MODEL costs: the id of a model here, or one of the catalogue as PROVIDER/NAME."""
    from switchgear_plugins.prices.book import counts, decode  # noqa: PLC0415 - help has no use for it
    from switchgear_plugins.prices.prices import prices  # noqa: PLC0415 - likewise

    async def work(it: Local) -> dict[str, Any]:
        plugin = cast("PricesPlugin", it.plugins["prices"])
        here = {one.model: one for one in prices(it.resources.snapshot)}
        if model is None:
            whole = decode(plugin.data)
            unpriced = [name for name, one in here.items() if one.units is None]
            return {
                "source": whole.source, "date": whole.date, "notice": whole.notice, "models": counts(whole), "unpriced": unpriced,
            }  # fmt: skip
        if model in here:
            return cast("dict[str, Any]", msgspec.to_builtins(here[model]))
        provider, _, name = model.partition("/")
        found = plugin.book.model(provider, name)
        if found is None:
            raise ConfigError(f"there is no model {model!r} here, and none in the catalogue")
        return {"model": model, "version": plugin.book.version, **msgspec.to_builtins(found)}

    shown = local(path, flags, work)
    if as_json:
        answer(shown)
        return
    for member, value in shown.items():
        if member == "models":
            click.echo(
                f"models: {sum(value.values())}, of " + ", ".join(f"{name} {count}" for name, count in value.items())
            )
        elif value:
            click.echo(f"{member}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")


def _read(source: str) -> bytes:
    from switchgear_plugins.prices.syncing import MOST_BYTES  # noqa: PLC0415 - as above

    try:
        with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{source} is larger than {MOST_BYTES} bytes")
    return data


async def _fetch(plugin: "PricesPlugin", url: str) -> bytes:
    try:
        return await _download(plugin, url)
    except ConfigError:
        raise
    except Exception as error:  # whatever the client raises
        raise ConfigError(f"{url} cannot be fetched: {error or type(error).__name__}") from error


async def _download(plugin: "PricesPlugin", url: str) -> bytes:
    from switchgear_plugins.prices.syncing import MOST_BYTES  # noqa: PLC0415 - as above

    data = b""
    async with plugin.context.http(timeout=60.0).stream("GET", url) as response:
        if response.status_code != 200:  # noqa: PLR2004 - HTTP's
            raise ConfigError(f"{url} answers {response.status_code}")
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > MOST_BYTES:
                raise ConfigError(f"{url} is larger than {MOST_BYTES} bytes")
    return data
