"""Calls of the canonical form fitted to one server that speaks it.

Messages are taken apart no further than where something has to be looked at: what nobody touches goes out byte for byte.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.calls import whole_calls
from switchgear.wire.fit.names import NameRule, Names, fit_id, fit_user
from switchgear.wire.fit.results import NO_RESULT, paired
from switchgear.wire.fit.said import (
    joined,
    media_behind,
    said,
    system_in_front,
    with_extra,
    with_reasoning,
    without_billing,
)
from switchgear.wire.fit.schema import fit_schemas
from switchgear.wire.members import member, prune, raw
from switchgear.wire.mend import EXTRA
from switchgear.wire.model_facts import most_output, reasons
from switchgear.wire.texts import text_of

Messages = list[dict[str, Raw]]
When = Literal["never", "translated", "always"]
"""Which calls are rewritten: none, those of clients of another form, or all."""

_ASSISTANT, _TOOL, _USER = Raw(b'"assistant"'), Raw(b'"tool"'), Raw(b'"user"')
_RESULTS = (_TOOL, Raw(b'"function"'))
_NULL = Raw(b"null")
_NOTHING = (None, _NULL, Raw(b"[]"))
_THOUGHTS = ("messages.reasoning_content", "messages.reasoning_details")
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
    front            which calls' system texts go out as one message in front, later ones as marked words of the user's
    reasoning_empty  which calls' assistant turns with tools get an empty `reasoning_content` where there is none
    extra            takes `extra_content` of tool calls back
    media            takes pictures and files in tool messages
    new_bound        knows `max_completion_tokens`, and some of its models nothing else
    addresses        takes files by their address
    searches         takes `web_search_options` for any model, not only for those that do nothing else
    others           takes what other servers' models thought, and what came with their calls, as they said it
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
    addresses: bool = False
    searches: bool = False
    others: bool = True


def fit_chat(call: Call, members: dict[str, Raw], grammar: ChatGrammar, model: TargetModel) -> dict[str, Raw]:
    """Return the members of a call as the server reads them."""
    fitted = _scalars(call, members, grammar, model)
    text = bytes(fitted.get("messages", b""))
    if not grammar.others and call.origin == call.wire and _holds_thoughts(text):
        fitted, dropped = prune(fitted, _THOUGHTS)
        call.drop(*dropped)
        text = bytes(fitted.get("messages", b""))
    native = call.origin == call.wire and "always" not in (grammar.joined, grammar.front, grammar.reasoning_empty)
    if native and (_UNDERSCORE not in text or text.find(b"tool_call") < 0) and _ABOUT_TOOLS.isdisjoint(fitted):
        return fitted
    names = Names(call, grammar.names)
    fitted = _tools(call, fitted, names)
    if call.origin != call.wire:
        fitted = fit_schemas(call, fitted)
        if web_search.MEMBER in fitted and not grammar.searches and "search" not in model.name:
            call.drop(web_search.MEMBER)
            fitted = {name: value for name, value in fitted.items() if name != web_search.MEMBER}
    steps = _steps(call, text, grammar, names)
    if not steps or (call.origin == call.wire and not _is_readable(text)):
        return fitted
    found = before = member(fitted, "messages", list[dict[str, Raw]]) or []
    for step in steps:
        found = step(found)
    return fitted if found == before else {**fitted, "messages": raw(found)}


def _steps(call: Call, text: bytes, grammar: ChatGrammar, names: Names) -> list[Callable[[Messages], Messages]]:
    """Return what has to be done to messages, going by what stands in their JSON."""
    foreign = call.origin != call.wire
    if foreign and not grammar.addresses and holds_addresses(call):
        message = (
            "A file in `messages` is named by its address; this model's provider takes the file itself, as a data URL."
        )
        raise InvalidRequest(message, param="messages", code="unsupported_content")
    steps: list[Callable[[Messages], Messages]] = []
    if foreign and b"-billing-header:" in text:
        steps.append(without_billing)
    if foreign and b'"is_error"' in text:
        steps.append(lambda found: _without_errors(call, found))
    if b"tool_call" in text:
        steps.append(whole_calls)
        steps.append(lambda found: _paired(call, found))
        steps.append(said)
        if not grammar.media:
            steps.append(lambda found: media_behind(call, found))
        steps.append(lambda found: _calls(call, found, names, grammar))
        if _applies(grammar.reasoning_empty, call):
            steps.append(with_reasoning)
    if grammar.extra and EXTRA.encode() in text:
        steps.insert(0, with_extra)
    fronts = _applies(grammar.front, call) and (b'"system"' in text or b'"developer"' in text)
    if fronts:
        steps.append(lambda found: system_in_front(call, found))
    if _applies(grammar.joined, call) and (fronts or b"[" in text[1:]):
        steps.append(lambda found: joined(call, found))
    return steps


def holds_addresses(call: Call) -> bool:
    """Say whether a translated call names files by their addresses."""
    return b'"file_data":"http' in bytes(call.members.get("messages", b""))


class _Part(Struct):
    type: str
    text: str = ""
    refusal: str = ""


class _Said(Struct):
    """What the steps look at."""

    content: str | list[_Part] | None = None
    tool_calls: list[dict[str, Raw]] | None = None
    tool_call_id: str | None = None
    reasoning_details: list[dict[str, Raw]] | None = None


_readable = msgspec.json.Decoder(list[_Said])


def _is_readable(text: bytes) -> bool:
    """Say whether messages of a client of this form are what they should be; others are for the server to refuse."""
    try:
        _readable.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class _Message(Struct):
    reasoning_content: Raw = Raw()
    reasoning_details: Raw = Raw()


_looked_at = msgspec.json.Decoder(list[_Message])


def _holds_thoughts(text: bytes) -> bool:
    if _UNDERSCORE not in text:
        return False
    try:
        found = _looked_at.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return True
    return any(it.reasoning_content or it.reasoning_details for it in found)


def _applies(when: When, call: Call) -> bool:
    return when == "always" or (when == "translated" and call.origin != call.wire)


def bounded(call: Call, members: dict[str, Raw], model: TargetModel) -> dict[str, Raw]:
    """Return the members with a bound on the answer that the model can meet."""
    for name in _BOUNDS:
        if name not in members:
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


def _calls(call: Call, messages: Messages, names: Names, grammar: ChatGrammar) -> Messages:
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
                if not grammar.others and isinstance(tool, dict) and tool.pop("extra_content", None) is not None:
                    call.drop("messages.tool_calls.extra_content")
            if found != _ANYTHING.decode(calls):
                message = {**message, "tool_calls": raw(found)}  # noqa: PLW2901 - a value in its stead
        elif most is not None and len(bytes(message.get("tool_call_id", b""))) > most + 2:
            id = _ANYTHING.decode(message["tool_call_id"])
            message = {**message, "tool_call_id": raw(fit_id(id, most))}  # noqa: PLW2901
        fitted.append(message)
    return fitted
