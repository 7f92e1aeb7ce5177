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

from collections.abc import AsyncIterator, Coroutine
from typing import Any, ClassVar

import msgspec
import pytest

from switchgear.contracts.provider import Answer, Call, NativeProvider, StreamEvent, TargetModel
from switchgear.testing.marks import asyncio_tests, check_it_stops
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_bench import CANARY, MODEL, RecordedHead, chat_call, chunks_of, text_of
from switchgear.testing.provider_replies import FINISHES, ReplySuite, shown_usage
from switchgear.testing.provider_requests import RequestSuite

__all__ = ["CANARY", "MODEL", "NativeProviderSuite", "ProviderSuite", "RecordedHead", "chat_call", "text_of"]


class ProviderSuite(RequestSuite, ReplySuite):
    """The behaviour of a provider over HTTP: what it sends, and what it makes of what comes back."""


@asyncio_tests
class NativeProviderSuite:
    """The behaviour of a provider that is not HTTP. `text` is what it answers to "Say hello", `model` the one that is asked."""

    text: ClassVar[str] = "Say hello"
    model: ClassVar[TargetModel] = MODEL

    def make(self) -> NativeProvider:
        """Make the provider under test."""
        raise AssertionError("override `make` to return the provider under test")

    async def read(self, call: Call) -> list[StreamEvent]:
        """Read a stream to its end."""
        return [event async for event in self.make().stream(make_exchange(None), call, self.model, None)]

    def test_its_traits_name_wires_that_it_has(self) -> None:
        provider = self.make()
        wires = provider.traits(self.model.name).wires
        assert wires, "`traits` names no wire, so the model could not be asked"
        assert wires <= provider.wires, f"`traits` names {set(wires - provider.wires)}, which `wires` lacks"

    async def test_answers_whole(self) -> None:
        call = chat_call()
        before = dict(call.members)
        answer: Answer = await self.make().complete(make_exchange(None), call, self.model, None)
        assert isinstance(answer, Answer), "`complete` returns an `Answer`"
        [choice] = msgspec.json.decode(answer.body)["choices"]
        assert choice["message"]["content"] == self.text, "what it answers is `text`"
        assert choice["finish_reason"] in FINISHES, "`finish_reason` says why it ended, in the canonical form's words"
        assert before == call.members, "it changed the call, which a fallback needs again"

    async def test_answers_as_a_stream_that_ends(self) -> None:
        events = await self.read(chat_call(stream=True, usage_wanted=True))
        assert text_of(events) == self.text, "what it answers is `text`"
        terminal = [place for place, event in enumerate(events) if event.terminal]
        assert terminal, "no event is `terminal`: mark the one that proves that the answer is whole"
        assert not any(event.content for event in events[terminal[0] + 1 :]), (
            "after a `terminal` event there is more of the answer"
        )
        assert events[-1].last, "the event that nothing follows is `last`"
        assert not any(event.last for event in events[:-1]), "something follows an event that is `last`"
        assert all(event.content for event in events if text_of([event])), (
            "`content` is how many bytes of the answer an event shows"
        )

    @pytest.mark.parametrize("wanted", [False, True])
    async def test_usage_is_shown_to_those_who_asked(self, wanted: bool) -> None:  # noqa: FBT001 - a pytest parameter
        events = await self.read(chat_call(stream=True, usage_wanted=wanted))
        told = [(it.usage.input_tokens, it.usage.output_tokens) for it in events if it.usage is not None]
        shown = [usage for chunk in chunks_of(events) if (usage := shown_usage(chunk)) is not None]
        assert (told if wanted else []) == shown, "a stream shows its usage if `call.usage_wanted`, and else none"

    async def test_what_it_answers_whole_is_what_it_streams(self) -> None:
        whole = await self.make().complete(make_exchange(None), chat_call(), self.model, None)
        events = await self.read(chat_call(stream=True))
        assert msgspec.json.decode(whole.body)["choices"][0]["message"]["content"] == text_of(events)
        assert [whole.usage] == [event.usage for event in events if event.usage] or whole.usage is None

    async def test_stops_when_nobody_listens(self) -> None:
        events: AsyncIterator[StreamEvent] = self.make().stream(
            make_exchange(None), chat_call(stream=True), self.model, None
        )
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        with pytest.raises(StopAsyncIteration):
            await anext(events)

    async def test_stops_when_it_is_cancelled(self) -> None:
        def whole() -> Coroutine[Any, Any, Any]:
            return self.make().complete(make_exchange(None), chat_call(), self.model, None)

        def streamed() -> Coroutine[Any, Any, Any]:
            return self.read(chat_call(stream=True))

        for work in (whole, streamed):
            await check_it_stops(work)
