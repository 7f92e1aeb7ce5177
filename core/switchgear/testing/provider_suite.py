"""What every provider must do, as tests to inherit.

    class TestMine(ProviderSuite):
        answer = b'…'            # recorded: a whole reply of the provider that says `text`
        stream = b'…'            # recorded: the body of a streamed reply that says `text`
        def make(self): return MyProvider(ProviderConfig("mine", "https://api.example.com", {}, MySettings()))

and pytest runs it. A test that cannot hold is overridden with a docstring that says why.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    NativeProvider,
    Provider,
    ProviderFault,
    StreamEvent,
    TargetModel,
)
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, SwitchgearError
from switchgear.testing.policy_suite import make_exchange

CANARY = "sk-canary-4f9b1c0d7e"
MODEL = TargetModel(id="public-name", name="provider-name", name_json=Raw(b'"provider-name"'))


class RecordedHead:
    """Status and headers of a recorded answer."""

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}

    def header(self, name: str) -> str | None:
        """Return a header."""
        return self._headers.get(name.lower())


def chat_call(*, stream: bool = False, usage_wanted: bool = False, **members: Any) -> Call:
    """Make a canonical call that says hello; `members` are added to its body."""
    body = {"model": "public-name", "messages": [{"role": "user", "content": "Say hello"}], **members}
    if stream:
        body["stream"] = True
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in body.items()}
    return Call("chat", CANONICAL, raw, model="public-name", stream=stream, usage_wanted=usage_wanted)


def text_of(events: Sequence[StreamEvent]) -> str:
    """Join the content of canonical chunks."""
    chunks = [msgspec.json.decode(event.data) for event in events if event.data]
    deltas = [choice.get("delta", {}) for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


class ProviderSuite:
    """The behaviour of a provider over HTTP.

    text     what the recorded replies say
    usage    what they consumed
    secret   fields of a credential
    faults   (status, body, cause) of recorded failures
    """

    text: ClassVar[str] = "Hello"
    usage: ClassVar[Usage | None] = None
    answer: ClassVar[bytes]
    stream: ClassVar[bytes]
    secret: ClassVar[Mapping[str, str]] = {"api_key": CANARY}
    faults: ClassVar[Sequence[tuple[int, bytes, str]]] = ()

    def make(self) -> Provider:
        """Make the provider under test."""
        raise AssertionError("override `make` to return the provider under test")

    @pytest.mark.parametrize("stream", [False, True])
    def test_prepares_a_request_that_can_be_sent(self, stream: bool) -> None:  # noqa: FBT001 - a pytest parameter
        call = chat_call(stream=stream, temperature=0.5)
        before = dict(call.members)
        request = self.make().prepare(call, MODEL, Secret(self.secret))
        assert request.url.startswith(("https://", "http://"))
        assert request.method in ("POST", "GET")
        for name, value in request.headers.items():
            assert name == name.lower()
            assert value.isprintable()
        assert b"Say hello" in request.body
        assert before == call.members, "prepare changed the call, which a fallback needs again"

    def test_says_the_same_for_the_same_call(self) -> None:
        provider = self.make()
        first, second = (provider.prepare(chat_call(), MODEL, Secret(self.secret)) for _ in range(2))
        assert first == second

    def test_reads_a_whole_answer(self) -> None:
        answer = self.make().decode(chat_call(), RecordedHead(), self.answer)
        message = msgspec.json.decode(answer.body)["choices"][0]["message"]
        assert message["role"] == "assistant"
        assert message["content"] == self.text
        assert answer.usage == self.usage

    def test_reads_a_stream(self) -> None:
        events = self._read([self.stream])
        assert text_of(events) == self.text
        assert [event.usage for event in events if event.usage] == ([self.usage] if self.usage else [])
        assert any(event.terminal for event in events)
        assert any(event.content for event in events)

    def test_reads_a_stream_cut_into_any_two_pieces(self) -> None:
        whole = self._read([self.stream])
        for at in range(len(self.stream)):
            assert whole == self._read([self.stream[:at], self.stream[at:]])

    def test_reads_a_stream_byte_by_byte(self) -> None:
        pieces = [self.stream[i : i + 1] for i in range(len(self.stream))]
        assert self._read([self.stream]) == self._read(pieces)

    def test_a_truncated_stream_is_never_complete(self) -> None:
        for at in range(len(self.stream)):
            decoder = self.make().decoder(chat_call(stream=True), RecordedHead())
            events = decoder.feed(self.stream[:at])
            if not any(event.terminal for event in events):
                with pytest.raises((ConnectionBroken, ProviderFault)):
                    decoder.close()

    @pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"{", b"[]", b"null", b'{"a":"\xff"}', b"{}"])
    def test_something_that_is_no_answer_is_a_fault(self, body: bytes) -> None:
        with pytest.raises(ProviderFault) as caught:
            self.make().decode(chat_call(), RecordedHead(), body)
        assert caught.value.cause == "protocol"

    def test_classifies_recorded_failures(self) -> None:
        provider = self.make()
        found = [(s, b, provider.fault(chat_call(), RecordedHead(s), b).cause) for s, b, _ in self.faults]
        assert list(self.faults) == found

    def test_classifies_anything(self) -> None:
        provider = self.make()

        @settings(max_examples=100, deadline=None)
        @given(status=st.integers(300, 599), body=st.binary(max_size=200))
        def classify(status: int, body: bytes) -> None:
            fault = provider.fault(chat_call(), RecordedHead(status), body)
            assert fault.status == status
            assert fault.cause
            assert CANARY not in str(fault)

        classify()

    def test_garbage_in_a_stream_is_a_typed_error(self) -> None:
        provider = self.make()

        @settings(max_examples=100, deadline=None)
        @given(body=st.binary(max_size=200))
        def read(body: bytes) -> None:
            decoder = provider.decoder(chat_call(stream=True), RecordedHead())
            try:
                events = decoder.feed(body)
                decoder.close()
            except (ProviderFault, SwitchgearError):
                return
            assert any(event.terminal for event in events)

        read()

    def _read(self, pieces: Sequence[bytes]) -> list[StreamEvent]:
        decoder = self.make().decoder(chat_call(stream=True, usage_wanted=True), RecordedHead())
        events = [event for piece in pieces for event in decoder.feed(piece)]
        decoder.close()
        return events


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
