"""One mechanism for every timeout and abort: exact, and gone when closed."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable

import pytest

from polling import eventually
from support.stopwatch import Stopwatch
from switchgear.errors import ClientGone, FirstByteTimeout, IdleTimeout, TotalTimeout
from switchgear.upstream.watch import Watch


def watch(total: float = 60.0) -> Watch:
    return Watch(asyncio.get_running_loop(), total)


async def ended_by(watching: Watch, work: Awaitable[object]) -> BaseException | None:
    """Return the cause that ended `work`, None for an outside cancellation; fail if it was not cancelled."""
    try:
        await work
    except asyncio.CancelledError:
        return watching.cause()
    pytest.fail("was not cancelled")


async def test_what_is_expected_must_happen_in_time() -> None:
    watching = watch()
    took = Stopwatch()
    watching.expect(FirstByteTimeout, 0.1)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), FirstByteTimeout)
    assert took.between(0.09, 0.2), took
    watching.close()


async def test_each_event_starts_the_clock_anew() -> None:
    watching = watch()
    took = Stopwatch()
    for _ in range(20):
        watching.expect(IdleTimeout, 0.4)
        await asyncio.sleep(0.03)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), IdleTimeout)
    assert took.between(0.8, 1.3), took
    watching.close()


async def test_the_total_deadline_wins_whatever_is_expected() -> None:
    watching = watch(total=0.1)
    watching.expect(FirstByteTimeout, 30)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), TotalTimeout)
    took = Stopwatch()
    watching.expect(FirstByteTimeout, 30)  # another attempt has no time left
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), TotalTimeout)
    assert took.s < 0.1
    watching.close()


async def test_the_total_deadline_wins_after_an_attempts_timeout() -> None:
    watching = watch(total=0.2)
    took = Stopwatch()
    watching.expect(FirstByteTimeout, 0.1)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), FirstByteTimeout)
    watching.expect(FirstByteTimeout, 0.4)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), TotalTimeout)
    assert took.between(0.19, 0.35), took
    watching.close()


async def test_relaxed_only_the_total_counts() -> None:
    watching = watch(total=0.2)
    watching.expect(FirstByteTimeout, 0.05)
    watching.relax()
    await asyncio.sleep(0.1)
    assert isinstance(await ended_by(watching, asyncio.sleep(5)), TotalTimeout)
    watching.close()


async def test_after_an_attempts_timeout_the_next_attempt_is_watched() -> None:
    watching = watch()
    for _ in range(3):
        watching.expect(FirstByteTimeout, 0.03)
        assert isinstance(await ended_by(watching, asyncio.sleep(5)), FirstByteTimeout)
        await asyncio.sleep(0.05)  # between attempts nothing is due
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()
    watching.close()


async def test_an_abort_from_a_callback_reaches_the_task() -> None:
    watching = watch()
    gone = ClientGone("The client left.")
    asyncio.get_running_loop().call_later(0.02, watching.abort, gone)
    assert gone is await ended_by(watching, asyncio.sleep(5))
    watching.close()


async def test_the_first_abort_counts() -> None:
    watching = watch()
    first, second = ClientGone("first"), ClientGone("second")
    loop = asyncio.get_running_loop()
    loop.call_soon(watching.abort, first)
    loop.call_soon(watching.abort, second)
    assert first is await ended_by(watching, asyncio.sleep(5))
    await asyncio.sleep(0.01)
    watching.close()


async def test_an_abort_by_the_task_itself_raises() -> None:
    watching = watch()
    with pytest.raises(ClientGone):
        watching.abort(ClientGone("The client left."))
    await asyncio.sleep(0)
    watching.close()


async def test_an_outside_cancellation_is_not_mistaken() -> None:
    async def exchange() -> BaseException | None:
        watching = watch()
        try:
            return await ended_by(watching, asyncio.sleep(5))
        finally:
            watching.close()

    task = asyncio.ensure_future(exchange())
    await asyncio.sleep(0)
    task.cancel()
    assert None is await task


async def test_an_outside_cancellation_at_the_same_time_wins() -> None:
    async def exchange() -> BaseException | None:
        watching = watch()
        loop.call_later(0.02, watching.abort, ClientGone("The client left."))
        loop.call_later(0.02, task.cancel)
        try:
            return await ended_by(watching, asyncio.sleep(5))
        finally:
            watching.close()

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(exchange())
    assert None is await task


@pytest.mark.parametrize("abort_first", [True, False])
async def test_a_cancel_that_meets_its_result_is_not_lost(abort_first: bool) -> None:
    """The awaited thing is done and the deadline passes in the same turn of the loop."""
    loop = asyncio.get_running_loop()
    watching = watch()
    waiter: asyncio.Future[None] = loop.create_future()
    gone = ClientGone("The client left.")
    if abort_first:
        loop.call_soon(watching.abort, gone)
    loop.call_soon(lambda: waiter.done() or waiter.set_result(None))
    if not abort_first:
        loop.call_soon(watching.abort, gone)
    assert gone is await ended_by(watching, waiter)
    watching.close()
    await asyncio.sleep(0)


async def test_after_close_nothing_happens() -> None:
    watching = watch(total=0.05)
    called: list[int] = []
    watching.expect(IdleTimeout, 0.02)
    watching.on_silence(0.02, lambda: called.append(1))
    watching.close()
    watching.close()
    watching.abort(ClientGone("too late"))
    watching.expect(IdleTimeout, 0.0)
    await asyncio.sleep(0.1)
    assert [] == called
    assert None is watching.cause()


async def test_closing_takes_back_a_cause_nobody_asked_for() -> None:
    """What swallowed the cancellation ended the region; the task is not left marked as cancelled."""
    watching = watch()
    asyncio.get_running_loop().call_soon(watching.abort, ClientGone("The client left."))
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(5)
    watching.close()
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()


async def test_silence_is_reported_again_and_again_and_traffic_puts_it_off() -> None:
    watching = watch()
    calls: list[float] = []
    start = time.monotonic()
    watching.on_silence(0.4, lambda: calls.append(time.monotonic() - start))
    for _ in range(20):
        await asyncio.sleep(0.03)
        watching.sent()
    assert [] == calls
    await eventually(lambda: len(calls) == 2)
    assert calls[0] > 0.8
    assert 0.35 < calls[1] - calls[0]
    watching.close()


async def test_a_thousand_watches_leave_no_timer_behind() -> None:
    async def exchange() -> None:
        watching = watch()
        watching.expect(FirstByteTimeout, 5)
        await asyncio.sleep(0)
        for _ in range(10):
            watching.expect(IdleTimeout, 5)
        watching.close()

    await asyncio.gather(*(exchange() for _ in range(1000)))
    assert 1 == len(asyncio.all_tasks())


def test_it_belongs_to_a_task() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(RuntimeError):
        Watch(loop, 1.0)
    loop.close()


async def test_a_shorter_total_counts_from_the_beginning_and_a_longer_one_changes_nothing() -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(loop, 30.0)
    took = Stopwatch()
    await asyncio.sleep(0.1)
    watch.shorten(60.0)
    watch.shorten(0.2)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(5)
    assert isinstance(watch.cause(), TotalTimeout)
    assert took.between(0.15, 0.5), took
    watch.close()


async def test_code_that_swallows_a_cancellation_is_cancelled_again() -> None:
    task = asyncio.current_task()
    assert task is not None
    watch = Watch(asyncio.get_running_loop(), 0.1)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(5)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(5)
    assert isinstance(watch.cause(), TotalTimeout)
    assert 0 == task.cancelling()
    watch.close()
    await asyncio.sleep(1.2)
