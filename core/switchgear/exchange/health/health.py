"""Everything known of how one target fares."""

from collections.abc import Callable

from switchgear.ambient import Ambient
from switchgear.contracts.health import BreakerView, HealthView, State
from switchgear.exchange.health.breaker import Breaker
from switchgear.exchange.health.pacer import Pacer
from switchgear.exchange.health.retry import LIMITED, RetryBudget
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.limiter import Limiter

_NEWEST = 0.2
"""How much of the latency is that of the last answer."""


class Health:
    """The runtime state of a model at a provider: breaker, retry budget, slots, pause, pace and latency. A `TargetHealth`.

    An attempt waits `wait_s`, or is not made; it takes its turn from `pacer` and a slot from `limiter`, then asks `begin` for a
    ticket, reports with it exactly once (`succeeded`, `failed` or `abandoned`), and returns the slot. A retry spends from
    `budget` before all that.
    """

    __slots__ = (
        "__weakref__",
        "_all_meant",
        "_cool_most",
        "_cool_until",
        "_meant",
        "_monotonic",
        "_others_pass",
        "_paces",
        "abandoned",
        "breaker",
        "budget",
        "is_throttled",
        "latency_s",
        "limiter",
        "pacer",
        "provider_id",
        "provider_model",
        "throttle_reason",
        "unreachable",
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
        self.pacer = Pacer(ambient.monotonic)
        self.is_throttled = False
        """Whether it may want a pause or a slower pace, and the cause for which."""
        self.throttle_reason = "rate_limit"
        self.unreachable: str | None = None
        self.latency_s: float | None = None
        """Time to the first byte, lately; None while nothing has answered."""
        self.abandoned = self.breaker.abandoned
        self._monotonic = ambient.monotonic
        self._cool_most = settings.retry.cool_most
        self._paces = settings.pace
        self._cool_until = 0.0
        # Who was refused since it last wanted nothing, whether others were answered meanwhile, and whether all are meant by it.
        self._meant: set[str] = set()
        self._others_pass = False
        self._all_meant = False

    @property
    def active(self) -> int:
        """Attempts in flight."""
        return self.limiter.used

    def is_available(self) -> bool:
        """Say whether it would be asked now: its breaker is closed or due a probe, and it wants no pause."""
        return self.breaker.ready() and not (self.wait_s() and self._all_meant)

    def wait_s(self, whose: str | None = None) -> float:
        """Return seconds until it may be asked, 0 for now: what is left of its pause, or until the next turn at its pace.

        With `whose`, until somebody may ask it: who is not meant by its pause and pace need not keep to them.
        """
        if not self.is_throttled:
            return 0.0
        wait = max(self._cool_until - self._monotonic(), self.pacer.wait_s(), 0.0)
        self.is_throttled = wait > 0 or self.pacer.holds
        if not self.is_throttled:
            self._meant.clear()
            self._all_meant = self._others_pass = False
        return wait if whose is None or self.is_meant(whose) else 0.0

    def is_meant(self, whose: str) -> bool:
        """Say whether somebody has to keep to its pause and pace.

        What one is refused for may be of their own making. So only they are held back, until others are refused too; and where
        somebody else was answered in between, none but those who were refused.
        """
        return self._all_meant or whose in self._meant

    def begin(self, *, force: bool = False, retry: bool = False) -> int:
        """Return a ticket, or 0 if it is not to be asked now; see `Breaker.begin`. A `retry` is no new request."""
        ticket = self.breaker.begin(force=force, retry=retry)
        if ticket and not retry:
            self.budget.note()
        return ticket

    def succeeded(self, ticket: int, whose: str | None = None) -> None:
        """The attempt got what it asked for."""
        self.unreachable = None
        if self.is_throttled and whose is not None and whose not in self._meant:
            self._others_pass = True
        self.breaker.succeeded(ticket)
        self.pacer.passed()

    def failed(
        self,
        ticket: int,
        cause: str,
        retry_after: float | None = None,
        unreachable: str | None = None,
        whose: str | None = None,
    ) -> None:
        """The attempt failed; a target that is limited or overloaded gets the pause it asked for, and a slower pace.

        `unreachable` is why it could not be asked at all, `whose` the attempt was; None: that of all.
        """
        self.unreachable = unreachable
        if cause not in LIMITED:
            self.breaker.failed(ticket, cause)
            return
        self._mean(whose if cause == "rate_limit" else None)
        if self._all_meant:
            self.breaker.failed(ticket, cause)
        else:
            self.breaker.abandoned(ticket)  # it may be nobody else's business
        self.is_throttled, self.throttle_reason = True, cause
        if cause == "rate_limit" and self._paces:
            self.pacer.refused()
        if retry_after:
            self.cool_down(retry_after)

    def cool_down(self, seconds: float) -> None:
        """Leave it alone for so long, at most the setting `cool_most`; a pause that ends later stays."""
        self._cool_until = max(self._cool_until, self._monotonic() + min(seconds, self._cool_most))
        self.pacer.pause(self._cool_until)
        self.is_throttled = True

    def _mean(self, whose: str | None) -> None:
        if whose is None or (self._meant and whose not in self._meant and not self._others_pass):
            self._all_meant = True
        elif whose not in self._meant:
            self._meant.add(whose)
            self._others_pass = False

    def reset(self) -> None:
        """Ask it from now on, whatever it did and whatever pause it asked for."""
        self._cool_until = 0.0
        self.pacer.lift()
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
            cooling_s=self.wait_s(),
            unreachable=self.unreachable,
        )
