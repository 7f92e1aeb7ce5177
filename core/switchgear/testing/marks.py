"""What suites of coroutines share: marks for either mode of pytest-asyncio, and a check that a work stops."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T", bound=type)


def asyncio_tests(suite: T) -> T:
    """Mark the tests of a suite that are coroutines, which the strict mode asks for and the auto mode does by itself."""
    for name, test in list(vars(suite).items()):
        inner = getattr(getattr(test, "hypothesis", None), "inner_test", test)
        if name.startswith("test_") and inspect.iscoroutinefunction(inner):
            setattr(suite, name, pytest.mark.asyncio(test))
    return suite


async def check_it_stops(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cancel a work, each time a little later, and fail where it goes on."""
    for steps in range(5):
        task = asyncio.ensure_future(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5.0)
        assert done, "it goes on when it is cancelled: let CancelledError pass"
        assert task.cancelled() or task.exception() is None, "a work that is cancelled ends with CancelledError"
