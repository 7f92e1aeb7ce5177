"""Slots: never more than there are, none lost, first come first served."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polling import eventually
from switchgear.limiter import Limiter


def test_free_slots_are_taken_without_waiting() -> None:
    limiter = Limiter(2)
    assert [True, True, False] == [limiter.take() for _ in range(3)]
    limiter.release()
    assert (True, 2) == (limiter.take(), limiter.used)


def test_without_a_limit_there_is_always_one_and_they_are_counted() -> None:
    limiter = Limiter(None)
    assert all(limiter.take() for _ in range(1000))
    assert (1000, None) == (limiter.used, limiter.limit)
    limiter.release()
    assert 999 == limiter.used


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(limit: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(limit)


@pytest.mark.parametrize("wait_s", [0.0, 0.01])
async def test_who_waits_too_long_gets_no_slot(wait_s: float) -> None:
    limiter = Limiter(1)
    assert [True, False] == [await limiter.acquire(wait_s) for _ in range(2)]
    assert (1, 0) == (limiter.used, limiter.waiting)
    limiter.release()
    assert (0, True) == (limiter.used, limiter.take())


async def test_slots_go_to_who_has_waited_longest_and_nobody_overtakes() -> None:
    limiter, served = Limiter(1), []
    assert limiter.take()

    async def one(number: int) -> None:
        assert await limiter.acquire(5)
        served.append(number)
        assert not limiter.take()  # the others were there first
        limiter.release()

    tasks = [asyncio.ensure_future(one(number)) for number in range(20)]
    await asyncio.sleep(0)
    assert 20 == limiter.waiting
    tasks[3].cancel()
    limiter.release()
    await asyncio.wait(tasks)
    assert [n for n in range(20) if n != 3] == served
    assert (0, 0) == (limiter.used, limiter.waiting)


async def test_a_slot_handed_to_somebody_who_is_cancelled_in_that_moment_goes_on_to_the_next() -> None:
    limiter = Limiter(1)
    assert limiter.take()
    first, second = (asyncio.ensure_future(limiter.acquire(5)) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release()
    first.cancel()
    await asyncio.wait((first, second))
    assert (True, None, 1) == (first.cancelled(), second.exception(), limiter.used)


async def test_those_who_give_up_leave_nothing_behind_while_no_slot_comes_free() -> None:
    limiter = Limiter(1)
    assert limiter.take()
    tasks = [asyncio.ensure_future(limiter.acquire(0.001 if n % 2 else 60)) for n in range(1000)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    assert (1, 0) == (limiter.used, limiter.waiting)


async def test_more_slots_let_those_in_who_wait_and_fewer_drain() -> None:
    limiter = Limiter(1)
    assert limiter.take()
    tasks = [asyncio.ensure_future(limiter.acquire(5)) for _ in range(4)]
    await asyncio.sleep(0)
    limiter.resize(3)
    await eventually(lambda: sum(task.done() for task in tasks) == 2)
    assert (3, 2) == (limiter.used, limiter.waiting)
    limiter.resize(1)
    limiter.release()
    limiter.release()
    assert (1, 2) == (limiter.used, limiter.waiting)
    limiter.resize(None)
    await asyncio.wait(tasks)
    assert (3, 0) == (limiter.used, limiter.waiting)


async def churn(calls: int, limit: int, seed: int) -> Counter[str]:
    """Have many come, wait, be cancelled at any moment or hold on to a slot; check the bound all the while."""
    limiter, dice, held, ends = Limiter(limit), random.Random(seed), 0, Counter[str]()
    gate = asyncio.Semaphore(4 * limit)

    async def call(rounds: int, wait_s: float) -> bool:
        nonlocal held
        if not limiter.take() and not await limiter.acquire(wait_s):
            return False
        held += 1
        try:
            assert held <= limit
            assert limiter.used <= limit
            for _ in range(rounds):
                await asyncio.sleep(0)
        finally:
            held -= 1
            limiter.release()
        return True

    async def one() -> None:
        async with gate:
            task = asyncio.ensure_future(call(dice.randrange(6), dice.choice((0.0, 0.0001, 0.001, 5.0))))
            if dice.random() < 0.5:
                for _ in range(dice.randrange(10)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait((task,))
            if task.cancelled():
                ends["cancelled"] += 1
            else:
                ends["served" if task.result() else "busy"] += 1

    await asyncio.gather(*(one() for _ in range(calls)))
    assert (0, 0, 0) == (held, limiter.used, limiter.waiting)
    assert [True] * limit + [False] == [limiter.take() for _ in range(limit + 1)]
    return ends


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
async def test_five_or_fifty_thousand_calls_of_which_half_are_cancelled_lose_no_slot(rounds: int) -> None:
    total = Counter[str]()
    for seed in range(rounds):
        total += await churn(5000, limit=8, seed=seed)
    assert 5000 * rounds == total.total()
    assert min(total["served"], total["cancelled"], total["busy"]) > 100 * rounds


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["take", "acquire", "release", "turn"]), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 100)),
        st.tuples(st.just("resize"), st.one_of(st.none(), st.integers(1, 4))),
    ),
    max_size=60,
)


class Desk:
    """Plays steps on a limiter and keeps count of who holds what."""

    def __init__(self) -> None:
        self.limiter = Limiter(2)
        self.taken = self.released = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def held(self) -> int:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.taken + sum(task.done() and not task.cancelled() for task in self.tasks) - self.released

    async def play(self, step: str, number: int | None) -> None:
        if step == "take":
            self.taken += self.limiter.take()
        elif step == "acquire":
            self.tasks.append(asyncio.ensure_future(self.limiter.acquire(60)))
        elif step == "release" and await self.held():
            self.limiter.release()
            self.released += 1
        elif step == "turn":
            await asyncio.sleep(0)
        elif step == "cancel" and self.tasks and number is not None:
            self.tasks[number % len(self.tasks)].cancel()
        elif step == "resize":
            self.limiter.resize(number)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_the_order_of_events_every_slot_is_held_once(steps: list[tuple[str, int | None]]) -> None:
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, int | None]]) -> None:
    desk = Desk()
    for step in steps:
        await desk.play(*step)
    assert await desk.held() == desk.limiter.used
    assert sum(not task.done() for task in desk.tasks) == desk.limiter.waiting
    limit = desk.limiter.limit
    assert desk.limiter.waiting == 0 or (limit is not None and desk.limiter.used >= limit)
    for task in desk.tasks:
        task.cancel()
    await asyncio.gather(*desk.tasks, return_exceptions=True)


async def test_however_many_wait_for_one_the_next_slot_but_one_is_anothers() -> None:
    limiter, served = Limiter(1), []
    assert limiter.take()

    async def one(whose: str) -> None:
        assert await limiter.acquire(5, whose)
        served.append(whose)
        limiter.release()

    tasks = [asyncio.ensure_future(one("storm")) for _ in range(1000)]
    await asyncio.sleep(0)
    tasks += [asyncio.ensure_future(one(whose)) for whose in ("a", "b", "a")]
    await asyncio.sleep(0)
    limiter.release()
    await asyncio.wait(tasks)
    assert ["storm", "a", "b", "storm", "a", "storm"] == served[:6]
    assert (0, 0, 1003) == (limiter.used, limiter.waiting, len(served))
