"""Everything known of how one target fares."""

from collections.abc import Callable

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.exchange.health.breaker import Breaker, BreakerView, State
from switchgear.exchange.health.limiter import Limiter
from switchgear.exchange.health.retry import LIMITED, RetryBudget
from switchgear.exchange.health.settings import RoutingSettings

_NEWEST = 0.2
"""How much of the latency is that of the last answer."""


class HealthView(Struct, frozen=True):
    """How a target fares. `waiting` are attempts that wait for one of `limit` slots, `cooling_s` what is left of a pause."""

    provider_id: str
    provider_model: str
    breaker: BreakerView
    active: int
    waiting: int
    limit: int | None
    latency_s: float | None
    cooling_s: float


class Health:
    """The runtime state of a model at a provider: breaker, retry budget, slots, pause and latency. A `TargetHealth`.

    An attempt takes a slot from `limiter`, then asks `begin` for a ticket, reports with it exactly once (`succeeded`, `failed`
    or `abandoned`), and returns the slot. A retry spends from `budget` before all that.
    """

    __slots__ = (
        "__weakref__", "_cool_most", "_cool_until", "_monotonic", "abandoned", "breaker", "budget", "latency_s", "limiter",
        "provider_id", "provider_model", "succeeded",
    )  # fmt: skip

    def __init__(
        self,
        provider_id: str,
        provider_model: str,
        settings: RoutingSettings,
        ambient: Ambient,
        on_change: Callable[[State, BreakerView], None] = lambda _previous, _view: None,
    ) -> None:
        self.provider_id = provider_id
        self.provider_model = provider_model
        self.breaker = Breaker(settings.breaker, ambient, on_change)
        self.budget = RetryBudget(settings.retry, ambient)
        self.limiter = Limiter()
        self.latency_s: float | None = None
        """Time to the first byte, lately; None while nothing has answered."""
        self.succeeded = self.breaker.succeeded
        self.abandoned = self.breaker.abandoned
        self._monotonic = ambient.monotonic
        self._cool_most = settings.retry.cool_most
        self._cool_until = 0.0

    @property
    def active(self) -> int:
        """Attempts in flight."""
        return self.limiter.used

    def is_available(self) -> bool:
        """Say whether it would be asked now: its breaker is closed or due a probe, and it does not cool down."""
        return self.breaker.ready() and not self.cooling_s()

    def begin(self, *, force: bool = False, retry: bool = False) -> int:
        """Return a ticket, or 0 if it is not to be asked now; see `Breaker.begin`. A `retry` is no new request."""
        if self._cool_until and not force and self.cooling_s():
            return 0
        ticket = self.breaker.begin(force=force)
        if ticket and not retry:
            self.budget.note()
        return ticket

    def failed(self, ticket: int, cause: str, retry_after: float | None = None) -> None:
        """The attempt failed; a target that is limited or overloaded, and says for how long, gets its pause."""
        self.breaker.failed(ticket, cause)
        if retry_after is not None and cause in LIMITED:
            self.cool(retry_after)

    def cool(self, seconds: float) -> None:
        """Leave it alone for so long, at most the setting `cool_most`; a pause that ends later stays."""
        self._cool_until = max(self._cool_until, self._monotonic() + min(seconds, self._cool_most))

    def cooling_s(self) -> float:
        """Return what is left of its pause, 0 if it has none."""
        return max(0.0, self._cool_until - self._monotonic()) if self._cool_until else 0.0

    def reset(self) -> None:
        """Ask it from now on, whatever it did and whatever pause it asked for."""
        self._cool_until = 0.0
        self.breaker.reset()

    def note_latency(self, seconds: float) -> None:
        """Learn from the time one answer took to its first byte."""
        latency = self.latency_s
        self.latency_s = seconds if latency is None else latency + _NEWEST * (seconds - latency)

    def view(self) -> HealthView:
        """Describe it."""
        limiter = self.limiter
        return HealthView(
            provider_id=self.provider_id,
            provider_model=self.provider_model,
            breaker=self.breaker.view(),
            active=limiter.used,
            waiting=limiter.waiting,
            limit=limiter.limit,
            latency_s=self.latency_s,
            cooling_s=self.cooling_s(),
        )
