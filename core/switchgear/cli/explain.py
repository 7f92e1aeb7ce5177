"""`switchgear explain`: where a model name leads, without calling anything."""

from pathlib import Path
from typing import Any

import click

from switchgear.ambient import Ambient
from switchgear.cli.common import answer, config_option, gateway_flags, json_option
from switchgear.cli.local import with_gateway
from switchgear.contracts.exchange import Exchange, Step
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
        name = snapshot.meant(model)
        found = snapshot.callable(name)
        if found is None:
            broken = {key[1]: why.reason for key, why in gateway.resources.broken.items()}
            reason = f" It is stored, but {broken[name]}." if name in broken else ""
            raise NotFound(
                f"No model is called `{model}`.{reason} Known: {', '.join(sorted(snapshot.callables)) or 'none'}."
            )
        ambient = Ambient()
        x = Exchange(ambient.new_id(), "explain", snapshot, began=ambient.monotonic(), started_us=ambient.now_us())
        plan = found.plan(x)
        return {
            "model": name,
            "enabled": found.enabled,
            "targets": [_shown(step) for step in plan.steps],
            "attempts": plan.attempts,
            "seconds": plan.seconds,
            "recovery": plan.recovery,
            "why": list(plan.why),
        }

    found = with_gateway(path, flags, work)
    if as_json:
        answer(found)
        return
    click.echo(f"{model} is {'enabled' if found['enabled'] else 'disabled'}")
    for number, target in enumerate(found["targets"], 1):
        secret = "with a credential" if target["credential"] else "without a credential"
        click.echo(f"  {number}. {target['provider_model']} at {target['provider']}, {secret}{_tried(target)}")
    bounds = [f"{found[name]} {name}" for name in ("attempts", "seconds") if found[name] is not None]
    if bounds:
        click.echo(f"  within {' and '.join(bounds)} in all")
    for why in found["why"]:
        click.echo(f"  because {why}")


def _shown(step: Step) -> dict[str, Any]:
    target = step.target
    return {
        "model": target.model.id,
        "provider": target.provider_id,
        "provider_model": target.model.name,
        "credential": target.secret is not None,
        "available": target.is_available(),
        "retries": step.retries,
        "first_token_s": step.first_token_s,
        "on": None if step.on is None else sorted(step.on),
    }


def _tried(target: dict[str, Any]) -> str:
    """Say how a target is tried where that is not the usual."""
    said = [] if target["available"] else ["not available now"]
    if target["first_token_s"] is not None:
        said.append(f"{target['first_token_s']:g} s to the first token")
    if target["on"] is not None:
        said.append(f"the next one on {', '.join(target['on'])}")
    return "".join(f"; {part}" for part in said)
