"""Runs the tests of a suite over a mutant, without pytest's help, until one fails: cheap enough for hundreds of mutants."""

import asyncio
import inspect
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

_TOLD = (Exception, pytest.fail.Exception)  # `pytest.fail` and `pytest.raises` raise no Exception


@pytest.fixture(scope="module")
def unshrunk() -> Iterator[None]:
    """Look for what is wrong, not for the least of it."""
    before = settings.get_current_profile_name()
    checks = list(HealthCheck)
    settings.register_profile(
        "unshrunk", phases=[Phase.generate], max_examples=60, derandomize=True, deadline=None, database=None,
        suppress_health_check=checks,
    )  # fmt: skip
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(before)


def caught(suite: type, directory: Path) -> str | None:
    """Return the name of the first test of a suite that fails, None if all pass."""
    for name in dict.fromkeys(name for kind in suite.__mro__ for name in vars(kind) if name.startswith("test_")):
        if inspect.iscoroutinefunction(getattr(getattr(getattr(suite, name), "hypothesis", None), "inner_test", None)):
            continue  # hypothesis runs no coroutines by itself
        for given in _cases(getattr(suite, name)):
            try:
                asyncio.run(_run(suite(), name, given, directory))
            except _TOLD:
                return name
    return None


def _cases(test: Any) -> Iterator[dict[str, Any]]:
    """Yield what each case of a parametrised test is given."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for values in itertools.product(*(mark.args[1] for mark in marks)):
        given: dict[str, Any] = {}
        for mark, value in zip(marks, values, strict=True):
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
            given |= dict(zip(map(str.strip, names), value if len(names) > 1 else (value,), strict=True))
        yield given


async def _run(suite: Any, name: str, given: dict[str, Any], directory: Path) -> None:
    async with AsyncExitStack() as stack:
        test = getattr(suite, name)
        made = {"tmp_path": directory, **given}
        for wanted in inspect.signature(test).parameters:
            if wanted not in made:
                made[wanted] = await stack.enter_async_context(_fixture(suite, wanted, directory))
        if inspect.iscoroutinefunction(test):
            await test(**{wanted: made[wanted] for wanted in inspect.signature(test).parameters})
        else:  # it may run a loop of its own
            await asyncio.to_thread(test, **{wanted: made[wanted] for wanted in inspect.signature(test).parameters})


@asynccontextmanager
async def _fixture(suite: Any, name: str, directory: Path) -> Any:
    """Make what a fixture of the suite gives."""
    function = getattr(type(suite), name).__wrapped__
    async with AsyncExitStack() as stack:
        made: dict[str, Any] = {"self": suite, "tmp_path": directory}
        for wanted in inspect.signature(function).parameters:
            if wanted not in made:
                made[wanted] = await stack.enter_async_context(_fixture(suite, wanted, directory))
        found = function(**{wanted: made[wanted] for wanted in inspect.signature(function).parameters})
        if inspect.isasyncgen(found):
            async with asynccontextmanager(lambda: found)() as value:
                yield value
        else:
            yield await found if inspect.isawaitable(found) else found
