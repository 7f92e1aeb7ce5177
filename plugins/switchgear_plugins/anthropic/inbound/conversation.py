"""The messages of a Messages request in the canonical form. Wire: platform.claude.com/docs/en/api/messages.

A user's turn may hold tool results; each becomes a tool message, and they go before the rest of the turn, since they answer
the message before it. Text alone stays a plain text.
"""

from collections.abc import Iterator

from msgspec import Raw

from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import (
    CacheControl,
    File,
    FilePart,
    FunctionCall,
    ImagePart,
    ImageURL,
    Message,
    Part,
    ReasoningDetail,
    TextPart,
    ToolCall,
)
from switchgear_plugins.anthropic.inbound.blocks import (
    Document,
    Image,
    Reader,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    bad,
    unsupported,
)
from switchgear_plugins.anthropic.inbound.thinking import CLAUDE, restore_redacted, restore_thought

_KIND = "messages.content"
_NULL = Raw(b"null")
_TEXTS = ("text",)
_PLAIN = ("text", "image")
_ALL = ("text", "image", "document", "search_result", "tool_reference")


def read_system(reader: Reader, system: str | list[Raw]) -> Message:
    """Translate the system prompt."""
    return Message("system", _content(reader, system, "system", "system", _TEXTS))


def read_turns(reader: Reader, turns: list[Raw]) -> list[Message]:
    """Translate the conversation. Raises `InvalidRequest` naming what is wrong or cannot be carried."""
    messages: list[Message] = []
    for place, raw in enumerate(turns):
        where = f"messages[{place}]"
        turn = reader.read(raw, Turn, where, "messages")
        if turn.role == "user":
            messages += _user(reader, turn.content, f"{where}.content")
        elif turn.role == "assistant":
            messages.append(_assistant(reader, turn.content, f"{where}.content"))
        elif turn.role == "system":
            content = _content(reader, turn.content, f"{where}.content", _KIND, _TEXTS)
            messages.append(Message("system", content))
        else:
            raise bad(f"{where}.role", "it must be `user`, `assistant` or `system`")
    return messages


def mark_last(messages: list[Message], marker: CacheControl) -> bool:
    """Put a prompt-cache marker at the end of the conversation; say whether there was something to put it on."""
    content = messages[-1].content if messages else None
    if isinstance(content, str) and content:
        messages[-1].content = [TextPart(content, marker)]
        return True
    if isinstance(content, list) and content:
        return _mark(content, marker)
    return False


def _mark(parts: list[Part], marker: CacheControl) -> bool:
    last = parts[-1] if parts else None
    if not isinstance(last, TextPart | ImagePart | FilePart):
        return False
    if last.cache_control is None:
        last.cache_control = marker
    return True


def _user(reader: Reader, content: str | list[Raw], where: str) -> Iterator[Message]:
    if isinstance(content, str):
        yield Message("user", content)
        return
    rest: list[Part] = []
    results = 0
    for place, raw in enumerate(content):
        here = f"{where}[{place}]"
        if reader.kind(raw, here) == "tool_result":
            results += 1
            yield _tool_message(reader, raw, here)
        else:
            rest += _parts(reader, raw, here, _KIND)
    if rest or not results:
        yield Message("user", _plain(rest))


def _tool_message(reader: Reader, raw: Raw, where: str) -> Message:
    result = reader.read(raw, ToolResult, where, _KIND)
    parts = _read_parts(reader, result.content or "", f"{where}.content", f"{_KIND}.content", _ALL)
    if result.cache_control is not None and not _mark(parts, result.cache_control):
        reader.drops[f"{_KIND}.cache_control"] = None
    failed = result.is_error or None
    return Message("tool", _plain(parts), tool_call_id=result.tool_use_id, is_error=failed)


def _assistant(reader: Reader, content: str | list[Raw], where: str) -> Message:
    if isinstance(content, str):
        return Message("assistant", content)
    message = Message("assistant")
    said: list[Part] = []
    thought: list[str] = []
    details = []
    calls: list[ToolCall] = []
    for place, raw in enumerate(content):
        here = f"{where}[{place}]"
        kind = reader.kind(raw, here)
        if kind in ("text", "compaction"):
            said += _parts(reader, raw, here, _KIND)
        elif kind == "tool_use":
            calls.append(_call(reader, raw, here))
        elif kind in ("thinking", "redacted_thinking"):
            words, detail = _thought(reader, raw, here, kind)
            thought.append(words)
            details.append(_placed(detail, calls))
        elif kind.endswith(("_tool_use", "_tool_result")):
            said += _ran_elsewhere(reader, raw, here, kind)
        else:
            raise _not_here(here, kind)
    if said or not calls:
        message.content = _plain(said)
    message.tool_calls = calls or None
    message.reasoning_content = "".join(thought) or None
    message.reasoning_details = [detail for detail in details if detail is not None] or None
    return message


def _thought(reader: Reader, raw: Raw, where: str, kind: str) -> tuple[str, ReasoningDetail | None]:
    """Return what was thought, in words and as what must come back; the latter not of what was damaged on its way."""
    if kind == "redacted_thinking":
        words, opaque = "", reader.read(raw, RedactedThinking, where, _KIND).data
        detail = restore_redacted(opaque)
    else:
        block = reader.read(raw, Thinking, where, _KIND)
        words, opaque = block.thinking, block.signature
        detail = restore_thought(words, opaque)
    if detail is None and opaque:
        reader.drops[f"{_KIND}.{kind}"] = None
    return words, detail


def _ran_elsewhere(reader: Reader, raw: Raw, where: str, kind: str) -> list[Part]:
    """Tell of a tool that a vendor ran in an earlier turn what others can read: what was searched for, what was found where."""
    reader.drops[f"{_KIND}.{kind}" if kind.replace("_", "").isalnum() else f"{_KIND}.type"] = None
    members = reader.members(raw, where)
    if kind == "server_tool_use":
        name = reader.text(members.get("name", _NULL)) or "tool"
        return [TextPart(f"[{name}: {bytes(members.get('input', _NULL)).decode()}]")]
    pages = [f"{it.title}: {it.url}" for it in reader.pages(members.get("content", _NULL))]
    return [TextPart("\n".join(["[Found:", *pages]) + "]")] if pages else []


def _placed(detail: ReasoningDetail | None, calls: list[ToolCall]) -> ReasoningDetail | None:
    """Note which call a thought came behind: its place among them is part of what must come back."""
    if detail is not None and detail.format == CLAUDE and detail.id is None and calls:
        detail.id = calls[-1].id
    return detail


def _call(reader: Reader, raw: Raw, where: str) -> ToolCall:
    call = reader.read(raw, ToolUse, where, _KIND)
    if call.caller is not None and call.caller.type != "direct":
        reader.drops[f"{_KIND}.caller"] = None  # code that ran at the vendor called it: past, as its result is
    given = bytes(call.input)
    if given[:1] != b"{":
        raise bad(f"{where}.input", "it must be an object")
    return ToolCall(call.id, FunctionCall(call.name, given.decode()))


def _content(
    reader: Reader, content: str | list[Raw], where: str, kind: str, only: tuple[str, ...]
) -> str | list[Part]:
    return _plain(_read_parts(reader, content, where, kind, only))


def _read_parts(reader: Reader, content: str | list[Raw], where: str, kind: str, only: tuple[str, ...]) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    parts: list[Part] = []
    for place, raw in enumerate(content):
        here = f"{where}[{place}]"
        if reader.kind(raw, here) not in only:
            raise _not_here(here, reader.kind(raw, here))
        parts += _parts(reader, raw, here, kind)
    return parts


def _parts(reader: Reader, raw: Raw, where: str, kind: str) -> list[Part]:
    """Translate one block that is content; most become one part."""
    type = reader.kind(raw, where)
    if type == "text":
        text = reader.read(raw, Text, where, kind)
        return [TextPart(text.text, text.cache_control)]
    if type == "image":
        image = reader.read(raw, Image, where, kind)
        return [ImagePart(ImageURL(_image_url(image.source, where)), image.cache_control)]
    if type == "document":
        document = reader.read(raw, Document, where, kind)
        parts = _document(reader, document, where, kind)
        if document.cache_control is not None and not _mark(parts, document.cache_control):
            reader.drops[f"{kind}.cache_control"] = None
        return parts
    if type in _TOLD:
        reader.drops[f"{kind}.{type}"] = None
        return _told(reader, raw, type)
    raise _not_here(where, type)


_TOLD = ("search_result", "tool_reference", "compaction")
"""Blocks that others have no form for and can be told in words."""


def _told(reader: Reader, raw: Raw, type: str) -> list[Part]:
    members = reader.members(raw, type)
    text = {name: reader.text(value) or "" for name, value in members.items()}
    if type == "tool_reference":
        return [TextPart(f"[tool: {text.get('tool_name', '')}]")]
    if type == "compaction":
        return [TextPart(text["content"])] if text.get("content") else []
    head = f"{text.get('title', '')} ({text.get('source', '')})"
    return [TextPart("\n".join([head, *reader.texts(members.get("content", _NULL))]))]


def _image_url(source: Source, where: str) -> str:
    if source.type == "base64" and source.data is not None:
        return f"data:{source.media_type};base64,{source.data}"
    if source.type == "url" and source.url is not None:
        return source.url
    raise _bad_source(source, where, "an image")


def _document(reader: Reader, document: Document, where: str, kind: str) -> list[Part]:
    source = document.source
    if source.type == "base64" and source.data is not None:
        # Where documents are files they have names; those this wire leaves out have to be called something.
        name = document.title or "document.pdf"
        return [FilePart(File(f"data:{source.media_type};base64,{source.data}", filename=name))]
    if source.type == "url" and source.url is not None:
        return [FilePart(File(source.url, filename=document.title))]
    if document.title is not None:
        reader.drops[f"{kind}.title"] = None
    if source.type == "text" and source.data is not None:
        return [TextPart(source.data)]
    if source.type == "content" and source.content is not None:
        return _read_parts(reader, source.content, f"{where}.source.content", kind, _PLAIN)
    raise _bad_source(source, where, "a document")


def _bad_source(source: Source, where: str, what: str) -> InvalidRequest:
    if source.type == "file":
        return unsupported(where, f"{what} that was uploaded as a file")
    return bad(f"{where}.source", f"a source of type `{source.type[:40]}` is unknown, or lacks a member")


def _not_here(where: str, type: str) -> InvalidRequest:
    return unsupported(where, f"a block of type `{type[:60]}`")


def _plain(parts: list[Part]) -> str | list[Part]:
    """Write a single unmarked text as plain text, which means the same and is understood everywhere."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], TextPart) and parts[0].cache_control is None:
        return parts[0].text
    return parts
