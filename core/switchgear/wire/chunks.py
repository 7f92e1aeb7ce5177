"""Canonical answers written and read: for providers that translate into them, and for dialects that translate out of them.

Wire: platform.openai.com/docs/api-reference/chat/object and /chat/streaming, with the reasoning members of
`switchgear.wire.canonical`.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.canonical import ReasoningDetail, ToolCall
from switchgear.wire.mend import object_text
from switchgear.wire.usage import read_usage

_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_NULL = Raw(b"null")


def usage_members(usage: Usage) -> dict[str, Any]:
    """Write usage as the canonical form has it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def completion(
    *,
    id: str,
    created: int,
    model: str,
    message: dict[str, Any],
    finish_reason: str,
    usage: Usage | None,
    others: Sequence[dict[str, Any]] = (),
    logprobs: dict[str, Any] | None = None,
) -> Answer:
    """Make a whole answer of one choice, or of more: `others` are further choices as the wire has them.

    `message` is the assistant's, without `role`; `created` is seconds. `finish_reason` is `stop`, `length`, `tool_calls` or
    `content_filter`.
    """
    said = {"role": "assistant", "content": None, "refusal": None, **message}
    if said.get("tool_calls"):
        said["tool_calls"] = _told_apart(said["tool_calls"], id)
        finish_reason = "tool_calls" if finish_reason == "stop" else finish_reason
    choice = {"index": 0, "message": said, "logprobs": logprobs, "finish_reason": finish_reason}
    body = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice, *others],
        "usage": None if usage is None else usage_members(usage),
    }
    return Answer(_encode(body), usage, model, finish_reason)


def own_id(id: str, others: Iterable[str], seed: str) -> str:
    """Return the id of a tool call: one made of `seed` where it has none, or that of another call of the same answer."""
    return id if id and id not in others else f"call_{sha256(seed.encode('utf-8', 'replace')).hexdigest()[:24]}"


def _told_apart(calls: list[dict[str, Any]], seed: str) -> list[dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    for place, call in enumerate(calls):
        id = own_id(call["id"], told, f"{seed} {place}")
        told[id] = {**call, "id": id}
        if "function" in call:
            function = call["function"]
            told[id]["function"] = {**function, "arguments": object_text(function["arguments"])}
    return list(told.values())


class ChunkWriter:
    """Writes one stream of canonical chunks, as the events a decoder returns.

    `usage_wanted` says whether the client is to see the usage chunk; `created` is seconds. Tool calls are numbered by the
    caller, from 0, in the order they begin.
    """

    __slots__ = ("_called", "_details", "_frame", "_notes", "_usage_wanted")

    def __init__(self, *, id: str, created: int, model: str, usage_wanted: bool) -> None:
        head = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._frame = _encode(head)[:-1]
        self._usage_wanted = usage_wanted
        self._called: dict[str, int] = {}
        self._details: dict[int, int] = {}
        self._notes: dict[int, int] = {}

    def _delta(self, delta: bytes, content: int, index: int = 0) -> StreamEvent:
        data = b'%b,"choices":[{"index":%d,"delta":%b,"finish_reason":null}]}' % (self._frame, index, delta)
        return StreamEvent(data, None, content)

    def role(self, index: int = 0) -> StreamEvent:
        """Begin a choice."""
        return self._delta(b'{"role":"assistant","content":""}', 0, index)

    def text(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of the answer."""
        encoded = _encode(text)
        return self._delta(b'{"content":%b}' % encoded, len(encoded) - 2, index)

    def logprobs(self, logprobs: dict[str, Any], index: int = 0) -> StreamEvent:
        """Give the log probabilities of what was said since the last ones."""
        encoded = _encode(logprobs)
        data = b'%b,"choices":[{"index":%d,"delta":{},"logprobs":%b,"finish_reason":null}]}'
        return StreamEvent(data % (self._frame, index, encoded))

    def image(self, image: dict[str, Any], index: int = 0) -> StreamEvent:
        """Give a picture, whole: `{"type": "image_url", "image_url": {"url": a data URL}, "index": its place}`."""
        encoded = _encode([image])
        return self._delta(b'{"images":%b}' % encoded, len(encoded), index)

    def refusal(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of a refusal."""
        encoded = _encode(text)
        return self._delta(b'{"refusal":%b}' % encoded, len(encoded) - 2, index)

    def reasoning(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of what the model thinks."""
        encoded = _encode(text)
        return self._delta(b'{"reasoning_content":%b}' % encoded, len(encoded) - 2, index)

    def reasoning_detail(self, detail: ReasoningDetail, index: int = 0) -> StreamEvent:
        """Give what must come back as it is. It is whole: text that went by in pieces is not in it again unless signed.

        It is numbered within its choice: OpenAI's SDK cannot add up a list in a stream whose entries have no `index`.
        """
        place = self._details.get(index, 0)
        self._details[index] = place + 1
        encoded = _encode([msgspec.structs.replace(detail, index=place)])
        return self._delta(b'{"reasoning_details":%b}' % encoded, len(encoded), index)

    def annotation(self, note: dict[str, Any], index: int = 0) -> StreamEvent:
        """Tell a citation. It is numbered, as reasoning details are."""
        place = self._notes.get(index, 0)
        self._notes[index] = place + 1
        return self._delta(b'{"annotations":%b}' % _encode([{**note, "index": place}]), 0, index)

    def tool_call(self, place: int, id: str, name: str, arguments: str = "", index: int = 0) -> StreamEvent:
        """Begin the tool call number `place`, under an id of its own."""
        id = own_id(id, self._called, f"{self._frame!r} {index} {place}")
        self._called[id] = index
        arguments = object_text(arguments)
        call = {"index": place, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        encoded = _encode([call])
        return self._delta(b'{"tool_calls":%b}' % encoded, len(name) + len(arguments), index)

    def arguments(self, place: int, piece: str, index: int = 0) -> StreamEvent:
        """Go on with the arguments of a tool call."""
        encoded = _encode(piece)
        delta = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (place, encoded)
        return self._delta(delta, len(encoded) - 2, index)

    def finish(self, reason: str, index: int = 0, *, terminal: bool = True) -> StreamEvent:
        """End a choice; `terminal` unless others are still to end. One that called tools waits for their results."""
        if reason == "stop" and index in self._called.values():
            reason = "tool_calls"
        data = b'%b,"choices":[{"index":%d,"delta":{},"finish_reason":%b}]}' % (self._frame, index, _encode(reason))
        return StreamEvent(data, terminal=terminal)

    def end(self, usage: Usage | None) -> StreamEvent:
        """End the stream, with what it consumed."""
        data = b""
        if usage is not None and self._usage_wanted:
            data = b'%b,"choices":[],"usage":%b}' % (self._frame, _encode(usage_members(usage)))
        return StreamEvent(data, terminal=True, last=True, usage=usage)


class FunctionDelta(Struct):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct):
    """A piece of a tool call; `id` and name come with the first."""

    index: int = 0
    id: str | None = None
    function: FunctionDelta | None = None


class _Address(Struct):
    url: str = ""


class MadeImage(Struct):
    """A picture that the model made."""

    image_url: _Address | None = None

    def named(self) -> str:
        """Say, for a form that has no place for it, that there was one."""
        kind = (self.image_url.url if self.image_url is not None else "").partition(";")[0].removeprefix("data:")
        return f"[{kind[:40] or 'image'}: a picture was made, which this API cannot carry]"


class Delta(Struct):
    """What one chunk adds to a choice."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCallDelta] | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[MadeImage] | None = None

    @property
    def thought(self) -> str | None:
        """The reasoning, under either of the names in use."""
        return self.reasoning_content or self.reasoning


class ChunkChoice(Struct):
    """One choice in a chunk."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = _NULL


class Chunk(Struct):
    """One chunk."""

    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice] = []


class SaidMessage(Struct):
    """What a whole answer says."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[MadeImage] | None = None

    @property
    def thought(self) -> str | None:
        """The reasoning, under either of the names in use."""
        return self.reasoning_content or self.reasoning


class SaidChoice(Struct):
    """One choice of a whole answer."""

    message: SaidMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: Raw = _NULL


class Completion(Struct):
    """A whole answer."""

    choices: list[SaidChoice]
    id: str = ""
    created: int = 0
    model: str = ""
    usage: Raw = _NULL

    def tokens(self) -> Usage:
        """Return what it consumed; zeros if the provider did not say."""
        return read_usage(self.usage) or Usage()


_chunk_decoder = msgspec.json.Decoder(Chunk)
_completion_decoder = msgspec.json.Decoder(Completion)


def read_chunk(data: bytes) -> Chunk:
    """Decode a canonical chunk. Raises `ProviderFault` (`protocol`) for members of the wrong type."""
    try:
        return _chunk_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None


def read_completion(data: bytes) -> Completion:
    """Decode a canonical answer. Raises `ProviderFault` (`protocol`) for members of the wrong type."""
    try:
        return _completion_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None
