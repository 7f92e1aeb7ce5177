"""When the breaker opens, whom it lets through, and what closes it."""

import asyncio
from collections.abc import Callable

import pytest

from switchgear.exchange.health.breaker import COUNTED, Breaker, BreakerView, State
from switchgear.exchange.health.settings import BreakerSettings
from switchgear.testing.ambient import FixedAmbient

SETTINGS = BreakerSettings()
LONGEST = 1.2  # of a time that is a fifth more or less by chance


class Toy:
    """A breaker, its clock and what it told."""

    def __init__(self, settings: BreakerSettings = SETTINGS, *, seed: int = 0) -> None:
        self.ambient = FixedAmbient(seed=seed)
        self.told: list[tuple[State, State]] = []
        self.breaker = Breaker(settings, self.ambient, self._changed)

    def _changed(self, previous: State, view: BreakerView) -> None:
        self.told.append((previous, view.state))

    def fail(self, count: int, cause: str = "server") -> None:
        for _ in range(count):
            self.breaker.failed(self.breaker.begin(), cause)

    def succeed(self, count: int) -> None:
        for _ in range(count):
            self.breaker.succeeded(self.breaker.begin())

    def opened(self) -> "Toy":
        self.fail(SETTINGS.least)
        assert self.breaker.state == "open"
        return self

    def due(self) -> "Toy":
        wait = self.breaker.view().retry_in_s
        assert wait is not None
        self.ambient.advance(wait + 1e-6)
        return self


def test_it_opens_at_the_rate_once_there_are_enough_requests() -> None:
    toy = Toy()
    toy.fail(4)
    toy.succeed(5)
    assert toy.breaker.state == "closed"  # nine say nothing
    toy.fail(1)
    assert toy.breaker.state == "open"


def test_it_stays_closed_below_the_rate() -> None:
    toy = Toy()
    for _ in range(200):
        toy.succeed(2)
        toy.fail(1)
    assert toy.breaker.state == "closed"


def test_failures_that_are_long_past_are_forgotten() -> None:
    toy = Toy()
    toy.fail(9)
    toy.ambient.advance(SETTINGS.window)
    toy.fail(9)
    assert toy.breaker.state == "closed"
    assert toy.breaker.view().causes == {"server": 9}


@pytest.mark.parametrize("cause", ["connect", "connect_timeout", "first_byte_timeout", "idle_timeout", "timeout"])
def test_five_in_a_row_that_did_not_answer_are_enough(cause: str) -> None:
    toy = Toy()
    toy.fail(4, cause)
    assert toy.breaker.state == "closed"
    toy.fail(1, cause)
    assert toy.breaker.state == "open"


@pytest.mark.parametrize("between", ["success", "server"])
def test_an_answer_of_any_kind_breaks_the_row(between: str) -> None:
    toy = Toy(BreakerSettings(least=1000))
    toy.fail(4, "connect")
    if between == "success":
        toy.succeed(1)
    else:
        toy.fail(1, between)
    toy.fail(4, "connect")
    assert toy.breaker.state == "closed"
    toy.fail(1, "connect")
    assert toy.breaker.state == "open"


def test_retries_are_no_requests() -> None:
    toy = Toy()
    for _ in range(9):
        toy.fail(1)
        for _ in range(3):
            toy.breaker.failed(toy.breaker.begin(retry=True), "server")
    view = toy.breaker.view()
    assert ("closed", 9, 9) == (view.state, view.requests, view.failures)
    toy = Toy()
    toy.fail(4, "connect")
    toy.breaker.failed(toy.breaker.begin(retry=True), "connect")
    assert "closed" == toy.breaker.state
    toy.breaker.succeeded(toy.breaker.begin(retry=True))
    toy.fail(4, "connect")
    assert ("closed", 8) == (toy.breaker.state, toy.breaker.view().requests), "an answer breaks the row, whoever got it"


def test_what_is_not_the_targets_fault_counts_neither_way() -> None:
    causes = [
        "auth",
        "permission",
        "quota",
        "invalid_request",
        "context_length",
        "content_filter",
        "not_found",
        "error",
    ]
    causes += ["credential", "total_timeout", "egress", "request", "client_gone", "policy_stop"]
    assert [] == [cause for cause in causes if cause in COUNTED]
    toy = Toy()
    for cause in causes:
        toy.fail(10, cause)
    toy.breaker.abandoned(toy.breaker.begin())
    view = toy.breaker.view()
    assert ("closed", 0, 0) == (view.state, view.requests, view.failures)


@pytest.mark.parametrize("cause", sorted(COUNTED))
def test_every_cause_that_speaks_against_it_is_counted_by_name(cause: str) -> None:
    toy = Toy()
    toy.fail(10, cause)
    assert toy.breaker.state == "open"
    assert toy.breaker.view().causes == {cause: toy.breaker.view().failures}


def test_open_it_lets_nobody_through_until_the_probe_is_due() -> None:
    for seed in range(50):
        toy = Toy(seed=seed).opened()
        wait = toy.breaker.view().retry_in_s
        assert wait is not None
        assert 0.8 * SETTINGS.open <= wait <= LONGEST * SETTINGS.open
        toy.ambient.advance(wait - 1e-6)
        assert (False, 0) == (toy.breaker.ready(), toy.breaker.begin())
        toy.ambient.advance(2e-6)
        assert toy.breaker.ready()
        assert toy.breaker.begin()
        assert toy.breaker.state == "half_open"


async def test_of_two_racers_one_gets_the_probe() -> None:
    toy = Toy().opened().due()
    tickets: list[int] = []

    async def racer() -> None:
        if toy.breaker.ready():
            await asyncio.sleep(0)  # both see that a probe is due before either takes it
            tickets.append(toy.breaker.begin())

    await asyncio.gather(racer(), racer())
    assert [False, True] == sorted(bool(ticket) for ticket in tickets)


def test_a_probe_that_does_not_come_back_is_followed_by_another() -> None:
    toy = Toy().opened().due()
    first = toy.breaker.begin()
    toy.ambient.advance(0.8 * SETTINGS.probe_every - 1e-6)
    assert toy.breaker.begin() == 0
    toy.ambient.advance(0.5 * SETTINGS.probe_every)
    second = toy.breaker.begin()
    assert second not in {0, first}
    toy.breaker.abandoned(first)  # the one that is out is the second
    assert toy.breaker.begin() == 0
    toy.breaker.succeeded(first)
    assert toy.breaker.state == "closed"


def test_a_probe_that_succeeds_closes_it_and_all_is_forgotten() -> None:
    toy = Toy().opened().due()
    toy.succeed(1)
    view = toy.breaker.view()
    assert ("closed", 0, {}, None) == (view.state, view.requests, view.causes, view.retry_in_s)
    toy.fail(9)
    assert toy.breaker.state == "closed"
    assert [("closed", "open"), ("open", "half_open"), ("half_open", "closed")] == toy.told


def test_each_probe_that_fails_doubles_the_wait_up_to_the_most() -> None:
    toy = Toy().opened()
    for seconds in (10.0, 20.0, 30.0, 30.0):
        toy.due().fail(1)
        wait = toy.breaker.view().retry_in_s
        assert wait is not None
        assert 0.8 * seconds <= wait <= min(LONGEST * seconds, SETTINGS.open_most)
    toy.due().succeed(1)
    toy.opened()
    wait = toy.breaker.view().retry_in_s
    assert wait is not None
    assert wait <= LONGEST * SETTINGS.open


@pytest.mark.parametrize("give_back", [lambda b, t: b.abandoned(t), lambda b, t: b.failed(t, "invalid_request")])
def test_a_probe_that_taught_nothing_is_given_back(give_back: Callable[[Breaker, int], None]) -> None:
    toy = Toy().opened().due()
    give_back(toy.breaker, toy.breaker.begin())
    assert toy.breaker.state == "half_open"
    assert toy.breaker.ready()
    toy.succeed(1)
    assert toy.breaker.state == "closed"


def test_what_began_before_it_opened_says_nothing_any_more() -> None:
    toy = Toy()
    early = [toy.breaker.begin() for _ in range(30)]
    toy.opened()
    toy.breaker.succeeded(early.pop())
    assert toy.breaker.state == "open"
    toy.due()
    assert toy.breaker.begin()
    toy.breaker.succeeded(early.pop())
    toy.breaker.failed(early.pop(), "server")
    toy.breaker.abandoned(early.pop())
    assert ("half_open", 0) == (toy.breaker.state, toy.breaker.begin())
    toy.ambient.advance(LONGEST * SETTINGS.probe_every)
    toy.succeed(1)
    for ticket in early:
        toy.breaker.failed(ticket, "first_byte_timeout")
    assert ("closed", 0) == (toy.breaker.state, toy.breaker.view().requests)


def test_the_last_resort_is_asked_though_open_and_only_its_success_counts() -> None:
    toy = Toy().opened()
    wait = toy.breaker.view().retry_in_s
    for _ in range(20):
        ticket = toy.breaker.begin(force=True)
        assert ticket
        toy.breaker.failed(ticket, "server")
        toy.breaker.abandoned(ticket)
    assert ("open", wait) == (toy.breaker.state, toy.breaker.view().retry_in_s)
    stale, fresh = toy.breaker.begin(force=True), toy.breaker.begin(force=True)
    toy.breaker.succeeded(fresh)
    assert toy.breaker.state == "closed"
    toy.opened()
    toy.breaker.succeeded(stale)
    assert toy.breaker.state == "open"


def test_forced_when_a_probe_is_due_it_is_the_probe() -> None:
    toy = Toy().opened().due()
    ticket = toy.breaker.begin(force=True)
    assert ("half_open", 0) == (toy.breaker.state, toy.breaker.begin())
    toy.breaker.failed(ticket, "server")
    assert toy.breaker.state == "open"


@pytest.mark.parametrize("jump_us", [3_600_000_000, -3_600_000_000, 1_000_000, -1_000_000])
def test_a_jump_of_the_wall_clock_changes_nothing(jump_us: int) -> None:
    def life(jump_us: int) -> list[tuple[str, float | None, int]]:
        toy = Toy()
        seen: list[tuple[str, float | None, int]] = []
        for step in range(60):
            toy.ambient.wall_us += jump_us * (-1) ** (step // 20)
            toy.ambient.advance(0.9)
            ticket = toy.breaker.begin()
            if step < 30:
                toy.breaker.failed(ticket, "server")
            else:
                toy.breaker.succeeded(ticket)
            view = toy.breaker.view()
            seen.append((view.state, view.retry_in_s, view.failures))
        return seen

    assert life(0) == life(jump_us)
    assert {"open", "closed"} <= {state for state, _, _ in life(0)}


def test_since_when_is_told_in_wall_time() -> None:
    toy = Toy()
    began = toy.ambient.wall_us
    toy.ambient.advance(3)
    assert began == toy.breaker.view().since_us
    toy.opened()
    assert began + 3_000_000 == toy.breaker.view().since_us


def test_closed_by_hand_it_forgets_and_who_began_before_says_nothing() -> None:
    toy = Toy().opened()
    toy.breaker.reset()
    assert [("closed", "open"), ("open", "closed")] == toy.told
    view = toy.breaker.view()
    assert ("closed", 0, 0, None) == (view.state, view.requests, view.failures, view.retry_in_s)
    toy.fail(SETTINGS.least - 1)
    assert "closed" == toy.breaker.state


def test_closed_by_hand_while_closed_it_only_forgets() -> None:
    toy = Toy()
    toy.fail(SETTINGS.least - 1)
    ticket = toy.breaker.begin()
    toy.breaker.reset()
    assert [] == toy.told
    toy.breaker.failed(ticket, "server")
    assert ("closed", 1) == (toy.breaker.state, toy.breaker.view().failures)


def test_a_probe_that_fails_after_it_was_closed_by_hand_changes_nothing() -> None:
    toy = Toy().opened().due()
    probe = toy.breaker.begin()
    toy.breaker.reset()
    toy.breaker.failed(probe, "server")
    assert "closed" == toy.breaker.state
