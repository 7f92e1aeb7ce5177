"""What chats and completions share: answers of numbered choices, and chunks that each add to some of them."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.filter import Channel, Texts
from switchgear.contracts.provider import StreamEvent
from switchgear.wire.pieces.found import Found, Key, says_nothing
from switchgear.wire.texts import NULL, items_of, members_of, number_of, text_of, write

Find = Callable[[dict[str, Any], int], list[Found]]
"""Finds the texts of a choice of this number."""
_TOKENS = frozenset({"text", "refusal"})
"""What log probabilities are of."""
_json = msgspec.json.Decoder(dict[str, Raw])


def filter_choices(body: bytes, texts: Texts, find: Find) -> bytes:
    """Filter a whole answer."""
    whole: dict[str, Any] = dict(members_of(body))
    choices = [members_of(choice) for choice in items_of(whole.get("choices"))]
    is_changed = False
    for place, choice in enumerate(choices):
        index = number_of(choice["index"]) if "index" in choice else place
        for one in find(choice, index):
            one.out = texts.whole_text(index, one.channel, one.text)
            if one.put():
                is_changed = True
                _forget_tokens(choice, one.channel)
    if not is_changed:
        return body
    whole["choices"] = choices
    return bytes(write(whole))


class Chunks:
    """One stream of chunks. `tail` writes a choice, but for its number, that says the rest of a text."""

    def __init__(
        self, texts: Texts, find: Find, tail: Callable[[Key, str], dict[str, Any]], *, ordered: bool = False
    ) -> None:
        self._texts = texts
        self._find = find
        self._tail = tail
        self._ordered = ordered
        self._open: dict[Key, Channel] = {}
        self._calls: dict[Key, str] = {}  # the ids of tool calls, by what their texts have in common
        self._given: dict[Key, list[str]] = {}  # arguments so far, where it matters whether they are whole
        self._frame: dict[str, Any] = {}

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        """Filter one chunk."""
        chunk: dict[str, Any] = dict(members_of(event.data))
        choices = [members_of(choice) for choice in items_of(chunk.get("choices"))]
        if not choices:
            return [event]
        if not self._frame:
            self._frame = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        before: list[StreamEvent] = []
        is_changed, is_left = False, chunk.get("usage", NULL) != NULL or event.last or event.terminal
        for choice in choices:
            index = number_of(choice.get("index"))
            found = self._find(choice, index)
            finish = text_of(choice.get("finish_reason"))
            self._filter(found, index, before, over=bool(finish) or event.last)
            is_changed |= self._put(choice, found)
            is_left = (
                is_left or bool(finish) or not found or not says_nothing([choice.get(name) for name in _shown(choice)])
            )
        if is_changed:
            chunk["choices"] = choices
            event.data = bytes(write(chunk)) if is_left else b""
        if event.last:
            before += self.close()
        return [*before, event]

    def close(self) -> list[StreamEvent]:
        """End every text."""
        return [self._said(key, tail) for key in tuple(self._open) if (tail := self._end(key))]

    def _filter(self, found: list[Found], index: int, before: list[StreamEvent], *, over: bool) -> None:
        here: dict[Key, Found] = {}
        for one in found:
            for key in self._ended_by(one):
                self._flush(key, here, before)
            one.out = self._texts.feed(one.key, index, one.channel, one.text)
            if one.is_whole:
                one.out += self._texts.end(one.key)
                self._open.pop(one.key, None)
                continue
            self._open[one.key] = one.channel
            here[one.key] = one
            if self._ordered and one.channel == "tool_arguments":
                self._given.setdefault(one.key, []).append(one.text)
        if over:
            for key in [key for key in self._open if key[0] == index]:
                self._flush(key, here, before)

    def _ended_by(self, one: Found) -> list[Key]:
        """Return the texts that are over when this one goes on."""
        over: list[Key] = []
        if one.call_id:
            call = one.key[:-1]
            if (
                self._calls.setdefault(call, one.call_id) != one.call_id
            ):  # servers that number no calls: a new id is a new call
                self._calls[call] = one.call_id
                over += [key for key in self._open if key[:-1] == call]
        if self._ordered:
            over += [key for key in self._open if key[0] == one.key[0] and key not in over and self._is_over(key, one)]
        return over

    def _is_over(self, key: Key, one: Found) -> bool:
        """Say whether a text is over when another goes on. Calls may come by turns: arguments that are no JSON yet will go on."""
        channel = self._open[key]
        if channel == "tool_arguments":
            return key[:-1] != one.key[:-1] and _is_json("".join(self._given.get(key, ())))
        return channel != one.channel

    def _flush(self, key: Key, here: dict[Key, Found], before: list[StreamEvent]) -> None:
        """End a text: what was kept back goes behind what this chunk says of it, or into a chunk before."""
        tail = self._end(key)
        if tail and key in here:
            here[key].out += tail
        elif tail:
            before.append(self._said(key, tail))

    def _end(self, key: Key) -> str:
        self._open.pop(key, None)
        self._given.pop(key, None)
        return self._texts.end(key)

    def _said(self, key: Key, text: str) -> StreamEvent:
        choice = {"index": key[0], **self._tail(key, text), "finish_reason": None}
        return StreamEvent(bytes(write({**self._frame, "choices": [choice]})))

    @staticmethod
    def _put(choice: dict[str, Any], found: list[Found]) -> bool:
        is_changed = False
        for one in found:
            if one.put():
                is_changed = True
                _forget_tokens(choice, one.channel)
        return is_changed


def _shown(choice: dict[str, Any]) -> list[str]:
    return [name for name in choice if name not in ("index", "finish_reason")]


def _forget_tokens(choice: dict[str, Any], channel: Channel) -> None:
    if channel in _TOKENS and choice.get("logprobs", NULL) != NULL:
        choice["logprobs"] = NULL


def _is_json(text: str) -> bool:
    try:
        _json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
