"""What makes coroutines of a suite tests in either mode of pytest-asyncio."""

import inspect
from typing import TypeVar

import pytest

T = TypeVar("T", bound=type)


def asyncio_tests(suite: T) -> T:
    """Mark the tests of a suite that are coroutines, which the strict mode asks for and the auto mode does by itself."""
    for name, test in list(vars(suite).items()):
        inner = getattr(getattr(test, "hypothesis", None), "inner_test", test)
        if name.startswith("test_") and inspect.iscoroutinefunction(inner):
            setattr(suite, name, pytest.mark.asyncio(test))
    return suite
