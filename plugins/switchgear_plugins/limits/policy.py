"""Holds every request to its limits: those of its principal (`facts["limits"]`), and those of the resources `limits`."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from switchgear.contracts.counters import Bucket, Counters, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.resource import Snapshot
from switchgear.errors import ApiError, RateLimited
from switchgear_plugins.limits.compiled import Compiled, OfPrincipal, duration
from switchgear_plugins.limits.limit import LIMITS
from switchgear_plugins.limits.resources import KIND, Rule

MOST_CACHED = 16_384
"""Principals whose limits are kept compiled."""
_NOTE = "limits"
"""What an exchange has reserved is noted with it: its principal may have become another before it is settled."""


class LimitsPolicy(Policy):
    """Names the buckets of all limits of a request, which are reserved with everybody else's.

    Answers and refusals alike say how requests and tokens stand, in the headers OpenAI uses:
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers

    What an exchange is under is decided by its principal and its snapshot, so that it is the same in all phases. `has_rules` is
    set once there has been a resource, and stays: until then no request asks for any.
    """

    on_error = "deny"
    budget_s = 1.0
    sorts = frozenset(limit.sort for limit in LIMITS)
    guarded = False

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._compiled: dict[str, OfPrincipal] = {}
        self.has_rules = False
        self._snapshot: Snapshot | None = None
        self._rules: tuple[Rule, ...] = ()

    def reserve(self, x: Exchange) -> Sequence[Bucket]:
        """Name a bucket for each limit."""
        held = x.notes[_NOTE] = self._held(x)
        return held.asked(x) if held.measures else held.buckets

    def any_request(self, x: Exchange) -> Sequence[Bucket]:
        """Name a bucket for each limit on requests that is there whatever is asked."""
        return self._of_principal(x).always.of_requests

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Say in headers how the limits stand that have some."""
        held: Compiled = x.notes[_NOTE]
        for shown in held.shown:
            x.lines += shown.lines(rooms[shown.index])
        if held.several:
            x.lines += held.lines(rooms)

    def used(self, x: Exchange) -> Sequence[int] | None:
        """Say what was taken of limits that are not on requests."""
        held: Compiled = x.notes[_NOTE]
        return held.used(x) if held.measures else None

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:  # noqa: ARG002 - the phase's form
        """Name the limit that is reached."""
        it = self._held(x).held[index]
        whose = f" of the limit `{it.rule}`" if it.rule else ""
        return RateLimited(
            f"Rate limit reached for {it.limit.words}{whose}: limit {it.bucket.limit}. Try again in {duration(retry_after_s)}.",
            code="rate_limit_exceeded",
            retry_after=retry_after_s,
        )

    def uncounted(self, x: Exchange, processes: int) -> Sequence[Bucket] | None:
        """Name the share of this process, where every limit says that it may be counted so and there is some of each."""
        held = self._held(x)
        shares = [it.share(x, processes) for it in held.held] if held.local else []
        return shares if shares and all(it.limit > 0 for it in shares) else None

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]] | None:
        """Say what is left of each limit; None where there is none."""
        held = self._held(x)
        if not held.buckets:
            return None
        rooms = self._counters.peek(held.buckets)
        return held.standing(rooms) if isinstance(rooms, tuple) else _standing_later(held, rooms)

    def _held(self, x: Exchange) -> Compiled:
        """Return the compiled limits of a request."""
        if self.has_rules:
            return self._of_principal(x).of(x)
        principal = x.principal
        found = self._compiled.get("" if principal is None else principal.id)
        if found is None or found.principal is not principal:
            found = self._of_principal(x)
        return found.always

    def _of_principal(self, x: Exchange) -> OfPrincipal:
        principal = x.principal
        id = "" if principal is None else principal.id
        found = self._compiled.get(id)
        if found is None or found.principal is not principal:
            if len(self._compiled) >= MOST_CACHED:
                self._compiled.clear()
            found = self._compiled[id] = OfPrincipal(principal)
        if self.has_rules:
            if x.snapshot is not self._snapshot:
                self._take(x.snapshot)
            found.take(self._rules)
        return found

    def _take(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        rules = tuple(rule for _, rule in sorted(snapshot.all(KIND).items()) if rule.limits)
        if rules != self._rules:
            self._rules = rules


async def _standing_later(held: Compiled, rooms: Awaitable[Sequence[Room]]) -> Mapping[str, Any]:
    return held.standing(await rooms)
