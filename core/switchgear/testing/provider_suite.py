"""What every provider must do, as tests to inherit.

    class TestMine(ProviderSuite):
        answer = b'…'            # recorded: a whole reply of the provider that says `text`
        stream = b'…'            # recorded: the body of a streamed reply that says `text`
        faults = ((429, b'…', "rate_limit"),)          # recorded failures
        stream_faults = ((b'…', "overloaded"),)        # recorded: a stream in which the provider fails
        def make(self): return MyProvider(ProviderConfig("mine", "https://api.example.com", {}, MySettings()))

and pytest runs it. `ProviderChecks` says what else may be given; where models can have tools, replies that call some must be. A
test that cannot hold is overridden with a docstring that says why.
"""

from collections.abc import AsyncIterator
from typing import ClassVar

import msgspec
import pytest

from switchgear.contracts.provider import Answer, NativeProvider, StreamEvent
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_bench import CANARY, MODEL, RecordedHead, chat_call, chunks_of, text_of
from switchgear.testing.provider_replies import ReplySuite
from switchgear.testing.provider_requests import RequestSuite

__all__ = ["CANARY", "MODEL", "NativeProviderSuite", "ProviderSuite", "RecordedHead", "chat_call", "text_of"]


class ProviderSuite(RequestSuite, ReplySuite):
    """The behaviour of a provider over HTTP: what it sends, and what it makes of what comes back."""


class NativeProviderSuite:
    """The behaviour of a provider that is not HTTP."""

    text: ClassVar[str] = "Say hello"

    def make(self) -> NativeProvider:
        """Make the provider under test."""
        raise AssertionError("override `make` to return the provider under test")

    async def test_answers_whole(self) -> None:
        answer: Answer = await self.make().complete(make_exchange(None), chat_call(), MODEL, None)
        assert msgspec.json.decode(answer.body)["choices"][0]["message"]["content"] == self.text

    async def test_answers_as_a_stream_that_ends(self) -> None:
        call = chat_call(stream=True, usage_wanted=True)
        events = [event async for event in self.make().stream(make_exchange(None), call, MODEL, None)]
        assert text_of(events) == self.text
        assert events[-1].last
        assert any(event.terminal for event in events)

    async def test_stops_when_nobody_listens(self) -> None:
        events: AsyncIterator[StreamEvent] = self.make().stream(
            make_exchange(None), chat_call(stream=True), MODEL, None
        )
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        with pytest.raises(StopAsyncIteration):
            await anext(events)
