"""Canonical requests read for translation, fitted to what all forms but the canonical one have in common.

History is past: what a model once said badly, or a client cut, does not end a conversation. It goes on in a form that can be
read, and is named.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.wire.calls import Ids
from switchgear.wire.canonical import (
    ChatRequest,
    Message,
    NamedTool,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    read_chat,
)
from switchgear.wire.fit.names import BILLING, NameRule, Names
from switchgear.wire.fit.results import NO_RESULT, paired
from switchgear.wire.fit.said import reminder
from switchgear.wire.mend import words

_object = msgspec.json.Decoder(dict[str, Raw])
_anything = msgspec.json.Decoder()
_PLAIN = NameRule()
_SETTING = frozenset({"system", "developer"})
_INVALID = "_invalid"
"""The member in which arguments go on that were no object."""


def read_fitted(call: Call, model: TargetModel, names: NameRule = _PLAIN, *, takes_errors: bool = False) -> ChatRequest:
    """Decode a canonical call as `read_chat` does, and fit it. Raises `InvalidRequest`.

    `names` are those that tools may have; `takes_errors` says whether a tool's result can say that it is an error.
    """
    chat = read_chat(call, model)
    _bound(call, chat, model)
    _allow(call, chat)
    if not chat.tools:
        choice = chat.tool_choice
        if not isinstance(choice, NamedTool) or choice.function is not None:
            if choice not in (None, "auto", "none") and "tool_choice" in call.members:
                call.drop("tool_choice")
            chat.tool_choice = chat.parallel_tool_calls = None
    _tell_tools_apart(call, chat)
    fitted = Names(call, names)
    for tool in chat.tools or ():
        if tool.function is not None:
            tool.function.name = fitted.fit(tool.function.name)
    if isinstance(chat.tool_choice, NamedTool) and chat.tool_choice.function is not None:
        chat.tool_choice.function.name = fitted.fit(chat.tool_choice.function.name)
    if chat.messages and all(map(_is_setting, chat.messages)):
        call.change("messages.role")  # nobody has asked anything: what was said last is what is asked
        chat.messages[-1].role = "user"
    for message in chat.messages:
        _message(call, message, fitted, takes_errors=takes_errors)
    chat.messages = list(_reminded(call, _said(iter(_paired(call, chat.messages)))))
    _tell_apart(call, chat.messages)
    return chat


def _tell_apart(call: Call, messages: list[Message]) -> None:
    """Give calls whose id an earlier one has ids of their own, as servers give them that count anew in each turn."""
    ids = Ids()
    for message in messages:
        if message.tool_calls:
            given = [tool.id for tool in message.tool_calls]
            made = ids.called(given)
            if made != given:
                call.change("messages.tool_calls.id")
                now = dict(zip(given, made, strict=True))
                for detail in message.reasoning_details or ():
                    detail.id = now.get(detail.id or "", detail.id)
                for tool, id in zip(message.tool_calls, made, strict=True):
                    tool.id = id
        elif message.role == "tool" and message.tool_call_id:
            message.tool_call_id = ids.answered(message.tool_call_id)


def _tell_tools_apart(call: Call, chat: ChatRequest) -> None:
    """Leave out a tool whose name an earlier one has: a call could not say which of them it means."""
    names: set[str] = set()
    kept = []
    for tool in chat.tools or ():
        if tool.function is None or tool.function.name not in names:
            kept.append(tool)
        if tool.function is not None:
            names.add(tool.function.name)
    if chat.tools and len(kept) < len(chat.tools):
        call.drop("tools")
        chat.tools = kept


def _allow(call: Call, chat: ChatRequest) -> None:
    """Leave out tools that must not be called: other forms know which there are, and not which of them may be."""
    choice = chat.tool_choice
    if not isinstance(choice, NamedTool) or choice.allowed_tools is None:
        return
    allowed = {tool.function.name for tool in choice.allowed_tools.tools if tool.function is not None}
    chat.tools = [tool for tool in chat.tools or () if tool.function is not None and tool.function.name in allowed]
    chat.tool_choice = choice.allowed_tools.mode
    call.change("tool_choice")


def _bound(call: Call, chat: ChatRequest, model: TargetModel) -> None:
    most = model.max_output_tokens
    if most is None:
        return
    for name in ("max_tokens", "max_completion_tokens"):
        wanted = getattr(chat, name)
        if wanted is not None and wanted > most:
            if name in call.members:
                call.change(name)
            setattr(chat, name, most)


def _message(call: Call, message: Message, names: Names, *, takes_errors: bool) -> None:
    for tool in message.tool_calls or ():
        tool.function.name = names.fit(tool.function.name)
        arguments = fit_arguments(tool.function.arguments)
        if arguments != tool.function.arguments:
            if tool.function.arguments.strip():
                call.change("messages.tool_calls.function.arguments")
            tool.function.arguments = arguments
    if message.role in ("tool", "function") and message.name:
        message.name = names.fit(message.name)
    if message.is_error and not takes_errors:
        call.drop("messages.content.is_error")
        message.is_error = None
    content = message.content
    if isinstance(content, str):
        if content.isspace():
            message.content = "" if message.content else message.content
    elif content is not None:
        thought = "".join(words(_anything.decode(part.thinking)) for part in content if isinstance(part, ThinkingPart))
        message.reasoning_content = message.reasoning_content or thought or None
        message.content = [part for part in content if not _is_blank(part)]
    if message.role in _SETTING and call.origin != call.wire:
        _leave_billing_out(message)


def _is_setting(message: Message) -> bool:
    """Say whether a message says how to behave rather than what to do, in words."""
    return message.role in _SETTING and all(isinstance(part, TextPart) for part in message.parts())


def _reminded(call: Call, messages: Iterator[Message]) -> Iterator[Message]:
    """Tell what the system says later where it says it, as marked words of the user's.

    Other forms have one system prompt, in front: one that grew would end the cache of everything behind it.
    """
    begun = False
    for message in messages:
        begun = begun or message.role not in _SETTING
        if begun and _is_setting(message):
            call.change("messages.role")
            texts = [part for part in message.parts() if isinstance(part, TextPart)]
            told: list[Part] = [TextPart(reminder(part.text), part.cache_control) for part in texts]
            yield Message("user", told, cache_control=message.cache_control)
        else:
            yield message


def _is_blank(part: Part) -> bool:
    if isinstance(part, TextPart):
        return not part.text.strip()
    return isinstance(part, ThinkingPart) or (isinstance(part, RefusalPart) and not part.refusal.strip())


def _leave_billing_out(message: Message) -> None:
    content = message.content
    if isinstance(content, str) and BILLING.match(content):
        message.content = content.partition("\n")[2].lstrip()
    elif isinstance(content, list):
        message.content = [it for it in content if not (isinstance(it, TextPart) and BILLING.match(it.text))]


def fit_arguments(arguments: str) -> str:
    """Return the arguments of a call in a history as the text of an object: what was none stands in one."""
    if not arguments.strip():
        return "{}"
    try:
        _object.decode(arguments.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode({_INVALID: arguments.encode("utf-8", "replace").decode()}).decode()
    return arguments


def _paired(call: Call, messages: list[Message]) -> list[Message]:
    """Tell each call's result right behind the turn that made it."""
    ordered, made_up = paired(
        messages,
        called=lambda it: [tool.id for tool in it.tool_calls or ()] if it.role == "assistant" else (),
        answered=_answered,
        nothing=lambda call_id: Message("tool", NO_RESULT, tool_call_id=call_id),
        told=lambda it: Message("user", it.content, cache_control=it.cache_control),
    )
    if made_up:
        call.change("messages.tool_calls")
    return ordered


def _answered(message: Message) -> str | None:
    return (message.tool_call_id or "") if message.role in ("tool", "function") else None


def _said(messages: Iterator[Message]) -> Iterator[Message]:
    """Leave out what says nothing; a conversation of nothing else stays as it is."""
    kept = 0
    silent: list[Message] = []
    for message in messages:
        if (
            message.role in ("tool", "function")
            or message.content
            or message.tool_calls
            or message.refusal
            or message.reasoning_details
            or message.reasoning_content
        ):
            kept += 1
            yield message
        else:
            silent.append(message)
    if not kept:
        yield from silent
