"""How one target looks to one request: whether it would be asked, what would be lost on the way there, and at what price."""

from typing import Literal, TypeAlias

from msgspec import Struct

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.dry_run import DryRun
from switchgear.contracts.estimate import estimate
from switchgear.contracts.exchange import Exchange, Step, Target
from switchgear.contracts.health import HealthView
from switchgear.contracts.provider import COUNT, Call
from switchgear.errors import InvalidRequest, SecretUnavailable

_USABLE = frozenset({"unused", "good", "failing", "forbidden"})
"""States of a credential with which a target is asked: one never asked for is fetched then, one that fails has an old value, and
what is forbidden may be about one request.
"""

Hindrance: TypeAlias = Literal["unfit", "open", "cooling", "busy", "credential"]


class Obstacle(Struct, frozen=True):
    """Why a target would not be asked now.

    `unfit`: it cannot take the request; `code` and `param` are what a client would be told. `open`: its breaker is.
    `cooling`: it asked for a pause. `busy`: it has no free place. `credential`: there is none that can be used. Where it is the
    last that is left, `open` and `cooling` do not keep it from being asked.
    """

    reason: Hindrance
    detail: str
    code: str | None = None
    param: str | None = None


class Estimate(Struct, frozen=True):
    """What the request may use, in tokens and microusd (millionths of a US dollar); None: not known.

    input_tokens     by what the model's provider said of requests before
    output_tokens    the most that it may answer: as the client says, else the model's defaults, else `max_output_tokens`
    input_microusd   price of the input
    most_microusd    price of the input, all of it written into a cache if that is dearer, and of the longest answer
    """

    input_tokens: int
    output_tokens: int | None = None
    input_microusd: int | None = None
    most_microusd: int | None = None


class TargetView(Struct, frozen=True):
    """A target of a plan as a request would find it.

    eligible    whether nothing is in the way; `obstacles` are what is
    dropped     members of the request that its provider is not told
    credential  how the provider's credential stands, as in `/health/detailed`; None if it has none
    estimate    None where only a name is asked about
    retries, first_token_s, on  how it is tried; None: as usual
    """

    model: str
    provider: str
    provider_model: str
    eligible: bool
    obstacles: tuple[Obstacle, ...]
    dropped: tuple[str, ...]
    credential: str | None
    retries: int | None
    first_token_s: float | None
    on: tuple[str, ...] | None
    estimate: Estimate | None
    health: HealthView | None


def look_at(dry_run: DryRun, x: Exchange, endpoint: InferenceEndpoint | None, step: Step) -> TargetView:
    """Look at the request from a target. Without an endpoint nothing is said of what is in the request."""
    target = step.target
    obstacles: list[Obstacle] = []
    dropped: tuple[str, ...] = ()
    estimated = None
    if endpoint is not None:
        sent = _sent(dry_run, x, endpoint, target, obstacles)
        dropped, estimated = sent.dropped, _estimate(sent, target)
    credential = _credential(target, obstacles)
    health = None if target.health is None else target.health.view()
    if health is not None:
        _add_health(health, obstacles)
    return TargetView(
        model=target.model.id,
        provider=target.provider_id,
        provider_model=target.model.name,
        eligible=not obstacles,
        obstacles=tuple(obstacles),
        dropped=dropped,
        credential=credential,
        retries=step.retries,
        first_token_s=step.first_token_s,
        on=None if step.on is None else tuple(sorted(step.on)),
        estimate=estimated,
        health=health,
    )


def _sent(dry_run: DryRun, x: Exchange, endpoint: InferenceEndpoint, target: Target, obstacles: list[Obstacle]) -> Call:
    """Return the call as far as it gets on its way to a target."""
    assert x.call is not None
    sent = x.call
    try:
        sent = dry_run.fit(x, endpoint, target)
        if target.provider is not None and (sent.wire != COUNT or COUNT in target.wires):
            # Without the secret, which may have to be fetched: providers translate before they sign.
            target.provider.prepare(sent, target.model, None)
    except InvalidRequest as error:
        obstacles.append(Obstacle("unfit", error.message, error.code, error.param))
    except SecretUnavailable as error:
        if target.secret is None:
            obstacles.append(Obstacle("credential", str(error)))
    return sent


def _estimate(sent: Call, target: Target) -> Estimate:
    found = estimate(sent, target, fitted=True)
    return Estimate(found.input_tokens, found.max_output_tokens, found.input_microusd, found.worst_microusd)


def _credential(target: Target, obstacles: list[Obstacle]) -> str | None:
    if target.secret is None:
        return None
    state = target.secret.state
    if state.status not in _USABLE:
        obstacles.append(Obstacle("credential", state.why or f"the credential is {state.status}"))
    return state.status


def _add_health(health: HealthView, obstacles: list[Obstacle]) -> None:
    breaker = health.breaker
    if breaker.retry_in_s:
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(breaker.causes.items())) or "a failed probe"
        detail = f"Its breaker is open ({causes}); a probe is let through in {breaker.retry_in_s:.1f} s."
        obstacles.append(Obstacle("open", detail))
    if health.cooling_s:
        obstacles.append(Obstacle("cooling", f"It asked to be left alone for {health.cooling_s:.1f} s more."))
    if health.limit is not None and health.active >= health.limit:
        obstacles.append(Obstacle("busy", f"All {health.limit} places are taken and {health.waiting} wait for one."))
