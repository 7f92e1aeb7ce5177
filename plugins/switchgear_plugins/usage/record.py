"""The usage record: one for each exchange of a known principal."""

from collections.abc import Mapping

from msgspec import Struct

from switchgear.contracts.record import RecordKind

USAGE = "usage"
"""The kind's name."""
ATTEMPTS = "usage_attempts"
"""And that of the attempts of an exchange that had several."""


class UsageRecord(Struct, frozen=True, omit_defaults=True):
    """What one exchange was, cost and how it ended. No content is ever in it. What is at its default is left out when stored.

    `at_us` is wall clock microseconds when it began; `cost_microusd` None means unknown, never 0,
    and `unpriced` is 1 then; token counts are None
    when no provider was asked; `latency_us` runs to the end of the answer, `ttft_us` to its first content. `why` are the reasons
    of a plan that had a choice and what became of each attempt that failed; `possible_duplicate` says that an attempt before the
    last may have run to its end at its provider, and be billed there. `units` are the counts of units that no other member tells,
    `price_version` the prices by which the cost was worked out, `labels` what policies noted. Texts of other people are at most
    256 characters: a longer one is cut and ends in a hash.
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
    unpriced: int = 0
    price_version: str | None = None
    ttft_us: int | None = None
    team_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    client_request_id: str | None = None
    upstream_request_id: str | None = None
    why: tuple[str, ...] = ()
    possible_duplicate: bool = False
    labels: dict[str, str] = {}


def usage_kind(keep_s: int | None = None) -> RecordKind:
    """Declare the kind."""
    return RecordKind(
        USAGE,
        UsageRecord,
        dimensions=(
            "request_id", "key_id", "team_id", "user_id", "dialect", "operation", "model", "target", "provider",
            "provider_model", "stream", "outcome", "status", "cause", "cache", "price_version", "client_request_id",
            "upstream_request_id", "labels.*",
        ),
        measures=(
            "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
            "cost_microusd", "unpriced", "latency_us",
        ),
        keep_s=keep_s,
        rollups=(
            ("day", "model", "target", "provider", "operation", "outcome"),
            ("day", "key_id", "team_id", "user_id", "model", "target", "provider"),
            ("model", "outcome"),
            ("key_id", "team_id", "user_id", "model", "target"),
        ),
    )  # fmt: skip


class AttemptRecord(Struct, frozen=True, omit_defaults=True):
    """One attempt of an exchange that had several: where it went, how it ended, what it consumed and cost.

    `id` is the exchange's with the number of the attempt, from 0; `cost_microusd` None means unknown, 0 that nobody charges.
    """

    id: str
    request_id: str
    at_us: int
    number: int
    target: str
    provider: str
    provider_model: str
    latency_us: int
    key_id: str
    model: str
    team_id: str | None = None
    user_id: str | None = None
    status: int | None = None
    cause: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    units: Mapping[str, int] = {}
    usage_estimated: bool = False
    cost_microusd: int | None = None
    price_version: str | None = None
    upstream_request_id: str | None = None


def attempt_kind(keep_s: int | None = None) -> RecordKind:
    """Declare the kind."""
    return RecordKind(
        ATTEMPTS,
        AttemptRecord,
        dimensions=(
            "request_id", "key_id", "team_id", "user_id", "model", "target", "provider", "provider_model", "cause",
        ),
        measures=("input_tokens", "output_tokens", "cost_microusd", "latency_us"),
        keep_s=keep_s,
    )  # fmt: skip
