"""What `[gateway.routing]` may say. Times are seconds."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=3600)]
Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class BreakerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a target is spared, and for how long.

    window       seconds that are looked back on
    least        requests in the window below which their rate of failure says nothing
    rate         part of them that fails before the breaker opens
    in_a_row     failures to connect or to answer in time, one after the other, that open it however few requests there were
    open         seconds until a probe is let through; twice that after each probe that fails, a fifth more or less by chance
    open_most    the longest these seconds become
    probe_every  seconds after which another probe is let through while the one before has not come back
    """

    window: Seconds = 30.0
    least: Count = 10
    rate: Share = 0.5
    in_a_row: Count = 5
    open: Seconds = 5.0
    open_most: Seconds = 30.0
    probe_every: Seconds = 5.0

    def __post_init__(self) -> None:
        if self.open_most < self.open:
            raise ValueError("`open_most` must not be less than `open`")


class RetrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait before the same target is tried again, and how often that may be.

    base, most      seconds of the exponential backoff: of its first step, and at most; the wait is a random part of it
    limited_least   shortest wait after a target said it is limited or overloaded, whatever it asked for
    wait_most       a target that asks for a longer wait is not tried again in the same exchange
    cool_most       longest time a target that asked for a pause is left alone before it is asked again
    budget_share    retries as a part of the requests of the last `budget_window` seconds
    budget_floor    retries in `budget_window` seconds that are allowed however few requests there were
    """

    base: Seconds = 0.1
    most: Seconds = 2.0
    limited_least: Seconds = 0.05
    wait_most: Annotated[float, Meta(ge=0, le=3600)] = 2.0
    cool_most: Seconds = 60.0
    budget_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    budget_floor: Annotated[int, Meta(ge=0, le=1_000_000)] = 3
    budget_window: Seconds = 10.0


class RoutingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How targets that fail are tried again and spared.

    retries  further tries of a target that is the last one that may answer, where trying again may help
    queue    seconds to wait for a free place at a target whose concurrency is bounded, if it is the last one
    pace     whether a target that refuses for the rate of requests (429) is then asked no faster than it can take
    """

    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    queue: Annotated[float, Meta(ge=0, le=600)] = 5.0
    pace: bool = True
    breaker: BreakerSettings = BreakerSettings()
    retry: RetrySettings = RetrySettings()
