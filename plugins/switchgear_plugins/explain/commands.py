"""`switchgear explain`: what would become of a request, without calling anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from switchgear.ambient import Ambient
from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.errors import NotFound
from switchgear.wire.members import parse_object
from switchgear_plugins.explain.explain import DEFAULT_PATH, Explainer, Explanation, Question
from switchgear_plugins.explain.targets import TargetView


@click.command()
@click.argument("model", required=False)
@click.option("--key", "key_id", help="The id of the API key whose request it would be.")
@click.option("--principal", help="Likewise, the id of whoever asks where that is no key.")
@click.option("--request", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A JSON file with the body of a request; MODEL replaces its own.")  # fmt: skip
@click.option("--path", "endpoint", default=DEFAULT_PATH, show_default=True, help="Where the request would be sent.")
@config_option
@gateway_flags("data_dir")
@json_option
def explain(
    *,
    model: str | None,
    key_id: str | None,
    principal: str | None,
    file: Path | None,
    endpoint: str,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Say where a request with `"model": MODEL` would go: its targets in order, and why. Nothing is sent.

    This is what the stored configuration says. What only a running gateway knows (which targets fail, how fast they are, what
    is left of a limit) it says itself: POST /admin/v1/explain.
    """
    request = {} if file is None else _read(file)
    if model is not None:
        request["model"] = model
    if "model" not in request:
        raise click.UsageError("Name a model, or give a request that does.")

    async def work(it: Local) -> Explanation:
        return await _explained(it, Question(request, endpoint, key_id, principal))

    found = local(path, flags, work)
    if as_json:
        answer(msgspec.to_builtins(found))
        return
    who = found.key_id if key_id is None else f"the key {key_id}"
    for line in _lines(found, who, asked=file is not None):
        click.echo(line)


def _read(file: Path) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in parse_object(file.read_bytes()).items()}


async def _explained(it: Local, question: Question) -> Explanation:
    found = await Explainer(it.dry_run, it.resources, Ambient()).explain(question)
    refused = found.refused
    if refused is not None and refused.reason == "unknown":
        known = ", ".join(sorted(it.resources.snapshot.callables)) or "none"
        raise NotFound(f"{refused.detail} Known: {known}.")
    return found


def _lines(found: Explanation, who: str | None, *, asked: bool) -> Iterator[str]:
    yield f"{found.model} is {'enabled' if found.enabled else 'disabled'}"
    if found.refused is not None:
        yield f"  refused ({found.refused.reason}): {found.refused.detail}"
    elif who is not None:
        yield f"  {who} may use it"
    for number, target in enumerate(found.targets, 1):
        secret = "without a credential" if target.credential is None else "with a credential"
        yield f"  {number}. {target.provider_model} at {target.provider}, {secret}{_tried(target)}"
        yield from (f"     not asked ({it.reason}): {it.detail}" for it in target.obstacles)
        if target.dropped:
            yield f"     is not told {', '.join(target.dropped)}"
        if asked and target.eligible:
            yield f"     {_estimated(target)}"
    bounds = [
        f"{bound:g} {what}" for bound, what in ((found.attempts, "attempts"), (found.seconds, "seconds")) if bound
    ]
    if bounds:
        yield f"  within {' and '.join(bounds)} in all"
    if who is not None:
        yield from (f"  policy {it.name}: {', '.join(it.phases)}{_said(it.says)}" for it in found.policies)
        yield from (
            f"  attachment {it.id} of {it.policy}: {'' if it.selects else 'not: '}{it.why}" for it in found.attachments
        )
    for why in found.why:
        yield f"  because {why}"


def _tried(target: TargetView) -> str:
    """Say how a target is tried where that is not the usual."""
    said = []
    if target.first_token_s is not None:
        said.append(f"{target.first_token_s:g} s to the first token")
    if target.on is not None:
        said.append(f"the next one on {', '.join(target.on)}")
    return "".join(f"; {part}" for part in said)


def _estimated(target: TargetView) -> str:
    estimate = target.estimate
    assert estimate is not None
    said = [f"about {estimate.input_tokens} tokens to read"]
    if estimate.output_tokens is not None:
        said.append(f"{estimate.output_tokens} to write at most")
    if estimate.input_microusd is not None:
        said.append(f"{estimate.input_microusd} microusd to read")
    if estimate.most_microusd is not None:
        said.append(f"{estimate.most_microusd} microusd at most")
    return ", ".join(said)


def _said(says: dict[str, Any] | None) -> str:
    """Show what a policy says of limits, but not what is left: this process has counted nothing."""
    limits = [f"{name} {it['limit']}" for name, it in (says or {}).items() if isinstance(it, dict) and "limit" in it]
    return f" ({', '.join(limits)})" if limits else ""
