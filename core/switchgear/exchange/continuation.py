"""A stream that broke off, gone on with by another target: it is given what was said so far, and its client sees one stream."""

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.capability import PREFILL
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import CANONICAL, Call, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.wire.chunks import usage_members
from switchgear.wire.members import BROKEN, raw

_BOUNDS = ("max_tokens", "max_completion_tokens")
_NULL = Raw(b"null")
_object = msgspec.json.Decoder(dict[str, Raw] | None)
_array = msgspec.json.Decoder(list[Raw] | None)
_text = msgspec.json.Decoder(str | None)


class _Delta(Struct, gc=False):
    content: str | None = None
    refusal: Raw = _NULL
    tool_calls: Raw = _NULL
    function_call: Raw = _NULL

    def is_text(self) -> bool:
        return self.refusal in _NOTHING and self.tool_calls in _NOTHING and self.function_call in _NOTHING


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    id: Raw = _NULL
    created: Raw = _NULL
    choices: list[_Choice] | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_NOTHING = (_NULL, Raw(b"[]"), Raw(b'""'))


def may_continue(call: Call) -> bool:
    """Say whether the answer to a call is one that another model can go on with: one text, and nothing about its tokens."""
    return (
        call.wire == CANONICAL
        and call.operation == "chat"
        and (call.member("n", int) or 1) == 1
        and not call.member("logprobs", bool)
    )


class Continuation:
    """The encoder of one answer, however many targets give it: a `StreamEncoder` that remembers what its client has seen.

    `spent` is what targets that broke off consumed; None until one did.
    """

    def __init__(self, encoder: StreamEncoder) -> None:
        self.media_type = encoder.media_type
        self.keep_alive = encoder.keep_alive
        self.end = encoder.end
        self.error = encoder.error
        self.spent: Usage | None = None
        self._encoder = encoder
        self._accounted = 0
        self._text: list[str] = []
        self._is_text = True
        self._head: dict[str, Raw] = {}
        self._overlap = ""  # the white space that what was said so far ends in

    def can_go_on(self) -> bool:
        """Say whether what was seen so far is something a model can go on with: text, nothing but text, and not its end."""
        return self._is_text and bool("".join(self._text).strip())

    def account(self, x: Exchange) -> None:
        """Add up what the attempts consumed, once the last of them has ended."""
        if self._accounted < len(x.attempts):
            self._accounted = len(x.attempts)
            told = [attempt.usage for attempt in x.attempts if attempt.usage is not None]
            self.spent = sum(told[1:], told[0]) if told else None
        text = "".join(self._text)
        self._overlap = text[len(text.rstrip()) :]

    def event(self, event: StreamEvent) -> bytes:
        """Frame an event as a part of the answer that the client sees."""
        try:
            chunk = _chunk.decode(event.data)
        except BROKEN:  # nothing that could be gone on with, but the client may make something of it
            chunk = _Chunk()
            self._is_text = False
        choices = chunk.choices or []
        if any(it.finish_reason or (it.delta is not None and not it.delta.is_text()) for it in choices):
            self._is_text = False
        if self.spent is not None:
            usage = None if event.usage is None else self.spent + event.usage
            event.data = self._rewritten(event.data, usage)
            return self._encoder.event(event) if event.data else b""
        if not self._head:
            head = {"id": chunk.id.copy(), "created": chunk.created.copy()}
            self._head = {name: value for name, value in head.items() if value != _NULL}
        self._text += [it.delta.content for it in choices if it.delta and it.delta.content]
        return self._encoder.event(event)

    def fit(self, call: Call, target: Target) -> Call:
        """Return the call with what was said so far. Raises `InvalidRequest` where the target cannot go on with it."""
        if PREFILL not in target.capabilities:
            raise InvalidRequest(
                f"The model `{call.model[:64]}` cannot go on with an answer.", code="unsupported_capability"
            )
        text = "".join(self._text)
        messages = call.member("messages", list[Raw]) or []
        said = raw({"role": "assistant", "content": text})
        members = {**call.members, "messages": raw([*messages, said])}
        shown = target.estimator.output(len(text.encode()), 0)
        for name in _BOUNDS:
            if (bound := call.member(name, int)) is not None:
                members[name] = raw(max(bound - shown, 1))
        return call.with_members(members)

    def _rewritten(self, data: bytes, usage: Usage | None) -> bytes:
        """Make a chunk of a later target one of the same answer: its id, no second beginning, no white space twice.

        Raises `ProviderFault` (`protocol`) for one that cannot be read.
        """
        try:
            return self._retold(data, usage)
        except BROKEN:
            raise ProviderFault("protocol", 200) from None

    def _retold(self, data: bytes, usage: Usage | None) -> bytes:
        members = {**(_object.decode(data) or {}), **self._head}
        choices = [_object.decode(choice) or {} for choice in _array.decode(members.get("choices", b"[]")) or ()]
        for choice in choices:
            delta = _object.decode(choice.get("delta", b"{}")) or {}
            began = delta.pop("role", None) is not None
            content = _text.decode(delta.pop("content", b"null"))
            if content and (content := self._without_overlap(content)):
                delta["content"] = raw(content)
                self._text.append(content)
            if began and not delta and usage is None and choice.get("finish_reason", _NULL) == _NULL:
                return b""
            choice["delta"] = raw(delta)
        members["choices"] = raw(choices)
        if usage is not None and members.get("usage", _NULL) != _NULL:
            members["usage"] = raw(usage_members(usage))
        return bytes(raw(members))

    def _without_overlap(self, content: str) -> str:
        """Leave out what the part before ended in: providers take it away from what they are given, and may say it again."""
        while self._overlap and content and content[0] == self._overlap[0]:
            content, self._overlap = content[1:], self._overlap[1:]
        if content:
            self._overlap = ""
        return content
