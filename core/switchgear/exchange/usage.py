"""The usage record: one for each exchange of a known caller, made when it settles."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec
from msgspec import Struct

from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.record import RecordKind
from switchgear.contracts.usage import CACHE_WRITE, CACHED_INPUT, INPUT, OUTPUT, REASONING, Usage
from switchgear.exchange.faults import cause_of


class UsageRecord(Struct, frozen=True, omit_defaults=True):
    """What one exchange was, cost and how it ended. No content is ever in it. What is at its default is left out when stored.

    `at_us` is wall clock microseconds when it began; `cost_microusd` None means unknown, never 0; token counts are None
    when no provider was asked; `latency_us` runs to the end of the answer, `ttft_us` to its first content. `why` are the reasons
    of a plan that had a choice and what became of each attempt that failed; `possible_duplicate` says that an attempt before the
    last may have run to its end at its provider, and be billed there. `units` are the counts of units that no other member tells.
    """

    id: str
    request_id: str
    at_us: int
    key_id: str
    dialect: str
    operation: str
    model: str
    outcome: str
    status: int
    latency_us: int
    stream: bool
    attempts: int
    cache: str
    target: str | None = None
    provider: str | None = None
    provider_model: str | None = None
    cause: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    units: Mapping[str, int] = {}
    usage_estimated: bool = False
    cost_microusd: int | None = None
    ttft_us: int | None = None
    team_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    client_request_id: str | None = None
    upstream_request_id: str | None = None
    why: tuple[str, ...] = ()
    possible_duplicate: bool = False


USAGE = RecordKind(
    "usage",
    UsageRecord,
    dimensions=(
        "request_id", "key_id", "team_id", "user_id", "dialect", "operation", "model", "target", "provider",
        "provider_model", "stream", "outcome", "status", "cause", "cache",
    ),
    measures=(
        "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
        "cost_microusd", "latency_us", "attempts",
    ),
)  # fmt: skip

_MOST_LINES = 16
"""Reasons of a plan, and attempts, that a record tells of: most have fewer, and a record is to stay small."""
_LEFT_OPEN = frozenset({"connection", "first_byte_timeout", "idle_timeout", "timeout", "total_timeout", "hedged"})
"""Causes after which it is not known whether the provider did the work."""

RECORD_KINDS = MappingProxyType({USAGE.name: USAGE})
"""Every kind of record there is, by name."""


class Ledger(Protocol):
    """Where records become durable. `append` is the acknowledgement (see `switchgear.ledger`)."""

    @property
    def has_room(self) -> bool:
        """Whether another record can be kept; checked before anything is spent."""
        ...

    @property
    def durable(self) -> bool:
        """Whether `sync` must be awaited before an answer ends (`durability = "full"`)."""
        ...

    def append(self, kind: str, id: str, at_us: int, body: bytes) -> None:
        """Keep a record. Raises `JournalFull`."""
        ...

    async def sync(self) -> None:
        """Wait until what was appended is on disk."""
        ...


_encoder = msgspec.json.Encoder()


def encode_usage(x: Exchange) -> bytes:
    """Make the record of a settled exchange."""
    assert x.call is not None
    assert x.caller is not None
    attempt = x.attempts[-1] if x.attempts else None
    target = attempt.target if attempt else None
    usage = x.usage
    return _encoder.encode(
        UsageRecord(
            id=x.id,
            request_id=x.id,
            at_us=x.started_us,
            key_id=x.caller.key_id,
            team_id=x.caller.team_id,
            user_id=x.caller.user_id,
            dialect=x.dialect,
            operation=x.call.operation,
            model=x.call.model,
            target=target.model.id if target else None,
            provider=target.provider_id if target else None,
            provider_model=target.model.name if target else None,
            stream=x.call.stream,
            outcome=str(x.outcome),
            status=x.status,
            cause=None if x.error is None else cause_of(x.error),
            attempts=len(x.attempts),
            cache=x.cache,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cached_input_tokens=None if usage is None else usage.cached_input_tokens,
            cache_write_tokens=None if usage is None else usage.cache_write_tokens,
            reasoning_tokens=None if usage is None else usage.reasoning_tokens,
            units={} if usage is None else _further(usage),
            usage_estimated=usage is not None and usage.estimated,
            cost_microusd=x.cost_microusd,
            latency_us=int(x.ended_s * 1e6),
            ttft_us=None if x.first_byte_s is None else int(x.first_byte_s * 1e6),
            tags=x.caller.tags,
            client_request_id=x.client_request_id,
            upstream_request_id=attempt.request_id if attempt else None,
            why=_why(x),
            possible_duplicate=len(x.attempts) > 1 and any(map(_may_have_run, x.attempts[:-1])),
        )
    )


_TOLD = frozenset({INPUT, OUTPUT, CACHED_INPUT, CACHE_WRITE, REASONING})


def _further(usage: Usage) -> Mapping[str, int]:
    """Return the counts that are in no member of their own."""
    units = usage.units
    return {} if units.keys() <= _TOLD else {unit: count for unit, count in units.items() if unit not in _TOLD}


def _why(x: Exchange) -> tuple[str, ...]:
    """Say why it went where it went; nothing where there was one place to go and one attempt."""
    reasons = () if x.plan is None else x.plan.why
    if len(reasons) <= 1 and len(x.attempts) <= 1:
        return ()
    failed = [attempt for attempt in x.attempts if attempt.cause is not None]
    return (*reasons[:_MOST_LINES], *map(_told, failed[:_MOST_LINES]))


def _told(attempt: Attempt) -> str:
    status = "" if attempt.status is None else f" ({attempt.status})"
    took_s = max(attempt.ended_s - attempt.began_s, 0.0)
    target = attempt.target
    return f"{target.model.id} at {target.provider_id}: {attempt.cause}{status} after {took_s:.2f} s"


def _may_have_run(attempt: Attempt) -> bool:
    return attempt.asked and attempt.cause in _LEFT_OPEN
