"""The breaker against a simpler telling of the same: every event kept, every rule applied to the whole list."""

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from switchgear.exchange.health.breaker import COUNTED, Breaker, BreakerView, State
from switchgear.exchange.health.settings import BreakerSettings
from switchgear.testing.ambient import FixedAmbient

SETTINGS = BreakerSettings(window=10.0, least=6, rate=0.5, in_a_row=4, open=2.0, open_most=7.0, probe_every=3.0)
SILENT = {"connect", "connect_timeout", "first_byte_timeout", "idle_timeout", "timeout"}
AGAINST = st.sampled_from(sorted(COUNTED))
NEITHER = st.sampled_from(["auth", "invalid_request", "content_filter", "not_found", "client_gone"])


class BreakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ambient = FixedAmbient()
        self.told: list[tuple[State, State]] = []
        self.breaker = Breaker(SETTINGS, self.ambient, self._changed)
        self.state = "closed"
        self.events: list[tuple[int, str]] = []  # (tenth of a window, cause or "")
        self.row = 0
        self.failed_probes = 0
        self.era = 0  # counts how often it opened or closed
        self.out: list[tuple[int, int, str]] = []  # (ticket, era, "normal" | "probe" | "forced")
        self.probe: int | None = None  # the newest probe, while it is out
        self.opened_at = self.probed_at = self.ambient.monotonic()

    def _changed(self, previous: State, view: BreakerView) -> None:
        assert view.state == self.breaker.state
        self.told.append((previous, view.state))

    @property
    def now(self) -> float:
        return self.ambient.monotonic()

    def take(self, dice: int) -> tuple[int, int, str]:
        return self.out.pop(dice % len(self.out))

    def open(self) -> None:
        self.state, self.opened_at, self.probe, self.era = "open", self.now, None, self.era + 1
        wait = self.breaker.view().retry_in_s
        assert wait is not None
        seconds = min(SETTINGS.open * 2**self.failed_probes, SETTINGS.open_most)
        assert 0.8 * seconds <= wait + 1e-9 <= min(1.2 * seconds, SETTINGS.open_most) + 2e-9

    def inside(self) -> list[str]:
        tenth = int(self.now // (SETTINGS.window / 10))
        return [cause for at, cause in self.events if at > tenth - 10]

    def count(self, cause: str) -> None:
        self.events.append((int(self.now // (SETTINGS.window / 10)), cause))

    @rule(seconds=st.one_of(st.floats(0, 1), st.floats(0, 12)))
    def time_passes(self, seconds: float) -> None:
        self.ambient.advance(seconds)

    @rule(seconds=st.sampled_from([3600, -3600, 1, -1]))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        self.ambient.wall_us += seconds * 1_000_000

    @rule(force=st.booleans())
    def begin(self, force: bool) -> None:
        ready = self.breaker.ready()
        ticket = self.breaker.begin(force=force)
        assert bool(ticket) == (ready or force)
        if self.state == "closed":
            assert ready
            self.out.append((ticket, self.era, "normal"))
        elif ready:
            self.probe_taken(ticket)
        elif ticket:
            self.out.append((ticket, self.era, "forced"))

    def probe_taken(self, ticket: int) -> None:
        if self.state == "open":
            shortest = min(SETTINGS.open * 2**self.failed_probes, SETTINGS.open_most) * 0.8
            assert self.now - self.opened_at >= shortest - 1e-9
        elif self.probe is not None:
            assert self.now - self.probed_at >= SETTINGS.probe_every * 0.8 - 1e-9
        self.state, self.probe, self.probed_at = "half_open", ticket, self.now
        self.out.append((ticket, self.era, "probe"))

    @precondition(lambda self: self.state == "closed")
    @rule()
    def try_again(self) -> None:
        self.out.append((self.breaker.begin(retry=True), self.era, "retry"))

    @precondition(lambda self: self.out)
    @rule(dice=st.integers(0, 1000))
    def succeed(self, dice: int) -> None:
        ticket, era, kind = self.take(dice)
        self.breaker.succeeded(ticket)
        if era != self.era:
            return
        self.row = 0
        if kind == "retry":
            return
        if self.state == "closed":
            self.count("")
        else:
            self.state, self.events, self.failed_probes, self.era = "closed", [], 0, self.era + 1

    @precondition(lambda self: self.out)
    @rule(dice=st.integers(0, 1000), cause=AGAINST)
    def fail(self, dice: int, cause: str) -> None:
        ticket, era, kind = self.take(dice)
        self.breaker.failed(ticket, cause)
        if era != self.era or kind in ("forced", "retry"):
            return
        if kind == "probe":
            self.failed_probes += 1
            self.open()
            return
        self.count(cause)
        self.row = self.row + 1 if cause in SILENT else 0
        seen = self.inside()
        bad = len(seen) - seen.count("")
        if self.row >= SETTINGS.in_a_row or (len(seen) >= SETTINGS.least and bad >= SETTINGS.rate * len(seen)):
            self.open()

    @precondition(lambda self: self.out)
    @rule(dice=st.integers(0, 1000), cause=st.one_of(st.none(), NEITHER))
    def abandon(self, dice: int, cause: str | None) -> None:
        ticket, _, _ = self.take(dice)
        ready = self.breaker.ready()
        if cause is None:
            self.breaker.abandoned(ticket)
        else:
            self.breaker.failed(ticket, cause)
        if ticket == self.probe:
            self.probe = None
            assert self.breaker.ready()
        else:
            assert ready == self.breaker.ready()

    @invariant()
    def it_is_in_the_state_it_should_be(self) -> None:
        assert self.state == self.breaker.state
        assert (self.state == "closed") == (self.breaker.view().retry_in_s is None)

    @invariant()
    def it_counts_what_happened(self) -> None:
        view, seen = self.breaker.view(), self.inside()
        assert len(seen) == view.requests
        assert {cause: seen.count(cause) for cause in set(seen) - {""}} == view.causes
        assert view.failures == sum(view.causes.values())

    @invariant()
    def it_is_asked_again_in_good_time(self) -> None:
        longest = max(SETTINGS.open_most, SETTINGS.probe_every) * 1.2
        since = self.opened_at if self.state == "open" else self.probed_at
        assert self.breaker.ready() or self.now - since <= longest + 1e-9

    @invariant()
    def what_it_told_is_a_chain(self) -> None:
        chain = [("closed", "closed"), *self.told]
        assert all(one[1] == two[0] and two[0] != two[1] for one, two in pairwise(chain))
        assert chain[-1][1] == self.state


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
