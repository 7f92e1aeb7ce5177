"""Calls of the canonical form fitted to one server that speaks it.

Messages are taken apart no further than where something has to be looked at: what nobody touches goes out byte for byte.
"""

import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, TargetModel
from switchgear.wire.fit.names import BILLING, NameRule, Names, fit_id, fit_user
from switchgear.wire.fit.results import NO_RESULT, paired
from switchgear.wire.members import member, raw
from switchgear.wire.mend import EXTRA
from switchgear.wire.model_facts import most_output, reasons
from switchgear.wire.texts import text_of

Messages = list[dict[str, Raw]]
When = Literal["never", "translated", "always"]
"""Which calls are rewritten: none, those of clients of another form, or all."""

_SEE_BELOW = "(see the attachment below)"
_TEXT_TYPES = frozenset({"text", "refusal"})
_ASSISTANT, _TOOL, _USER = Raw(b'"assistant"'), Raw(b'"tool"'), Raw(b'"user"')
_RESULTS = (_TOOL, Raw(b'"function"'))
_FRONT = (Raw(b'"system"'), Raw(b'"developer"'))
_NULL = Raw(b"null")
_NOTHING = (None, _NULL, Raw(b"[]"))
_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_UNDERSCORE = ord("_")
"""A byte is looked for many times faster than several, and as a number than as bytes."""
_ABOUT_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_ANYTHING = msgspec.json.Decoder()


class ChatGrammar(Struct, frozen=True):
    """What a server reads.

    user             characters of `user` at most
    names            how the names of tools are
    ids              characters of a tool call's id at most, None for any
    joined           which calls' contents of text alone go out as one string
    front            which calls' system texts go out as one message in front
    reasoning_empty  which calls' assistant turns with tools get an empty `reasoning_content` where there is none
    extra            takes `extra_content` of tool calls back
    media            takes pictures and files in tool messages
    new_bound        knows `max_completion_tokens`, and some of its models nothing else
    """

    user: int = 64
    names: NameRule = NameRule()
    ids: int | None = None
    joined: When = "never"
    front: When = "never"
    reasoning_empty: When = "never"
    extra: bool = False
    media: bool = False
    new_bound: bool = True


def fit_chat(call: Call, members: dict[str, Raw], grammar: ChatGrammar, model: TargetModel) -> dict[str, Raw]:
    """Return the members of a call as the server reads them."""
    fitted = _scalars(call, members, grammar, model)
    text = bytes(fitted.get("messages", b""))
    native = call.origin == call.wire and "always" not in (grammar.joined, grammar.front, grammar.reasoning_empty)
    if native and (_UNDERSCORE not in text or text.find(b"tool_call") < 0) and _ABOUT_TOOLS.isdisjoint(fitted):
        return fitted
    names = Names(call, grammar.names)
    fitted = _tools(call, fitted, names)
    steps = _steps(call, text, grammar, names)
    if not steps:
        return fitted
    found = before = member(fitted, "messages", list[dict[str, Raw]]) or []
    for step in steps:
        found = step(found)
    return fitted if found == before else {**fitted, "messages": raw(found)}


def _steps(call: Call, text: bytes, grammar: ChatGrammar, names: Names) -> list[Callable[[Messages], Messages]]:
    """Return what has to be done to messages, going by what stands in their JSON."""
    foreign = call.origin != call.wire
    steps: list[Callable[[Messages], Messages]] = []
    if foreign and b"-billing-header:" in text:
        steps.append(_without_billing)
    if foreign and b'"is_error"' in text:
        steps.append(lambda found: _without_errors(call, found))
    if b"tool_call" in text:
        steps.append(lambda found: _paired(call, found))
        if not grammar.media:
            steps.append(lambda found: _media_behind(call, found))
        steps.append(lambda found: _calls(found, names, grammar))
        if _applies(grammar.reasoning_empty, call):
            steps.append(_with_reasoning)
    if grammar.extra and EXTRA.encode() in text:
        steps.insert(0, _with_extra)
    if _applies(grammar.front, call) and (b'"system"' in text or b'"developer"' in text):
        steps.append(lambda found: _system_in_front(call, found))
    if _applies(grammar.joined, call) and b"[" in text[1:]:
        steps.append(lambda found: _joined(call, found))
    return steps


def _applies(when: When, call: Call) -> bool:
    return when == "always" or (when == "translated" and call.origin != call.wire)


def bounded(call: Call, members: dict[str, Raw], model: TargetModel) -> dict[str, Raw]:
    """Return the members with a bound on the answer that the model can meet."""
    for name in _BOUNDS:
        wanted = members.get(name)
        if wanted is None or wanted == _NULL:
            continue
        most = model.max_output_tokens or most_output(model.name)
        if most is not None and (member(members, name, int) or 0) > most:
            call.change(name)
            members = {**members, name: raw(most)}
    return members


def fit_members(call: Call, members: dict[str, Raw], grammar: ChatGrammar, model: TargetModel) -> dict[str, Raw]:
    """Return what every wire of this API has alike: who asks, and how long the answer may be."""
    members = bounded(call, members, model)
    if "user" in members and len(bytes(members["user"])) > grammar.user + 2:
        user = member(members, "user", str) or ""
        fitted = fit_user(user, grammar.user)
        if fitted != user:
            call.change("user")
            members = {**members, "user": raw(fitted)}
    return members


def _scalars(call: Call, members: dict[str, Raw], grammar: ChatGrammar, model: TargetModel) -> dict[str, Raw]:
    members = fit_members(call, members, grammar, model)
    if grammar.new_bound and "max_tokens" in members and reasons(model.name):
        bound = members["max_tokens"]
        members = {name: value for name, value in members.items() if name != "max_tokens"}
        members.setdefault("max_completion_tokens", bound)
    return members


def _tools(call: Call, members: dict[str, Raw], names: Names) -> dict[str, Raw]:
    tools = members.get("tools")
    if tools in _NOTHING or (tools is not None and bytes(tools).strip(b"[] \n\t\r") == b""):
        if members.keys().isdisjoint(_ABOUT_TOOLS) or _has(members, "functions"):
            return members
        asked = member(members, "tool_choice", object)
        if asked not in (None, "auto", "none"):
            call.drop("tool_choice")
        return {n: v for n, v in members.items() if n not in _ABOUT_TOOLS}
    assert tools is not None
    renamed = _renamed_tools(tools, names)
    if renamed is not None:
        members = {**members, "tools": renamed}
    choice = members.get("tool_choice")
    if choice is not None and bytes(choice)[:1] == b"{":
        wanted: Any = _ANYTHING.decode(choice)
        _rename(wanted, names)
        allowed = wanted.get("allowed_tools")
        for tool in allowed.get("tools") or () if isinstance(allowed, dict) else ():
            _rename(tool, names)
        if wanted != _ANYTHING.decode(choice):
            members = {**members, "tool_choice": raw(wanted)}
    return members


def _rename(tool: Any, names: Names) -> None:
    """Give a tool, a choice or a call a name that fits."""
    for kind in ("function", "custom") if isinstance(tool, dict) else ():
        inner = tool.get(kind)
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            inner["name"] = names.fit(inner["name"])


def _has(members: dict[str, Raw], name: str) -> bool:
    return members.get(name) not in _NOTHING


class _Named(Struct):
    name: str | None = None


class _Tool(Struct):
    function: _Named | None = None
    custom: _Named | None = None


_tools_decoder = msgspec.json.Decoder(list[_Tool])


def _renamed_tools(tools: Raw, names: Names) -> Raw | None:
    """Return tools under names that fit; None where all do."""
    try:
        found = _tools_decoder.decode(tools)
    except (msgspec.DecodeError, RecursionError):
        return None
    said = [inner.name for tool in found if (inner := tool.function or tool.custom) is not None and inner.name]
    if all(names.fit(name) == name for name in said):
        return None
    whole: list[Any] = _ANYTHING.decode(tools)
    for tool in whole:
        _rename(tool, names)
    return raw(whole)


def _without_errors(call: Call, messages: Messages) -> Messages:
    """Leave out that a tool failed, which this form has no member for."""
    if any("is_error" in message for message in messages):
        call.drop("messages.content.is_error")
    return [{name: value for name, value in message.items() if name != "is_error"} for message in messages]


class _Called(Struct):
    id: str = ""


_called_decoder = msgspec.json.Decoder(list[_Called])


def _paired(call: Call, messages: Messages) -> Messages:
    """Put the result of each call right behind the turn that made it."""
    ordered, made_up = paired(
        messages,
        called=_ids,
        answered=lambda it: text_of(it.get("tool_call_id")) or "" if it.get("role") in _RESULTS else None,
        nothing=lambda call_id: {"role": _TOOL, "tool_call_id": raw(call_id), "content": raw(NO_RESULT)},
        told=lambda it: {"role": _USER, "content": it.get("content", _NULL)},
    )
    if made_up:
        call.change("messages.tool_calls")
    return ordered


def _ids(message: dict[str, Raw]) -> list[str]:
    calls = message.get("tool_calls")
    if calls in _NOTHING or message.get("role") != _ASSISTANT:
        return []
    assert calls is not None
    try:
        return [called.id for called in _called_decoder.decode(calls)]
    except (msgspec.DecodeError, RecursionError):
        return []


def _media_behind(call: Call, messages: Messages) -> Messages:
    """Show what a tool shows in a message of the user behind the results: those are text alone."""
    moved: Messages = []
    waiting: list[Any] = []
    for message in messages:
        if message.get("role") != _TOOL:
            if waiting:
                moved.append({"role": Raw(b'"user"'), "content": raw(waiting)})
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
        moved.append({"role": Raw(b'"user"'), "content": raw(waiting)})
    return moved


def _calls(messages: Messages, names: Names, grammar: ChatGrammar) -> Messages:
    """Write names and ids of the calls of a history as the server takes them."""
    most = grammar.ids
    fitted: Messages = []
    for message in messages:
        calls = message.get("tool_calls")
        if calls not in _NOTHING and message.get("role") == _ASSISTANT:
            assert calls is not None
            found: Any = _ANYTHING.decode(calls)
            for tool in found if isinstance(found, list) else ():
                _rename(tool, names)
                if most is not None and isinstance(tool, dict) and isinstance(tool.get("id"), str):
                    tool["id"] = fit_id(tool["id"], most)
            if found != _ANYTHING.decode(calls):
                message = {**message, "tool_calls": raw(found)}  # noqa: PLW2901 - a value in its stead
        elif most is not None and len(bytes(message.get("tool_call_id", b""))) > most + 2:
            id = _ANYTHING.decode(message["tool_call_id"])
            message = {**message, "tool_call_id": raw(fit_id(id, most))}  # noqa: PLW2901
        fitted.append(message)
    return fitted


def _with_reasoning(messages: Messages) -> Messages:
    """Give turns that call tools the reasoning that some servers want with each: none, where there is none."""
    return [
        {**message, "reasoning_content": Raw(b'""')}
        if message.get("role") == _ASSISTANT
        and message.get("tool_calls") not in _NOTHING
        and all(message.get(name) in (None, _NULL) for name in ("reasoning_content", "reasoning"))
        else message
        for message in messages
    ]


def _with_extra(messages: Messages) -> Messages:
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


def _system_in_front(call: Call, messages: Messages) -> Messages:
    """Put all system texts into one message in front."""
    said = [message for message in messages if message.get("role") in _FRONT]
    if not said or (len(said) == 1 and messages[0] is said[0]):
        return messages
    if any(message.get("role") in _FRONT for message in messages[len(said) :]) or len(said) > 1:
        call.change("messages.role")
    parts: list[Any] = []
    for message in said:
        content: Any = _ANYTHING.decode(message.get("content", _NULL))
        parts += content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    plain = all(part.keys() == {"type", "text"} for part in parts)
    text = "\n\n".join(part["text"] for part in parts) if plain else parts
    first = {**said[0], "content": raw(text)}
    return [first, *(message for message in messages if message.get("role") not in _FRONT)]


def _joined(call: Call, messages: Messages) -> Messages:
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


def _without_billing(messages: Messages) -> Messages:
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


def _parts(message: dict[str, Raw]) -> list[Any] | None:
    """Return the parts of a content; None for a text, and for what is none."""
    content = bytes(message.get("content", b""))
    if content[:1] != b"[":
        return None
    found: Any = _ANYTHING.decode(content)
    return found if all(isinstance(part, dict) for part in found) else None
