"""Canonical requests brought down to what a provider carries; the rest is named, or refused where dropping would falsify."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from msgspec import Raw, structs

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import (
    AudioPart,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCall,
    drop_others,
)
from switchgear.wire.fit.request import fit_arguments

IMAGES = "messages.content.image_url"
AUDIO = "messages.content.input_audio"
FILES = "messages.content.file"
_MARKS = "messages.content.cache_control"
PATHS = frozenset({
    "messages.cache_control", _MARKS, "messages.content.is_error", "messages.name",
    "messages.reasoning_content", "messages.reasoning_details", "tools.cache_control", "tools.function.strict", IMAGES,
    AUDIO, FILES,
})  # fmt: skip
"""What a provider may say that it carries beside the members of a `ChatRequest`."""
_MEMBERS = frozenset(field.name for field in structs.fields(ChatRequest))
_ALWAYS = frozenset({"messages", "max_tokens", "max_completion_tokens"})
_PARTS: tuple[tuple[type[Part], str], ...] = ((ImagePart, IMAGES), (AudioPart, AUDIO), (FilePart, FILES))


def unknown(carries: Iterable[str]) -> list[str]:
    """Return what of these is neither a member of a `ChatRequest` nor one of `PATHS`."""
    return sorted(set(carries) - _MEMBERS - PATHS)


def arguments_of(call: ToolCall) -> Raw:
    """Return the arguments of a tool call in a history as the JSON object they are; what was none stands in one."""
    return Raw(fit_arguments(call.function.arguments).encode())


def fit_plain(call: Call, chat: ChatRequest, carries: AbstractSet[str], own: Iterable[str] = ()) -> None:
    """Leave out of `chat` what is not in `carries`, and say so in `call`. Raises `InvalidRequest` for what would falsify it.

    `carries` are members of a `ChatRequest` and `PATHS`, `own` members of the provider's own. `messages` and the bound of the
    answer are always carried. Afterwards roles are `system`, `user`, `assistant` and `tool`, a message's content is one text
    unless it has parts that are carried, and a tool's message has the name of the function that it answers.
    """
    drop_others(call, (*carries, *own, "n"))
    if chat.n is not None and chat.n > 1:
        said = "`n` is more than 1; this model's provider gives one answer."
        raise InvalidRequest(said, param="n", code="unsupported_value")
    if chat.tools and "tools" not in carries:
        raise InvalidRequest(
            "This model's provider has no tools: leave `tools` out.", param="tools", code="unsupported"
        )
    for name in _MEMBERS - carries - _ALWAYS - {"thinking"}:
        setattr(chat, name, None)
    for tool in chat.tools or ():
        if tool.cache_control is not None and "tools.cache_control" not in carries:
            call.drop("tools.cache_control")
            tool.cache_control = None
        if tool.function is not None and tool.function.strict is not None and "tools.function.strict" not in carries:
            if tool.function.strict:
                call.drop("tools.function.strict")
            tool.function.strict = None
    called: dict[str, str] = {}
    for place, message in enumerate(chat.messages):
        _message(call, message, f"messages[{place}]", carries)
        called |= {tool.id: tool.function.name for tool in message.tool_calls or ()}
        if message.role == "tool":
            message.name = called.get(message.tool_call_id or "")


def _message(call: Call, message: Message, where: str, carries: AbstractSet[str]) -> None:
    if message.role == "function":
        raise _refused(
            f"{where}.role", "is `function`, the old form of `tool`, which this model's provider does not take"
        )
    if message.role == "developer":
        message.role = "system"
    if (message.tool_calls or message.role == "tool") and "tools" not in carries:
        raise _refused(where, "is of a tool, and this model's provider has none")
    if message.role == "tool":
        message.name = None
    for name in ("name", "cache_control", "reasoning_content", "reasoning_details"):
        if getattr(message, name) and f"messages.{name}" not in carries:
            call.drop(f"messages.{name}")
            setattr(message, name, None)
    if isinstance(message.content, list):
        message.content = _content(call, message.content, where, carries)
    if message.refusal:
        message.content = message.content or message.refusal
        message.refusal = None


def _content(call: Call, parts: list[Part], where: str, carries: AbstractSet[str]) -> str | list[Part]:
    kept: list[Part] = []
    for place, part in enumerate(parts):
        for kind, path in _PARTS:
            if isinstance(part, kind) and path not in carries:
                raise _refused(
                    f"{where}.content[{place}]", f"is a part that this model's provider does not take ({path})"
                )
        if isinstance(part, RefusalPart):
            kept.append(TextPart(part.refusal))
            continue
        if isinstance(part, ThinkingPart):
            call.drop("messages.content.thinking")
            continue
        if not isinstance(part, AudioPart) and part.cache_control is not None and _MARKS not in carries:
            call.drop(_MARKS)
            part.cache_control = None
        kept.append(part)
    texts = [part.text for part in kept if isinstance(part, TextPart) and part.cache_control is None]
    return "".join(texts) if len(texts) == len(kept) else kept


def _refused(where: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"`{where}` {why}.", param=where, code="unsupported_content")
