"""Answers of the canonical form that are nearly right, read as what they are and written as the form has them.

Servers that speak the form differ in what they take for granted: numbers for text, lists of parts for a text, calls of tools
without index or id, the old `function_call`. What comes out is what every client of the form understands. Nothing is invented
but an id that is missing.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from switchgear.wire.halves import Halves, whole_text

EXTRA = "extra-content-v1"
"""The `format` of a reasoning detail that keeps `extra_content` of a tool call for clients of other forms."""
_THOUGHTS = ("reasoning_content", "reasoning")
_FINISHES = {
    **dict.fromkeys(("eos", "eos_token", "end_turn", "stop_sequence", "complete"), "stop"),
    **dict.fromkeys(("max_tokens", "max_length", "model_length", "token_limit"), "length"),
    **dict.fromkeys(("tool_use", "tool_call"), "tool_calls"),
    **dict.fromkeys(("safety", "refusal", "sensitive"), "content_filter"),
}
"""What other forms call the end of a choice, and what this one does."""
USUAL_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_TEXTS = ("content", "refusal", *_THOUGHTS)
_DETAIL_TEXTS = ("type", "text", "summary", "signature", "data", "id", "format")
_MOST_CALLS = 512

Json = dict[str, Any]


class Mender:
    """Mends the chunks of one stream. See `mend_completion` for what is asked."""

    __slots__ = ("_calls", "_chosen", "_foreign", "_halves", "_names")

    def __init__(self, names: Mapping[str, str], *, foreign: bool, chosen: bool) -> None:
        self._names = names
        self._chosen = chosen
        self._foreign = foreign
        self._calls: dict[int, ToolCalls] = {}
        self._halves = Halves()

    def chunk(self, payload: bytes, found: Json) -> Json:
        """Return a chunk as the form has it; `payload` is where it was read from."""
        mended = mend_frame(found)
        for choice in mended["choices"]:
            said = choice.get("delta")
            said = said if isinstance(said, dict) else choice.pop("message", None)
            choice["delta"] = self._delta(choice, said if isinstance(said, dict) else {}, payload)
            if reason := choice.get("finish_reason"):
                choice["finish_reason"] = finish_word(
                    reason, called=self.has_called(choice["index"]), chosen=self._chosen
                )
        return mended

    def has_called(self, index: int) -> bool:
        """Say whether a choice has called tools."""
        return index in self._calls

    def _delta(self, choice: Json, said: Json, payload: bytes) -> Json:
        index = choice["index"]
        said = mend_said(said)
        for name in _TEXTS:
            if said.get(name):
                said[name] = self._halves.whole((index, name), said[name])
        if self._foreign:
            said = old_call(said)
        calls = said.pop("tool_calls", None)
        calls = [calls] if isinstance(calls, dict) else calls
        if not isinstance(calls, list) or not calls:
            return said
        numbered = self._calls.setdefault(index, ToolCalls())
        made = [numbered.delta(it, payload, self._own_name) for it in calls if isinstance(it, dict)]
        if calls := [it for it in made if it is not None]:
            said["tool_calls"] = calls
        return keep_extra(said) if self._foreign else said

    def _own_name(self, name: str) -> str:
        return self._names.get(name, name)


class ToolCalls:
    """Numbers the tool calls of one choice from 0 in the order they begin, whatever a server calls them."""

    __slots__ = ("_arguments", "_by_id", "_by_index", "_ids", "_named")

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        self._ids: list[str] = []
        self._named: list[bool] = []
        self._arguments: list[list[str]] = []

    def delta(self, given: Json, seed: bytes, name_of: Callable[[str], str]) -> Json | None:
        """Return a piece of a call as the form has it; None if it says nothing. `seed` makes the id of a call that has none."""
        kind, takes = ("custom", "input") if isinstance(given.get("custom"), dict) else ("function", "arguments")
        inner = given.get(kind) if isinstance(given.get(kind), dict) else given
        assert isinstance(inner, dict)
        name = text(inner.get("name"))
        arguments = text(inner.get(takes)) if kind == "custom" else arguments_text(inner.get(takes))
        id = text(given.get("id"))
        index = given.get("index")
        index = int(index) if isinstance(index, int | float) or (isinstance(index, str) and index.isdigit()) else None
        place = self._place(index, id, name)
        others = {n: v for n, v in given.items() if n not in _CALL_MEMBERS and v is not None}
        if place is None or not self._arguments[place]:
            arguments = object_text(arguments)
        if place is None:
            if len(self._ids) >= _MOST_CALLS or not (name or id):
                return None
            place = len(self._ids)
            id = (id if id not in self._by_id else "") or f"call_{sha256(seed + b'%d' % place).hexdigest()[:24]}"
            self._ids.append(id)
            self._named.append(bool(name))
            self._arguments.append([])
            begun: Json = {"index": place, "id": id, "type": kind, **others}
            begun[kind] = {"name": name_of(name), takes: arguments}
        else:
            begun = {"index": place, **others, kind: {takes: arguments}}
            if name and not self._named[place]:
                self._named[place] = True
                begun[kind]["name"] = name_of(name)
        if index is not None:
            self._by_index[index] = place
        if id:
            self._by_id.setdefault(id, place)
        if arguments:
            self._arguments[place].append(arguments)
        return begun

    def _place(self, index: int | None, id: str, name: str) -> int | None:
        """Return which call a piece goes on with, None if it begins one."""
        begins = index is not None and index not in self._by_index and bool(name)
        if id and id in self._by_id and not begins:
            return self._by_id[id]
        going_on = len(self._ids) - 1 if self._ids and not id else None
        place = going_on if index is None else self._by_index.get(index, None if name else going_on)
        if place is None or not name:
            return place if not (id and index is None) else None
        # A name where there was one: another call under the same number, unless the arguments still lack their end.
        if not self._named[place]:
            return place
        return None if (id and id != self._ids[place]) or self._is_whole(place) else place

    def _is_whole(self, place: int) -> bool:
        said = "".join(self._arguments[place]).strip()
        if not said:
            return False
        try:
            json.loads(said)
        except (ValueError, RecursionError):
            return False
        return True


def finish_word(reason: str | None, *, called: bool, chosen: bool = False) -> str:
    """Return why a choice ended in the form's words; what is not known stays. One that `called` tools waits for their results.

    Where the client has `chosen` the function, the call is all that was asked for, and `stop` is the form's own word.
    """
    word = (reason or "stop").lower()
    word = _FINISHES.get(word, word if word in USUAL_FINISHES else reason or "stop")
    if called and (word == "function_call" or (word == "stop" and not chosen)):
        return "tool_calls"
    return word


_CALL_MEMBERS = frozenset({"index", "id", "type", "function", "custom", "name", "arguments"})


def text(value: Any) -> str:
    """Return what a member says as text; empty for what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def object_text(arguments: str) -> str:
    """Return the whole arguments of a call as the text of their object: some servers encode it twice."""
    if not arguments.startswith('"'):
        return arguments
    try:
        inner = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    return inner if inner.lstrip().startswith("{") else arguments


def arguments_text(value: Any) -> str:
    """Return the arguments of a call as text: some servers send the object itself."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def words(value: Any) -> str:
    """Return the text in a text, a part, or a list of parts."""
    if isinstance(value, list):
        return "".join(map(words, value))
    if isinstance(value, dict):
        return next((words(value[n]) for n in ("text", "thinking", "content", "summary") if value.get(n)), "")
    return text(value)


def mend_said(said: Json) -> Json:
    """Return a message or a delta whose texts are texts."""
    mended = dict(said)
    content = said.get("content")
    if isinstance(content, list | dict):
        parts = content if isinstance(content, list) else [content]
        thought = [it for it in parts if isinstance(it, dict) and it.get("type") in _THINKING]
        others = [it for it in parts if it not in thought]
        mended["content"] = words(others) if others else None
        if thought:
            mended["reasoning_content"] = words(said.get("reasoning_content")) + words(thought)
    elif content is not None and not isinstance(content, str):
        mended["content"] = text(content) or None
    for name in _THOUGHTS:
        if name in mended and not isinstance(mended[name], str | None):
            mended[name] = words(mended[name]) or None
    if not isinstance(mended.get("refusal"), str | None):
        mended["refusal"] = None
    if not isinstance(mended.get("role"), str | None):
        del mended["role"]
    details = mended.get("reasoning_details")
    if details is not None:
        listed = details if isinstance(details, list) else [details]
        mended["reasoning_details"] = [_detail(it) for it in listed if isinstance(it, dict) and text(it.get("type"))]
    mended.update({name: _objects(mended[name]) for name in ("annotations", "images") if mended.get(name) is not None})
    return mended


def _objects(given: Any) -> list[Json]:
    """Return the objects in a list; an address alone is that of a picture."""
    listed = given if isinstance(given, list) else [given]
    made = [{"type": "image_url", "image_url": {"url": it}} if isinstance(it, str) else it for it in listed]
    return [it for it in made if isinstance(it, dict) and it]


_THINKING = frozenset({"thinking", "reasoning"})


def _detail(given: Json) -> Json:
    mended = {n: v for n, v in given.items() if n not in _DETAIL_TEXTS or isinstance(v, str)}
    index = mended.get("index")
    if not isinstance(index, int):
        mended.pop("index", None)
        if isinstance(index, str | float) and str(index).removesuffix(".0").isdigit():
            mended["index"] = int(float(index))
    return mended


def mend_frame(found: Json) -> Json:
    """Return an answer or a chunk whose own members are what they should be."""
    mended = dict(found)
    for name in ("id", "model"):
        if name in mended and not isinstance(mended[name], str):
            mended[name] = text(mended[name])
    if "created" in mended and not isinstance(mended["created"], int):
        created = mended["created"]
        try:
            mended["created"] = int(float(created))
        except (TypeError, ValueError, OverflowError):
            mended["created"] = 0
    choices = mended.get("choices")
    choices = [choices] if isinstance(choices, dict) else choices if isinstance(choices, list) else []
    mended["choices"] = [dict(it) for it in choices if isinstance(it, dict)]
    for place, choice in enumerate(mended["choices"]):
        index = choice.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            choice["index"] = int(index) if isinstance(index, str | float) and text(index).isdigit() else place
        if not isinstance(choice.setdefault("finish_reason", None), str | None):
            choice["finish_reason"] = None
        if not isinstance(choice.get("logprobs"), dict | None):
            choice["logprobs"] = None
    return mended


def old_call(said: Json) -> Json:
    """Write the old `function_call` as the call of a tool."""
    given = said.get("function_call")
    if not isinstance(given, dict) or said.get("tool_calls"):
        return said
    mended = {n: v for n, v in said.items() if n != "function_call"}
    mended["tool_calls"] = [{"index": 0, "function": given}]
    return mended


def keep_extra(said: Json) -> Json:
    """Keep `extra_content` of tool calls as reasoning details, which clients of other forms carry back."""
    calls = said.get("tool_calls") or ()
    kept = [
        {"type": "reasoning.encrypted", "data": json.dumps(call["extra_content"]), "id": call["id"], "format": EXTRA}
        for call in calls
        if isinstance(call.get("extra_content"), dict) and "id" in call
    ]
    return {**said, "reasoning_details": [*(said.get("reasoning_details") or ()), *kept]} if kept else said


def mend_completion(found: Json, names: Mapping[str, str], *, foreign: bool, chosen: bool) -> Json:
    """Return a whole answer as the form has it.

    `names` are tools' own names by what they are called upstream, `foreign` says whether the client speaks another form,
    `chosen` whether it speaks this one and named the one function to call.
    """
    mended = mend_frame(found)
    for choice in mended["choices"]:
        said = choice.get("message") or choice.pop("delta", None)
        said = mend_said(said if isinstance(said, dict) else {})
        if foreign:
            said = old_call(said)
        calls = said.get("tool_calls")
        if calls is not None:
            numbered = ToolCalls()
            seed = msgspec.json.encode([mended.get("id"), mended.get("created"), whole_text(str(calls))])
            made = [
                numbered.delta({**it, "index": place}, seed, lambda name: names.get(name, name))
                for place, it in enumerate(calls if isinstance(calls, list) else ())
                if isinstance(it, dict)
            ]
            said["tool_calls"] = [{n: v for n, v in it.items() if n != "index"} for it in made if it is not None]
            if not said["tool_calls"]:
                said["tool_calls"] = None
        called = bool(said.get("tool_calls"))
        choice["finish_reason"] = finish_word(choice["finish_reason"], called=called, chosen=chosen)
        if said.get("content") is None and said.get("tool_calls") is None:
            said.setdefault("content", None)
        choice["message"] = keep_extra(said) if foreign else said
    return mended
