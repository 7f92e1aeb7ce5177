"""The part of `ProviderSuite` that is about what comes back: nothing is lost or made up, no failure passes for an answer."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.contracts.capability import TOOLS
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ModelLister, ProviderFault, StreamEvent, TokenExchange
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, SwitchgearError
from switchgear.testing.provider_bench import (
    CANARY,
    Frames,
    ProviderChecks,
    RecordedHead,
    chat_call,
    chunks_of,
    deltas_of,
    replaced,
    text_of,
    tool_calls_of,
    walk,
)

CAUSES = frozenset({
    "invalid_request", "context_length", "content_filter", "not_found", "auth", "permission", "quota", "rate_limit",
    "overloaded", "server", "timeout", "protocol",
})  # fmt: skip
FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Why a canonical answer ends."""
NOT_ANSWERS = (b"", b"<html>502</html>", b"{", b"[]", b"null", b'{"a":"\xff"}', b"{}", b"[" * 5000)
ODD_TEXTS = (
    '"', "\\", "\\u0022", '{"a": 1}', '{"a":', "null", "[DONE]", "data: [DONE]\n\n", "\r\n", "\u2028\u2029\x85", "\x00\x1f",
    "\U0001f600 \u00e9", "[" * 3000,
)  # fmt: skip
"""What a model may say, and is a text all the same."""
_ODD_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 5, -1, 2**70, 1.5, "", "text", [], [None], {}, {"a": []}, "[" * 3000]
)


def seen(events: Sequence[StreamEvent]) -> list[Any]:
    """Return events as values that can be compared."""
    return [(e.data, e.name, e.content, e.terminal, e.last, e.usage, e.fault and e.fault.cause) for e in events]


def shown_usage(body: dict[str, Any]) -> tuple[int, int] | None:
    """Return the tokens read and written that an answer or chunk shows."""
    usage = body.get("usage")
    return None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"])


class ReplySuite(ProviderChecks):
    """Whole answers, streams and failures, recorded ones and whatever else may come."""

    # Whole

    def test_reads_a_whole_answer(self) -> None:
        answer = self.make().decode(chat_call(), RecordedHead(), self.answer)
        body = msgspec.json.decode(answer.body)
        [choice] = body["choices"]
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"] == self.text, "what `answer` says is `text`"
        assert choice["finish_reason"] in FINISHES, "`finish_reason` says why it ended, in the canonical form's words"
        assert answer.finish_reason in (None, choice["finish_reason"])
        assert answer.usage == self.usage, "`Answer.usage` is what the provider says that the answer consumed"
        assert shown_usage(body) == self._told_usage(), "a whole answer shows its usage, and none that was not told"

    @pytest.mark.parametrize("body", NOT_ANSWERS, ids=lambda body: repr(body[:16]))
    def test_something_that_is_no_answer_is_a_fault(self, body: bytes) -> None:
        with pytest.raises(ProviderFault) as caught:
            self.make().decode(chat_call(), RecordedHead(), body)
        assert caught.value.cause == "protocol"

    def test_a_failure_that_comes_with_status_200_is_no_answer(self) -> None:
        assert self.faults, "record failures of the provider in `faults`: (status, body, cause)"
        for _, body, _ in self.faults:
            try:
                answer = self.make().decode(chat_call(), RecordedHead(), body)
            except ProviderFault:
                continue
            pytest.fail(f"the failure {body[:200]!r} was read as the answer {answer.body[:200]!r}; raise ProviderFault")

    def test_whatever_the_model_says_is_told_as_it_is(self) -> None:
        for text in ODD_TEXTS:
            whole = self.make().decode(chat_call(), RecordedHead(), self.tell(text))
            told = msgspec.json.decode(whole.body)["choices"][0]["message"]["content"]
            assert text == told, "a model's text is text: encode it as JSON, and parse nothing of it"
            events = self.read([self.tell_stream(text)])
            assert text == text_of(events), "a model's text is text, in streams too"

    def test_whatever_comes_instead_is_read_or_a_typed_error(self) -> None:
        provider, frames = self.make(), Frames(self.answer)
        places = [(at, path) for at, document in frames.documents.items() for path, _ in walk(document)]

        @settings(max_examples=100, deadline=None)
        @given(data=st.data())
        def read(data: Any) -> None:
            body = _spoilt(data, self.answer)
            if places and data.draw(st.booleans()):
                at, path = data.draw(st.sampled_from(places))
                body = frames.with_documents({at: replaced(frames.documents[at], path, data.draw(_ODD_VALUES))})
            try:
                answer = provider.decode(chat_call(), RecordedHead(), body)
            except (ProviderFault, SwitchgearError):
                return
            assert isinstance(msgspec.json.decode(answer.body), dict)

        read()

    # Streams

    def test_reads_a_stream(self) -> None:
        events = self.read([self.stream])
        assert text_of(events) == self.text, "what `stream` says is `text`"
        for event in events:
            shows = event.data and any(
                value for delta in deltas_of([event]) for name, value in delta.items() if name != "role"
            )
            assert bool(event.content) == bool(shows), (
                "`content` of an event is how many bytes of the answer it shows: what a stream that is cut has cost depends on it"
            )

    def test_the_end_of_a_stream_is_told_once_and_at_the_end(self) -> None:
        for stream in filter(None, (self.stream, self.tool_stream)):
            events = self.read([stream])
            terminal = [place for place, event in enumerate(events) if event.terminal]
            assert terminal, "no event is `terminal`: mark the one that proves that the answer is whole"
            late = [event.data for event in events[terminal[0] + 1 :] if event.content]
            assert not late, f"after a `terminal` event there is more of the answer: {late[:2]}"
            assert all(event.terminal for event in events if event.last), "what comes last is terminal too"
            assert not any(event.last for event in events[:-1]), "something follows an event that is `last`"
            finishes = [choice.get("finish_reason") for chunk in chunks_of(events) for choice in chunk["choices"]]
            found = [it for it in finishes if it is not None]
            assert 1 == len(found), f"an answer has one `finish_reason`, and this one has {found}"
            assert found[0] in FINISHES, "`finish_reason` says why it ended, in the canonical form's words"
            after = [event for event in events[terminal[0] + 1 :] if event.data and deltas_of([event])]
            assert not [delta for event in after for delta in deltas_of([event]) if delta], (
                "a choice that has finished goes on"
            )

    @pytest.mark.parametrize("wanted", [False, True])
    def test_usage_is_shown_to_those_who_asked(self, wanted: bool) -> None:  # noqa: FBT001 - a pytest parameter
        events = self.read([self.stream], chat_call(stream=True, usage_wanted=wanted))
        shown = [usage for chunk in chunks_of(events) if (usage := shown_usage(chunk)) is not None]
        expected = [self._told_usage()] if wanted and self.usage is not None else []
        assert expected == shown, (
            "a stream shows its usage, once, if `call.usage_wanted`, and else none (`switchgear.wire.chunks.ChunkWriter.end`)"
        )
        assert [event.usage for event in events if event.usage] == ([self.usage] if self.usage else []), (
            "the usage that was told belongs into `StreamEvent.usage`, whoever is to see it"
        )

    def test_reads_a_stream_cut_into_any_two_pieces(self) -> None:
        for stream in filter(None, (self.stream, self.tool_stream)):
            whole = seen(self.read([stream]))
            for at in range(len(stream)):
                assert whole == seen(self.read([stream[:at], stream[at:]])), f"cut at {at} it is read as something else"

    def test_reads_a_stream_byte_by_byte(self) -> None:
        for stream in filter(None, (self.stream, self.tool_stream)):
            pieces = [stream[i : i + 1] for i in range(len(stream))]
            assert seen(self.read([stream])) == seen(self.read(pieces))

    def test_two_streams_know_nothing_of_each_other(self) -> None:
        provider = self.make()
        decoders = [provider.decoder(chat_call(stream=True, usage_wanted=True), RecordedHead()) for _ in range(2)]
        found: list[list[StreamEvent]] = [[], []]
        for at in range(0, len(self.stream), 7):
            for decoder, events in zip(decoders, found, strict=True):
                events.extend(decoder.feed(self.stream[at : at + 7]))
        assert all(self.text == text_of(events) for events in found), "what a stream knows belongs in its decoder"
        assert [event.usage for event in found[0]] == [event.usage for event in found[1]]

    def test_a_truncated_stream_is_never_complete(self) -> None:
        for stream in filter(None, (self.stream, self.tool_stream)):
            everything = sum(event.content for event in self.read([stream]))
            for at in range(len(stream)):
                decoder = self.make().decoder(chat_call(stream=True, usage_wanted=True), RecordedHead())
                events = decoder.feed(stream[:at])
                if any(event.terminal for event in events):
                    assert everything == sum(event.content for event in events), f"cut at {at} it passes for complete"
                    continue
                with pytest.raises((ConnectionBroken, ProviderFault)):
                    decoder.close()

    def test_a_failure_in_a_stream_is_told_with_what_came_before(self) -> None:
        if self.stream_faults is None:
            return
        assert self.stream_faults, (
            "record in `stream_faults` a stream in which the provider fails: (body, cause); None if its wire has no words for it"
        )
        for stream, cause in self.stream_faults:
            shown, found = self.read_failing([stream])
            assert cause == found
            for at in range(len(stream)):
                assert (shown, cause) == self.read_failing([stream[:at], stream[at:]]), (
                    f"cut at {at} it is read as something else"
                )

    def test_garbage_in_a_stream_is_a_typed_error(self) -> None:
        provider, frames = self.make(), Frames(self.stream)
        places = [(at, path) for at, document in frames.documents.items() for path, _ in walk(document)]

        @settings(max_examples=100, deadline=None)
        @given(data=st.data())
        def read(data: Any) -> None:
            kind = data.draw(st.sampled_from(["random", "spoilt", "odd"]))
            body = data.draw(st.binary(max_size=200)) if kind == "random" else _spoilt(data, self.stream)
            if kind == "odd" and places:
                at, path = data.draw(st.sampled_from(places))
                body = frames.with_documents({at: replaced(frames.documents[at], path, data.draw(_ODD_VALUES))})
            decoder = provider.decoder(chat_call(stream=True), RecordedHead())
            try:
                events = decoder.feed(body)
                decoder.close()
            except (ProviderFault, SwitchgearError):
                return
            assert any(event.terminal or event.fault for event in events), (
                "a stream without an end was read as complete"
            )
            assert all(isinstance(chunk, dict) for chunk in chunks_of(events))

        read()

    # Tools

    def test_reads_calls_of_functions_whole_and_streamed(self) -> None:
        if not self.can(TOOLS):
            return
        assert self.tool_answer, (
            "models can have tools: record a reply that calls some in `tool_answer`, and in `tool_calls` which"
        )
        assert self.tool_stream, "models can have tools: record a streamed reply that calls some in `tool_stream`"
        answer = self.make().decode(chat_call(), RecordedHead(), self.tool_answer)
        [choice] = msgspec.json.decode(answer.body)["choices"]
        assert "tool_calls" == choice["finish_reason"], "an answer that calls functions ends with `tool_calls`"
        whole = [{"id": it["id"], **it["function"]} for it in choice["message"].get("tool_calls") or ()]
        events = self.read([self.tool_stream])
        [finish] = [it for chunk in chunks_of(events) for it in chunk["choices"] if it.get("finish_reason")]
        assert "tool_calls" == finish["finish_reason"], "a stream that calls functions ends with `tool_calls`"
        for calls in (whole, tool_calls_of(events)):
            assert all(isinstance(call["arguments"], str) for call in calls), "`arguments` is the text of the JSON"
            found = [(call["name"], msgspec.json.decode(call["arguments"])) for call in calls]
            assert [(name, dict(arguments)) for name, arguments in self.tool_calls] == found
            ids = [call["id"] for call in calls]
            assert all(ids), "each call has an id; make one where the provider has none"
            assert len(ids) == len(set(ids)), "each call has an id of its own"

    def test_arguments_that_a_model_wrote_wrong_are_told_as_they_are_or_a_fault(self) -> None:
        if not self.can(TOOLS):
            return
        frames = Frames(self.tool_answer)
        wanted = [dict(arguments) for _, arguments in self.tool_calls]
        for at, document in frames.documents.items():
            for path, value in walk(document):
                odd: Sequence[Any] = [None, 5, [1], "text"] if value in wanted else ()
                if isinstance(value, str) and _decoded(value) in wanted:
                    odd = ODD_TEXTS
                for new in odd:
                    self._read_odd_arguments(frames.with_documents({at: replaced(document, path, new)}))

    def _read_odd_arguments(self, body: bytes) -> None:
        try:
            answer = self.make().decode(chat_call(), RecordedHead(), body)
        except ProviderFault:
            return
        [choice] = msgspec.json.decode(answer.body)["choices"]
        for call in choice["message"].get("tool_calls") or ():
            assert isinstance(call["function"]["arguments"], str), "`arguments` is a text, whatever the model wrote"

    # Failures

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
            assert fault.cause in CAUSES, f"{fault.cause!r} is none of {sorted(CAUSES)}"
            assert CANARY not in str(fault)

        classify()

    # What a provider may also be

    @pytest.mark.parametrize("status", [200, 401, 500])
    def test_a_list_of_models_or_a_token_that_is_none_is_a_fault(self, status: int) -> None:
        provider, secret = self.make(), Secret(self.secret)
        for body in (b"", b"<html>502</html>", b"{", b"[" * 5000):
            if isinstance(provider, ModelLister):
                with pytest.raises(ProviderFault):
                    provider.models(RecordedHead(status), body)
            if isinstance(provider, TokenExchange) and provider.token_request(secret) is not None:
                with pytest.raises(ProviderFault):
                    provider.token(secret, RecordedHead(status), body)

    def _told_usage(self) -> tuple[int, int] | None:
        usage: Usage | None = self.usage
        return None if usage is None else (usage.input_tokens, usage.output_tokens)


def _spoilt(data: Any, recorded: bytes) -> bytes:
    """Put something else in place of a piece of what was recorded."""
    at, size = data.draw(st.integers(0, len(recorded))), data.draw(st.integers(0, 8))
    new: bytes = data.draw(st.binary(max_size=8))
    return recorded[:at] + new + recorded[at + size :]


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
