"""What attempts consumed and cost: each is accounted for when it ends, the exchange once it settles, before it is recorded."""

from switchgear.contracts.estimate import service_of, writes_tokens
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.provider import COUNT
from switchgear.contracts.usage import MOST, Usage
from switchgear.tokens import text_bytes

_NEVER_ASKED = frozenset({"connect", "connect_timeout", "egress", "request"})
"""Causes of attempts that did not come to the provider's ears."""
_NOTHING = Usage()


def may_be_billed(x: Exchange, attempt: Attempt) -> bool:
    """Say whether a provider may charge for an attempt: it was asked and did not refuse. Nobody charges for counting tokens."""
    status, call = attempt.status, x.call
    if not attempt.asked or attempt.cause in _NEVER_ASKED or call is None or call.operation == COUNT:
        return False
    return status is None or 200 <= status < 300  # noqa: PLR2004 - HTTP's classes


def account(x: Exchange, attempt: Attempt) -> None:
    """Say of an attempt that has ended what it consumed, as told or else as estimated, and what that cost.

    The exchange's `usage`, `sent` and `stream_bytes` are still those of this attempt.
    """
    is_billed = may_be_billed(x, attempt)
    usage = x.usage
    if usage is None and is_billed:
        usage = _estimate(x, attempt, x.stream_bytes, x.stream_events)
    elif isinstance(usage, Usage) and usage.nested:
        usage = _NOTHING
    _charge(x, attempt, usage, is_billed=is_billed)


def settle_cost(x: Exchange) -> None:
    """Add up what the attempts of an exchange consumed and cost. Where no provider was asked it consumed and cost nothing."""
    usage: Usage | None = None
    cost: int | None = 0
    if len(x.attempts) == 1 and (only := x.attempts[0]).accounted:
        x.usage, x.cost_microusd = only.usage, only.cost_microusd
        return
    for attempt in x.attempts:
        if not attempt.accounted:  # it was given up and does not heed it
            is_billed = may_be_billed(x, attempt)
            _charge(x, attempt, _estimate(x, attempt, 0, 0) if is_billed else None, is_billed=is_billed)
        if attempt.usage is not None:
            usage = attempt.usage if usage is None else usage + attempt.usage
        cost = None if cost is None or attempt.cost_microusd is None else min(cost + attempt.cost_microusd, MOST)
    x.usage = usage
    x.cost_microusd = cost


def learn(x: Exchange) -> None:
    """Let the estimator of the target that answered learn from the usage that its provider told, where it wants to."""
    attempt = x.attempts[-1] if x.attempts else None
    if attempt is None or not attempt.target.estimator.wants():
        return
    usage = attempt.usage
    if usage is not None and x.sent is not None and not usage.estimated:
        received = x.stream_bytes if x.call is not None and x.call.stream else 0
        shown = usage.output_tokens - usage.reasoning_tokens
        attempt.target.estimator.learn(text_bytes(x.sent.members), usage.input_tokens, received, shown)


def _charge(x: Exchange, attempt: Attempt, usage: Usage | None, *, is_billed: bool) -> None:
    attempt.accounted = True
    attempt.usage = usage
    pricing = attempt.target.pricing
    if pricing is not None and pricing.services and x.sent is not None:
        pricing = pricing.serving(service_of(x.sent))
    if not is_billed:
        attempt.cost_microusd = 0
    else:
        attempt.cost_microusd = None if pricing is None or usage is None else pricing.cost(usage)


def _estimate(x: Exchange, attempt: Attempt, shown: int, events: int) -> Usage:
    """Estimate usage that the provider never told, from what went out and what went by."""
    assert x.sent is not None
    estimator = attempt.target.estimator
    return Usage.plain(
        estimator.input(x.sent.members),
        estimator.output(shown, events) if writes_tokens(x.sent) else 0,  # vectors are many bytes and no tokens
        estimated=True,
    )
