"""With `durability = "full"` an answer waits until its record is on disk, and not for ever."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from switchgear.contracts.exchange import Exchange, Outcome
from switchgear.contracts.principal import Principal
from switchgear.errors import ApiError, StoreUnavailable
from switchgear.testing.context import PluginContext
from switchgear.testing.policy_suite import PolicySuite
from switchgear_plugins.usage import policy as policy_module
from switchgear_plugins.usage.policy import UsagePolicy


class Disk:
    """A ledger that flushes as it was told to."""

    has_room = True
    durable = True

    def __init__(self, flush: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.sync = flush

    def append(self, kind: str, id: str, at_us: int, body: bytes) -> None: ...


class TestUsagePolicy(PolicySuite):
    def make(self, counters: object) -> UsagePolicy:
        return UsagePolicy(PluginContext("usage", Path()))

    def test_it_declares_what_a_failure_means_and_how_long_it_may_take(self) -> None:
        """A client waits for its record to be on disk longer than for any other policy."""
        assert 60.0 >= UsagePolicy.budget_s


def settling(tmp_path: Path, flush: Callable[[], Coroutine[Any, Any, None]]) -> Any:
    x = Exchange("x1", "d", None, began=0.0, started_us=7)  # type: ignore[arg-type]  # nothing of it is asked
    x.principal, x.outcome, x.status = Principal("k1", "key"), Outcome.COMPLETE, 200
    return UsagePolicy(PluginContext("usage", tmp_path, ledger=Disk(flush))).settle(x)


async def test_it_waits_for_the_disk(tmp_path: Path) -> None:
    flushed = asyncio.Event()

    async def flush() -> None:
        await flushed.wait()

    waiting = asyncio.ensure_future(settling(tmp_path, flush))
    await asyncio.sleep(0)
    assert not waiting.done()
    flushed.set()
    await waiting


async def test_a_disk_that_fails_or_does_not_answer_fails_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise StoreUnavailable("it is gone")

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(policy_module, "_LONGEST_FLUSH_S", 0.01)
    for flush in (fail, hang):
        with pytest.raises(ApiError) as caught:
            await settling(tmp_path, flush)
        assert (503, "journal_full") == (caught.value.status, caught.value.code)


async def test_who_is_not_known_has_no_record(tmp_path: Path) -> None:
    context = PluginContext("usage", tmp_path)
    x = Exchange("x1", "d", None, began=0.0, started_us=7)  # type: ignore[arg-type]  # nothing of it is asked
    assert UsagePolicy(context).settle(x) is None
    assert context.recorded == []
