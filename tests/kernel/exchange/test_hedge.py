"""A race of two: one answer, whatever the other does."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from switchgear.contracts.exchange import Exchange, Step
from switchgear.contracts.provider import ProviderFault
from switchgear.contracts.upstream import Timeouts
from switchgear.exchange.attempt_context import AttemptContext
from switchgear.exchange.hedge import Race
from switchgear.testing.provider_suite import chat_call

Runner = Callable[[AttemptContext], Awaitable[Any]]
STEPS: list[Any] = [SimpleNamespace(target=SimpleNamespace(timeouts=Timeouts())) for _ in range(2)]


class Reply:
    """Counts those who began to answer."""

    def __init__(self) -> None:
        self.started = False
        self.claims = 0
        self.encoder: Any = None

    def claim(self) -> None:
        self.claims += 1


def claim(own: AttemptContext) -> None:
    own.reply.encoder = SimpleNamespace()  # type: ignore[assignment]  # nothing is framed here
    own.reply.claim()


async def deafly(event: asyncio.Event) -> None:
    """Wait, however often this is stopped."""
    while not event.is_set():
        with suppress(asyncio.CancelledError):
            await event.wait()


async def race(reply: Any, *runners: Runner) -> Any:
    nobody: Any = None
    x = Exchange("x", "openai", nobody, began=0.0, started_us=1)
    x.call = chat_call()

    async def ask(own: AttemptContext, step: Step) -> Any:
        return await runners[0 if step is STEPS[0] else 1](own)

    watch: Any = SimpleNamespace(began=None)
    ctx = AttemptContext(x, nobody, reply, watch, STEPS[0])
    race = Race(ctx, ask, lambda _error, _step: False, lambda: None, set())
    return await race.run(STEPS[0], lambda: STEPS[1], 0.01)


async def test_one_that_fails_in_the_moment_it_loses_does_not_end_the_answer() -> None:
    now, reply = asyncio.Event(), Reply()

    async def fails(_: AttemptContext) -> Any:
        await now.wait()
        raise ProviderFault("invalid_request", 400)

    async def wins(own: AttemptContext) -> Any:
        asyncio.get_running_loop().call_later(0.02, now.set)
        await now.wait()
        claim(own)
        await asyncio.sleep(0.02)
        return b"won"

    assert b"won" == await race(reply, fails, wins)
    assert 1 == reply.claims


async def test_one_that_does_not_heed_that_it_lost_is_not_waited_for() -> None:
    let_go, reply, late = asyncio.Event(), Reply(), []

    async def deaf(own: AttemptContext) -> Any:
        await deafly(let_go)
        try:
            claim(own)
        except asyncio.CancelledError:
            late.append(own)
            raise
        return b"late"

    async def wins(own: AttemptContext) -> Any:
        claim(own)
        return b"won"

    async with asyncio.timeout(5):
        assert b"won" == await race(reply, deaf, wins)
    let_go.set()
    await asyncio.sleep(0.01)
    assert (1, 1) == (reply.claims, len(late)), "it cannot answer any more"


async def test_one_that_does_not_heed_that_all_is_over_cannot_answer() -> None:
    let_go, reply = asyncio.Event(), Reply()

    async def deaf(own: AttemptContext) -> Any:
        await deafly(let_go)
        claim(own)
        return b"late"

    async def fails(_: AttemptContext) -> Any:
        raise ProviderFault("invalid_request", 400)

    with pytest.raises(ProviderFault):
        await asyncio.wait_for(race(reply, deaf, fails), 5)
    let_go.set()
    await asyncio.sleep(0.01)
    assert 0 == reply.claims
