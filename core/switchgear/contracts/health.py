"""How a target stands: a model at a provider, in one process."""

from typing import Literal, TypeAlias

from msgspec import Struct

State: TypeAlias = Literal["closed", "half_open", "open"]
"""Of a circuit breaker."""


class BreakerView(Struct, frozen=True):
    """How a breaker stands.

    since_us            when it came into this state, wall clock
    requests, failures  of the last window; nothing is added while it is not closed
    causes              those failures by cause
    retry_in_s          seconds until a probe is let through; None while closed
    """

    state: State
    since_us: int
    requests: int
    failures: int
    causes: dict[str, int]
    retry_in_s: float | None


class HealthView(Struct, frozen=True):
    """How a target fares.

    `waiting` are attempts that wait for one of `limit` slots; `cooling_s` are seconds until it may be asked, where it asked for a
    pause or for less. `unreachable` is why it could not be asked the last time, None since it was.
    """

    provider_id: str
    provider_model: str
    breaker: BreakerView
    active: int
    waiting: int
    limit: int | None
    latency_s: float | None
    cooling_s: float
    unreachable: str | None = None
