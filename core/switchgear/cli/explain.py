"""`switchgear explain`: where a model name leads, without calling anything."""

from pathlib import Path
from typing import Any

import click

from switchgear.ambient import Ambient
from switchgear.cli.common import answer, config_option, gateway_flags, json_option
from switchgear.cli.local import with_gateway
from switchgear.contracts.exchange import Exchange
from switchgear.errors import NotFound
from switchgear.gateway import Gateway


@click.command()
@click.argument("model")
@config_option
@gateway_flags("data_dir")
@json_option
def explain(*, model: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Say where a request with `"model": MODEL` would go now: its targets in order, and why. Nothing is sent."""

    async def work(gateway: Gateway) -> dict[str, Any]:
        snapshot = gateway.resources.snapshot
        found = snapshot.callable(model)
        if found is None:
            broken = {key[1]: why.reason for key, why in gateway.resources.broken.items()}
            reason = f" It is stored, but {broken[model]}." if model in broken else ""
            raise NotFound(
                f"No model is called `{model}`.{reason} Known: {', '.join(sorted(snapshot.callables)) or 'none'}."
            )
        ambient = Ambient()
        x = Exchange(ambient.new_id(), "explain", snapshot, began=ambient.monotonic(), started_us=ambient.now_us())
        plan = found.plan(x)
        targets = [
            {
                "model": t.model.id,
                "provider": t.provider_id,
                "provider_model": t.model.name,
                "credential": t.secret is not None,
            }
            for t in plan.targets
        ]
        return {"model": model, "enabled": found.enabled, "targets": targets, "why": list(plan.why)}

    found = with_gateway(path, flags, work)
    if as_json:
        answer(found)
        return
    click.echo(f"{model} is {'enabled' if found['enabled'] else 'disabled'}")
    for number, target in enumerate(found["targets"], 1):
        secret = "with a credential" if target["credential"] else "without a credential"
        click.echo(f"  {number}. {target['provider_model']} at {target['provider']}, {secret}")
    for why in found["why"]:
        click.echo(f"  because {why}")
