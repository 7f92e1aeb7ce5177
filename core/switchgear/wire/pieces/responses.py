"""Texts of responses, whole and streamed.

A stream says each text again when it is done: in its own event, in those of its part and its item, and in the whole response at
the end. What was said piece by piece is said there, not filtered anew.
"""

from typing import Any

from switchgear.contracts.filter import Channel, EventFace, Texts
from switchgear.contracts.provider import StreamEvent
from switchgear.wire.pieces.found import Found, Key, find, opened
from switchgear.wire.texts import first, items_of, members_of, number_of, text_of, write

_TEXTS: dict[str, tuple[str, Channel]] = {
    "response.output_text": ("text", "text"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_text": ("text", "reasoning"),
    "response.reasoning_summary_text": ("text", "reasoning"),
    "response.function_call_arguments": ("arguments", "tool_arguments"),
    "response.custom_tool_call_input": ("input", "tool_arguments"),
    "response.mcp_call_arguments": ("arguments", "tool_arguments"),
    "response.code_interpreter_call_code": ("code", "tool_arguments"),
    "response.audio.transcript": ("transcript", "text"),
}
"""The kinds of text: each has events `KIND.delta` and `KIND.done`; the member is where the latter says it whole."""
_PARTS: dict[str, tuple[str, Channel]] = {
    "output_text": ("text", "text"),
    "text": ("text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning"),
    "summary_text": ("text", "reasoning"),
}
_ITEMS: tuple[tuple[str, Channel], ...] = (
    ("name", "tool_name"),
    ("arguments", "tool_arguments"),
    ("input", "tool_arguments"),
    ("code", "tool_arguments"),
)
_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call", "code_interpreter_call"})
_NO_TOKENS = write([])


class ResponsePieces:
    """The `AnswerFace` of responses."""

    ordered = True

    def whole(self, body: bytes, texts: Texts) -> bytes:
        """Filter a whole answer."""
        response: dict[str, Any] = dict(members_of(body))
        found = _in_response(response)
        for one in found:
            one.out = texts.whole_text(0, one.channel, one.text)
        if not _put(found):
            return body
        _say_at_once(response, found)
        return bytes(write(response))

    def stream(self, texts: Texts) -> EventFace:
        """Begin a stream."""
        return _Stream(texts)


class _Stream:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._said: dict[Key, tuple[list[str], list[str]]] = {}  # each text so far, and what became of it
        self._open: dict[Key, dict[str, Any]] = {}  # the last delta of each text that goes on
        self._shift = 0  # by how much more events went out than came in

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        said: dict[str, Any] = dict(members_of(event.data))
        kind = text_of(said.get("type")) or ""
        head, _, phase = kind.rpartition(".")
        before: list[StreamEvent] = []
        found: list[Found] = []
        if head in _TEXTS:
            name, channel = _TEXTS[head]
            find(found, _key(said, head), channel, said, "delta" if phase == "delta" else name)
            if phase == "delta":
                is_changed = self._go_on(said, found)
            else:
                before = self._end([_key(said, head)], said)
                is_changed = self._repeat(found)
        else:
            whole = _Whole.of(said)
            found = whole.found
            if phase == "done":
                before = self._end([key for key in self._open if key[: len(whole.key)] == whole.key], said)
            elif whole.is_response and phase not in {"created", "in_progress", "queued"}:
                before = self._end(list(self._open), said)
            is_changed = self._repeat(found)
            if is_changed and whole.is_response:
                _say_at_once(whole.holder, found)
        nothing = phase == "delta" and is_changed and not found[0].out
        if nothing:
            self._shift -= 1
            event.data = b""
        elif is_changed or (self._shift and "sequence_number" in said):
            self._number(said)
            event.data = bytes(write(said))
        return [*before, event]

    def close(self) -> list[StreamEvent]:
        return self._end(list(self._open), None)

    def _go_on(self, said: dict[str, Any], found: list[Found]) -> bool:
        for one in found:
            one.out = self._texts.feed(one.key, 0, one.channel, one.text)
            given, made = self._said.setdefault(one.key, ([], []))
            given.append(one.text)
            made.append(one.out)
            self._open[one.key] = said
        return _put(found)

    def _repeat(self, found: list[Found]) -> bool:
        """Say again what was said of each text; filter now what comes at once, or is not what was said before."""
        for one in found:
            given, made = self._said.get(one.key, ([], []))
            if "".join(given) != one.text:
                made = [self._texts.whole_text(0, one.channel, one.text)]
                self._said[one.key] = ([one.text], made)
            one.out = "".join(made)
        return _put(found)

    def _end(self, keys: list[Key], next: dict[str, Any] | None) -> list[StreamEvent]:
        """End texts: what was kept back goes into one more delta, whose number is that of what follows."""
        ended = []
        for key in keys:
            last = self._open.pop(key, None)
            tail = self._texts.end(key) if last is not None else ""
            if last is None or not tail:
                continue
            self._said[key][1].append(tail)
            delta = {**last, "delta": tail}
            delta.pop("obfuscation", None)
            if "logprobs" in delta:
                delta["logprobs"] = _NO_TOKENS
            if "sequence_number" in delta:
                number = (last if next is None else next).get("sequence_number")
                delta["sequence_number"] = number_of(number) + self._shift + (next is None)
            self._shift += 1
            ended.append(StreamEvent(bytes(write(delta)), (text_of(last["type"]) or "").encode()))
        return ended

    def _number(self, said: dict[str, Any]) -> None:
        if self._shift and "sequence_number" in said:
            said["sequence_number"] = number_of(said["sequence_number"]) + self._shift


class _Whole:
    """An event that says texts whole: those of a part, of an item, of the response. `key` is what theirs begin with."""

    def __init__(self) -> None:
        self.key: Key = (None,)
        self.found: list[Found] = []
        self.holder: dict[str, Any] = {}
        self.is_response = False

    @classmethod
    def of(cls, said: dict[str, Any]) -> "_Whole":
        whole = cls()
        for name in ("response", "item", "part"):
            value = said.get(name)
            if value is None or first(value) != b"{":
                continue
            whole.holder = said[name] = members_of(value)
            output = number_of(said.get("output_index"))
            if name == "response":
                whole.is_response = True
                whole.found = _in_response(whole.holder)
            elif name == "item":
                whole.key = (output,)
                _in_item(whole.found, whole.holder, output)
            else:
                group = "summary" if "summary_index" in said else "content"
                whole.key = (output, group, number_of(said.get(f"{group}_index")))
                _in_part(whole.found, whole.holder, whole.key)
        return whole


def _key(said: dict[str, Any], kind: str) -> Key:
    output = number_of(said.get("output_index"))
    for group in ("content", "summary"):
        if f"{group}_index" in said:
            return (output, group, number_of(said[f"{group}_index"]))
    return (output, _TEXTS[kind][0])


def _in_response(response: dict[str, Any]) -> list[Found]:
    found: list[Found] = []
    items = items_of(response.get("output"))
    if items:
        response["output"] = split = [opened(item) for item in items]
        for place, item in enumerate(split):
            if isinstance(item, dict):
                _in_item(found, item, place)
    return found


def _in_item(found: list[Found], item: dict[str, Any], output: int) -> None:
    for group in ("summary", "content"):
        parts = items_of(item.get(group))
        if parts:
            item[group] = split = [opened(part) for part in parts]
            for place, part in enumerate(split):
                if isinstance(part, dict):
                    _in_part(found, part, (output, group, place))
    if text_of(item.get("type")) in _CALLS:
        for name, channel in _ITEMS:
            find(found, (output, name), channel, item, name)


def _in_part(found: list[Found], part: dict[str, Any], key: Key) -> None:
    kind = text_of(part.get("type")) or ""
    if kind in _PARTS:
        name, channel = _PARTS[kind]
        find(found, key, channel, part, name)


def _put(found: list[Found]) -> bool:
    is_changed = False
    for one in found:
        if one.put():
            is_changed = True
            if "logprobs" in one.holder:
                one.holder["logprobs"] = _NO_TOKENS
    return is_changed


def _say_at_once(response: dict[str, Any], found: list[Found]) -> None:
    """Keep to what the response says where a server repeats its text at the top."""
    if first(response.get("output_text", _NO_TOKENS)) == b'"':
        response["output_text"] = "".join(one.out for one in found if one.channel == "text")
