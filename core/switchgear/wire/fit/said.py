"""What the messages of a chat say, put where and in the form in which a server reads it. A step takes and returns all of them."""

import json
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.wire.fit.names import BILLING
from switchgear.wire.members import raw
from switchgear.wire.mend import EXTRA

Messages = list[dict[str, Raw]]

_SEE_BELOW = "(see the attachment below)"
_TEXT_TYPES = frozenset({"text", "refusal"})
_ASSISTANT, _TOOL, _USER = Raw(b'"assistant"'), Raw(b'"tool"'), Raw(b'"user"')
_FRONT = (Raw(b'"system"'), Raw(b'"developer"'))
_NULL = Raw(b"null")
_NOTHING = (None, _NULL, Raw(b"[]"))
_INSTEAD = ("tool_calls", "function_call", "refusal", "audio")
"""What a turn of the model's may have in place of a content."""
_ANYTHING = msgspec.json.Decoder()


def said(messages: Messages) -> Messages:
    """Write turns of the model's that came to nothing as what most servers take for that: an empty text."""
    return [
        {**message, "content": Raw(b'""')}
        if message.get("role") == _ASSISTANT
        and message.get("content", _NULL) in _NOTHING
        and all(message.get(name) in _NOTHING for name in _INSTEAD)
        else message
        for message in messages
    ]


def media_behind(call: Call, messages: Messages) -> Messages:
    """Show what a tool shows in a message of the user behind the results: those are text alone."""
    moved: Messages = []
    waiting: list[Any] = []
    for message in messages:
        if message.get("role") != _TOOL:
            if waiting:
                moved.append({"role": _USER, "content": raw(waiting)})
                waiting = []
            moved.append(message)
            continue
        parts = _parts(message)
        media = [part for part in parts or () if part.get("type") not in _TEXT_TYPES]
        if parts is None or not media:
            moved.append(message)
            continue
        call.change("messages.content")
        id = _ANYTHING.decode(message.get("tool_call_id", _NULL))
        waiting += [{"type": "text", "text": f"From the result of {id}:"}, *media]
        kept = [part for part in parts if part not in media] or [{"type": "text", "text": _SEE_BELOW}]
        moved.append({**message, "content": raw(kept if len(kept) > 1 else kept[0].get("text", _SEE_BELOW))})
    if waiting:
        moved.append({"role": _USER, "content": raw(waiting)})
    return moved


def with_reasoning(messages: Messages) -> Messages:
    """Give turns that call tools the reasoning that some servers want with each: none, where there is none."""
    return [
        {**message, "reasoning_content": Raw(b'""')}
        if message.get("role") == _ASSISTANT
        and message.get("tool_calls") not in _NOTHING
        and all(message.get(name) in (None, _NULL) for name in ("reasoning_content", "reasoning"))
        else message
        for message in messages
    ]


def with_extra(messages: Messages) -> Messages:
    """Give calls back the `extra_content` that came with them, which was kept as reasoning details meanwhile."""
    fitted: Messages = []
    for message in messages:
        details: Any = _ANYTHING.decode(message.get("reasoning_details", _NULL)) or []
        extras = {it.get("id"): it.get("data") for it in details if isinstance(it, dict) and it.get("format") == EXTRA}
        if extras:
            calls: Any = _ANYTHING.decode(message.get("tool_calls", _NULL)) or []
            for tool in calls:
                if tool.get("id") in extras:
                    tool["extra_content"] = json.loads(str(extras[tool["id"]]))
            others = [it for it in details if it.get("format") != EXTRA]
            message = {**message, "tool_calls": raw(calls or None), "reasoning_details": raw(others)}  # noqa: PLW2901
            if not others:
                del message["reasoning_details"]
        fitted.append(message)
    return fitted


def reminder(text: str) -> str:
    """Return what the system says as the user can say it: marked, in the words that agents use for it."""
    return f"<system-reminder>\n{text}\n</system-reminder>"


def system_in_front(call: Call, messages: Messages) -> Messages:
    """Put the system texts that a conversation begins with into one message, and tell later ones as marked words of the user's.

    They keep their place: a system prompt that grew would end the cache of everything behind it.
    """
    first = next((place for place, it in enumerate(messages) if it.get("role") not in _FRONT), len(messages))
    leading, rest = messages[:first], messages[first:]
    if len(leading) <= 1 and not any(message.get("role") in _FRONT for message in rest):
        return messages
    call.change("messages.role")
    parts = [part for message in leading for part in _content(message)]
    plain = all(part.keys() == {"type", "text"} for part in parts)
    text = "\n\n".join(part["text"] for part in parts) if plain else parts
    front = [{**leading[0], "content": raw(text)}] if leading else []
    return [*front, *_reminded(rest)]


def _reminded(messages: Messages) -> Messages:
    """Tell system texts as the user's, in one message with what the user says beside: some servers want roles to alternate."""
    fitted: Messages = []
    was_told = False
    for message in messages:
        is_told = message.get("role") in _FRONT
        if is_told:
            parts = [{**part, "text": reminder(str(part.get("text")))} for part in _content(message)]
            message = {"role": _USER, "content": raw(parts)}  # noqa: PLW2901 - a value in its stead
        if (is_told or was_told) and fitted and fitted[-1].get("role") == message.get("role") == _USER:
            before = fitted.pop()
            message = {**before, **message, "content": raw([*_content(before), *_content(message)])}  # noqa: PLW2901
        fitted.append(message)
        was_told = is_told
    return fitted


def joined(call: Call, messages: Messages) -> Messages:
    """Write contents that are text alone as one string."""
    fitted: Messages = []
    for message in messages:
        parts = _parts(message)
        if parts and all(part.get("type") in _TEXT_TYPES for part in parts):
            if any("cache_control" in part for part in parts):
                call.drop("messages.content.cache_control")
            between = "\n\n" if message.get("role") in _FRONT else "\n"
            text = between.join(str(part.get("text") or part.get("refusal") or "") for part in parts)
            message = {**message, "content": raw(text)}  # noqa: PLW2901
        fitted.append(message)
    return fitted


def without_billing(messages: Messages) -> Messages:
    """Leave out what one vendor's agent says to that vendor's books: it would end every other's cache of the prompt."""
    fitted: Messages = []
    for message in messages:
        content = bytes(message.get("content", b""))
        if message.get("role") in _FRONT and b"-billing-header:" in content:
            found: Any = _ANYTHING.decode(content)
            if isinstance(found, list):
                kept = [part for part in found if BILLING.match(str(part.get("text", ""))) is None]
                if len(kept) == 1 and kept[0].keys() == {"type", "text"}:
                    message = {**message, "content": raw(kept[0]["text"])}  # noqa: PLW2901
                elif kept:
                    message = {**message, "content": raw(kept)}  # noqa: PLW2901
                else:
                    continue
            elif isinstance(found, str) and BILLING.match(found):
                rest = found.partition("\n")[2].lstrip()
                if not rest:
                    continue
                message = {**message, "content": raw(rest)}  # noqa: PLW2901
        fitted.append(message)
    return fitted


def _content(message: dict[str, Raw]) -> list[Any]:
    """Return a content as parts."""
    content: Any = _ANYTHING.decode(message.get("content", _NULL))
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def _parts(message: dict[str, Raw]) -> list[Any] | None:
    """Return the parts of a content; None for a text, and for what is none."""
    content = bytes(message.get("content", b""))
    if content[:1] != b"[":
        return None
    found: Any = _ANYTHING.decode(content)
    return found if all(isinstance(part, dict) for part in found) else None
