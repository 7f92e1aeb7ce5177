"""`switchgear prove`: promises that anybody can test, of this gateway and of others."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from switchgear.commands import answer, json_option


@click.group()
def prove() -> None:
    """Test what is promised on this machine: by processes that are killed, and a provider's own bill."""


@prove.command("budget")
@click.option("--usd", default=1.0, type=click.FloatRange(0.01, 1000), help="The budget. Default: 1")
@click.option("--clients", default=200, type=click.IntRange(1, 2000), help="How many spend at once. Default: 200")
@click.option(
    "--seconds",
    default=60.0,
    type=click.FloatRange(5, 3600),
    help="For how long; a slow machine takes up to three times that. Default: 60",
)
@click.option("--seed", default=1, help="What chance begins with.")
@click.option("--target", help="Another OpenAI-compatible gateway, up to and including /v1, with such a budget.")
@click.option("--key", help="A key for it.")
@click.option("--model", default="proof", help="A model of it that leads to the provider of the proof. Default: proof")
@click.option("--upstream-port", default=8099, help="Where that provider is to listen, with --target. Default: 8099")
@json_option
def budget(*, target: str | None, key: str | None, as_json: bool, **options: Any) -> None:
    """Spend a hard budget from four gateways at once, and compare it with the bill.

    Starts a PostgreSQL, a Redis, four gateways and a provider that answers, breaks off and bills (the extra `prove` brings the
    first two). Exits with 1 where more was spent than there was, where less than 95 % of it could be spent, or where records do
    not tell of each answer once.
    """
    from switchgear_plugins.prove.budget import Proof  # noqa: PLC0415 - help needs none of it

    proof: Proof = asyncio.run(_run(target, key, options, tell=lambda text: click.echo(text, err=True)))
    if as_json:
        answer(msgspec.to_builtins(proof))
    else:
        _show(proof)
    if proof.overspend_microusd or proof.spendable_share < 0.95 or proof.lost or proof.doubled:  # noqa: PLR2004 - the promise
        raise click.exceptions.Exit(1)


async def _run(target: str | None, key: str | None, options: dict[str, Any], tell: Any) -> Any:
    from switchgear_plugins.prove.bill import BillingUpstream  # noqa: PLC0415 - as above
    from switchgear_plugins.prove.budget import prove, prove_at  # noqa: PLC0415 - as above
    from switchgear_plugins.prove.wire import Address  # noqa: PLC0415 - as above

    amount, seed = round(options["usd"] * 1e6), options["seed"]
    if target is None:
        return await prove(amount, options["clients"], options["seconds"], seed, tell)
    url = urlsplit(target)
    if url.scheme != "http" or not url.hostname:
        raise click.BadParameter("is to be http://HOST:PORT/v1", param_hint="--target")
    where = Address(url.hostname, url.port or 80, url.path.rstrip("/"))
    upstream = BillingUpstream(seed=seed, port=options["upstream_port"])
    return await prove_at(
        where, key or "", options["model"], upstream, amount, options["clients"], options["seconds"], seed, tell
    )


def _show(proof: Any) -> None:
    shown = {
        "budget": f"{proof.amount_microusd / 1e6:.6f} USD",
        "billed": f"{proof.billed_microusd / 1e6:.6f} USD",
        "overspent": f"{proof.overspend_microusd} microdollars",
        "could be spent": f"{proof.spendable_share:.2%}"
        + ("" if proof.exhausted else " (time was up before it was spent)"),
        "answers without a record": _or_unknown(proof.lost),
        "answers with several": _or_unknown(proof.doubled),
        "calls": f"{proof.calls}: {proof.answered} answered, {proof.refused} refused, {proof.broken} broken off",
        "gateways killed": str(proof.kills),
    }
    for name, value in shown.items():
        click.echo(f"{name:<26}{value}")


def _or_unknown(count: int | None) -> str:
    return "not known" if count is None else str(count)
