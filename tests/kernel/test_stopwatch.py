"""Time for which there was no core is told from time that was used or slept through."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator

import pytest

from support.process import Child
from support.stopwatch import Stopwatch, at_most


@pytest.fixture
def crowded() -> Iterator[None]:
    """Leave this process one core, and have it shared with another that never rests."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with Child([sys.executable, "-S", "-c", "print(flush=True)\nwhile True: pass"]) as hog:
            hog.first_line()
            yield
    finally:
        os.sched_setaffinity(0, cores)


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts it")
def test_what_another_had_of_the_core_is_not_counted(crowded: None) -> None:
    watch = Stopwatch()
    work(0.3)
    assert watch.wall_s > 0.45
    assert watch.s < watch.wall_s - 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts it")
async def test_a_deadline_is_put_off_by_it(crowded: None) -> None:
    watch = Stopwatch()
    async with at_most(0.45):
        while watch.wall_s < 0.5:
            work(0.005)
            await asyncio.sleep(0)


async def test_what_is_slept_through_is_counted() -> None:
    watch = Stopwatch()
    with pytest.raises(TimeoutError):
        async with at_most(0.2):
            await asyncio.sleep(30)
    assert watch.between(0.19, 5), watch


async def test_what_is_done_in_time_is_left_alone() -> None:
    async with at_most(0.05):
        pass
    await asyncio.sleep(0.1)
