"""Texts in the Messages form, whole and streamed: each content block is one, from its start to its stop."""

from typing import Any

from switchgear.contracts.filter import Channel, EventFace, Texts
from switchgear.contracts.provider import StreamEvent
from switchgear.wire.pieces.found import Found, Key, find
from switchgear.wire.texts import NULL, first, items_of, members_of, number_of, text_of, write

_DELTAS: dict[str, tuple[str, Channel]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "reasoning"),
    "input_json_delta": ("partial_json", "tool_arguments"),
    "compaction_delta": ("content", "text"),
}
_BLOCKS: dict[str, tuple[tuple[str, Channel], ...]] = {
    "text": (("text", "text"),),
    "thinking": (("thinking", "reasoning"),),
    "tool_use": (("name", "tool_name"), ("input", "tool_arguments")),
    "server_tool_use": (("input", "tool_arguments"),),
    "mcp_tool_use": (("input", "tool_arguments"),),
    "compaction": (("content", "text"),),
}
_NO_INPUT = b"{}"


class MessagePieces:
    """The `AnswerFace` of the Messages form."""

    ordered = True

    def whole(self, body: bytes, texts: Texts) -> bytes:
        """Filter a whole answer."""
        whole: dict[str, Any] = dict(members_of(body))
        blocks = [members_of(block) for block in items_of(whole.get("content"))]
        found: list[Found] = []
        for place, block in enumerate(blocks):
            _find_in_block(found, block, place)
        _find_stop_details(found, whole)
        is_changed = False
        for one in found:
            one.out = texts.whole_text(0, one.channel, one.text)
            is_changed |= one.put()
        if not is_changed:
            return body
        if blocks:
            whole["content"] = blocks
        return bytes(write(whole))

    def stream(self, texts: Texts) -> EventFace:
        """Begin a stream."""
        return _Stream(texts)


class _Stream:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._open: dict[Key, str] = {}  # the type of delta that goes on with a text

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        said: dict[str, Any] = dict(members_of(event.data))
        kind = text_of(said.get("type"))
        if kind == "content_block_delta":
            return self._delta(event, said)
        if kind == "content_block_start":
            return self._start(event, said)
        if kind == "content_block_stop":
            return [*self._end((number_of(said.get("index")),)), event]
        if kind == "message_delta":
            return [*self.close(), self._message_delta(event, said)]
        if kind == "message_stop":
            return [*self.close(), event]
        return [event]

    def close(self) -> list[StreamEvent]:
        return [ended for key in tuple(self._open) for ended in self._end(key)]

    def _start(self, event: StreamEvent, said: dict[str, Any]) -> list[StreamEvent]:
        index = number_of(said.get("index"))
        block: dict[str, Any] = members_of(said.get("content_block"))
        found: list[Found] = []
        _find_in_block(found, block, index)
        is_changed = False
        for one in found:
            if one.channel in {"text", "reasoning"} and text_of(block.get("signature")) is None:
                self._open[index,] = "text_delta" if one.channel == "text" else "thinking_delta"
                one.out = self._texts.feed((index,), 0, one.channel, one.text)
            else:
                one.out = self._texts.whole_text(0, one.channel, one.text)
            is_changed |= one.put()
        if is_changed:
            said["content_block"] = block
            event.data = bytes(write(said))
        return [event]

    def _delta(self, event: StreamEvent, said: dict[str, Any]) -> list[StreamEvent]:
        key = (number_of(said.get("index")),)
        delta = members_of(said.get("delta"))
        kind = text_of(delta.get("type")) or ""
        if kind == "signature_delta":
            return [*self._end(key), event]
        if kind not in _DELTAS:
            return [event]
        name, channel = _DELTAS[kind]
        found: list[Found] = []
        find(found, key, channel, delta, name)
        for one in found:
            self._open[key] = kind
            one.out = self._texts.feed(key, 0, channel, one.text)
            if one.put():
                said["delta"] = delta
                event.data = bytes(write(said)) if one.out else b""
        return [event]

    def _message_delta(self, event: StreamEvent, said: dict[str, Any]) -> StreamEvent:
        delta: dict[str, Any] = dict(members_of(said.get("delta")))
        found: list[Found] = []
        _find_stop_details(found, delta)
        for one in found:
            one.out = self._texts.whole_text(0, one.channel, one.text)
            if one.put():
                said["delta"] = delta
                event.data = bytes(write(said))
        return event

    def _end(self, key: Key) -> list[StreamEvent]:
        kind = self._open.pop(key, None)
        if kind is None:
            return []
        tail = self._texts.end(key)
        if not tail:
            return []
        delta = {"type": kind, _DELTAS[kind][0]: tail}
        said = {"type": "content_block_delta", "index": key[0], "delta": delta}
        return [StreamEvent(bytes(write(said)), b"content_block_delta")]


def _find_in_block(found: list[Found], block: dict[str, Any], place: int) -> None:
    for name, channel in _BLOCKS.get(text_of(block.get("type")) or "", ()):
        value = block.get(name)
        if value is not None and bytes(value) != _NO_INPUT:
            find(found, (place,), channel, block, name)


def _find_stop_details(found: list[Found], holder: dict[str, Any]) -> None:
    """Find why an answer was refused, in words."""
    value = holder.get("stop_details", NULL)
    if first(value) == b"{":
        holder["stop_details"] = details = members_of(value)
        find(found, (), "refusal", details, "explanation")
