"""Chat completions as conversations. Wire: `switchgear.wire.canonical`.

Each message is a turn. An assistant's reasoning comes before its text and its text before its calls: the wire has no order
between them. It may say its reasoning twice, as text and as what must come back; then it is two parts.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from switchgear.contracts.conversation import (
    Audio,
    File,
    Image,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sources,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from switchgear.contracts.provider import CANONICAL, Call
from switchgear.wire.faces import common
from switchgear.wire.faces.base import BaseFace
from switchgear.wire.faces.common import as_url, data_url, former, given, no_words, put, set_text
from switchgear.wire.faces.tools import read_choice, read_function, write_choice, write_function
from switchgear.wire.texts import NULL, items_of, members_of, text_of, write

_SAMPLING = {
    "max_tokens": ("max_completion_tokens", "max_tokens"),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "stop": ("stop",),
    "seed": ("seed",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "effort": ("reasoning_effort",),
}
_GROUPS = ("reasoning_content", "reasoning", "reasoning_details", "content", "refusal", "tool_calls", "function_call")
_KNOWN = frozenset({"role", "tool_call_id", *_GROUPS})
_DETAIL = {"reasoning.summary": "summary", "reasoning.encrypted": "data"}


class ChatFace(BaseFace):
    """The `Face` of chat completions."""

    wire = CANONICAL
    sampling = _SAMPLING

    def read_turns(self, call: Call, sources: Sources) -> tuple[Turn, ...]:
        """Read the messages."""
        return tuple(_read_turn(raw, members, sources) for raw, members in common.objects(call, "messages"))

    def write_turns(self, call: Call, turns: Sequence[Turn], sources: Sources) -> None:
        """Write the messages."""
        written = [sources.unchanged(turn) or _write_turn(turn, sources) for turn in turns]
        if written != items_of(call.members.get("messages")):
            put(call, "messages", written)

    def read_tools(self, call: Call, sources: Sources) -> tuple[Tool, ...]:
        """Read the tools; functions are flat in a conversation."""
        tools = []
        for raw, members in common.objects(call, "tools"):
            kind = text_of(members.get("type")) or "function"
            tools.append(read_function(kind, members, members_of(members.get(kind))))
            sources.note(tools[-1], raw)
        return tuple(tools)

    def write_tools(self, call: Call, tools: Sequence[Tool], sources: Sources) -> None:
        """Write the tools."""
        written = [sources.unchanged(tool) or _write_tool(tool) for tool in tools]
        if written != items_of(call.members.get("tools")):
            put(call, "tools", written or None)

    def read_choice(self, call: Call) -> ToolChoice:
        """Read `tool_choice` and `parallel_tool_calls`."""
        return read_choice(call, nested=True)

    def write_choice(self, call: Call, choice: ToolChoice) -> None:
        """Write them."""
        write_choice(call, choice, nested=True)

    def read_format(self, call: Call) -> ResponseFormat:
        """Read `response_format`."""
        members = members_of(call.members.get("response_format"))
        if text_of(members.get("type")) == "json_schema":
            inner = members_of(members.get("json_schema"))
            strict = common.decode(inner.get("strict"))
            return ResponseFormat("schema", inner.get("schema"), text_of(inner.get("name")), strict)
        return ResponseFormat("json" if text_of(members.get("type")) == "json_object" else "text")

    def write_format(self, call: Call, format: ResponseFormat) -> None:
        """Write it."""
        made: dict[str, Any] | None = None
        if format.kind == "json":
            made = {"type": "json_object"}
        elif format.kind == "schema":
            inner = given(name=format.name or "answer", schema=format.schema, strict=format.strict)
            made = {"type": "json_schema", "json_schema": inner}
        put(call, "response_format", made)


def _read_turn(raw: Raw, members: dict[str, Raw], sources: Sources) -> Turn:
    role = text_of(members.get("role")) or ""
    content = common.read_content(members.get("content"), _read_part, sources, CANONICAL, "content")
    parts: list[Part] = []
    if role == "tool":
        parts.append(ToolResult(text_of(members.get("tool_call_id")) or "", content))
        sources.note(parts[0], raw)
    else:
        for name in ("reasoning_content", "reasoning"):
            if text := text_of(members.get(name)):
                parts.append(Reasoning(text))
                sources.note(parts[-1], members[name], name)
        for item in items_of(members.get("reasoning_details")):
            parts.append(_read_detail(members_of(item)))
            sources.note(parts[-1], item, "reasoning_details")
        parts += content
        if text := text_of(members.get("refusal")):
            parts.append(Refusal(text))
            sources.note(parts[-1], members["refusal"], "refusal")
        for item in items_of(members.get("tool_calls")):
            parts.append(_read_call(item))
            sources.note(parts[-1], item, "tool_calls")
        if function := members_of(members.get("function_call")):
            parts.append(ToolCall("", text_of(function.get("name")) or "", text_of(function.get("arguments")) or ""))
            sources.note(parts[-1], members["function_call"], "function_call")
    turn = Turn(role, tuple(parts), common.rest(members, _KNOWN))
    sources.note(turn, raw)
    return turn


def _read_part(raw: Raw, members: dict[str, Raw], sources: Sources) -> Part:  # noqa: ARG001 - nothing is nested here
    kind = text_of(members.get("type"))
    inner = members_of(members.get(kind or ""))
    extra = common.rest(members, frozenset({"type", kind or ""}))
    if kind == "text" and (text := text_of(members.get("text"))) is not None:
        return Text(text, extra=extra)
    if kind == "refusal" and (text := text_of(members.get("refusal"))) is not None:
        return Refusal(text, extra=extra)
    if kind == "image_url" and (url := text_of(inner.get("url"))) is not None:
        media_type, data = data_url(url)
        address = None if data else url
        return Image(address, data, media_type, detail=text_of(inner.get("detail")), extra=extra)
    if kind == "input_audio" and (data := text_of(inner.get("data"))) is not None:
        return Audio(data, text_of(inner.get("format")) or "", extra=extra)
    if kind == "file" and inner:
        media_type, data = data_url(text_of(inner.get("file_data")))
        name, file_id = text_of(inner.get("filename")), text_of(inner.get("file_id"))
        return File(name, None, data, media_type, file_id, extra=extra)
    return Opaque(CANONICAL, raw)


def _read_detail(members: dict[str, Raw]) -> Reasoning:
    kind = text_of(members.get("type")) or ""
    origin = Origin(family=text_of(members.get("format")), signature=text_of(members.get("signature")))
    is_summary = kind == "reasoning.summary"
    said = text_of(members.get("summary" if is_summary else "text")) or ""
    extra = common.rest(members, frozenset({"type", "format", "signature", "text", "summary", "data", "id"}))
    data, id = text_of(members.get("data")), text_of(members.get("id"))
    return Reasoning(said, is_summary, data, id, origin=origin, extra=extra)


def _read_call(raw: Raw) -> ToolCall:
    members = members_of(raw)
    kind = text_of(members.get("type")) or "function"
    inner = members_of(members.get(kind))
    value = inner.get("input" if kind == "custom" else "arguments", NULL)
    arguments = text_of(value)
    if arguments is None:
        arguments = "" if value == NULL else bytes(value).decode()
    extra = common.rest(members, frozenset({"id", "type", kind}))
    return ToolCall(text_of(members.get("id")) or "", text_of(inner.get("name")) or "", arguments, kind, extra=extra)


def _default_place(part: Part) -> str:
    if isinstance(part, Reasoning):
        return "reasoning_content" if part.origin is None and part.encrypted is None else "reasoning_details"
    if isinstance(part, ToolCall):
        return "tool_calls"
    return "content"


def _write_turn(turn: Turn, sources: Sources) -> Raw:
    source = sources.of(turn)
    old: Turn | None = None if source is None else source.of
    members: dict[str, Any] = {} if source is None else dict(members_of(source.raw))
    set_text(members, "role", turn.role, None if old is None else old.role)
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    if results:
        _write_result(members, results[0], sources)
    else:
        for group in _GROUPS:
            parts = common.placed(turn.parts, sources, group, _default_place)
            before = [] if old is None else common.placed(old.parts, sources, group, _default_place)
            if not common.same(parts, before):
                _write_group(members, group, parts, sources)
        if turn.role == "assistant":
            members.setdefault("content", NULL)
    common.set_extra(members, turn.extra, None if old is None else old.extra)
    return write(members)


def _write_result(members: dict[str, Any], result: ToolResult, sources: Sources) -> None:
    old: ToolResult | None = former(sources, result)
    set_text(members, "tool_call_id", result.call_id, None if old is None else old.call_id)
    if old is None or not common.same(result.parts, old.parts):
        members["content"] = common.write_content(result.parts, _write_part, sources)


def _write_group(members: dict[str, Any], group: str, parts: list[Part], sources: Sources) -> None:
    if not parts:
        if group == "content":
            members[group] = NULL if members.get("role") == Raw(b'"assistant"') else write("")
        else:
            members.pop(group, None)
    elif group == "content":
        members[group] = common.write_content(parts, _write_part, sources)
    elif group == "tool_calls":
        members[group] = [common.write_one(part, _write_call, sources) for part in parts]
    elif group == "function_call":
        call = parts[0]
        assert isinstance(call, ToolCall)
        members[group] = {"name": call.name, "arguments": call.arguments}
    elif group == "reasoning_details":
        members[group] = [common.write_one(part, _write_detail, sources) for part in parts]
    else:
        members[group] = write("".join(part.text for part in parts if isinstance(part, Reasoning | Refusal)))


def _write_part(part: Part, members: dict[str, Any], sources: Sources) -> None:
    old = former(sources, part)
    if isinstance(part, Refusal):
        members.setdefault("type", "refusal")
        set_text(members, "refusal", part.text, None if old is None else old.text)
    elif isinstance(part, Image):
        url = as_url(part.data, part.media_type, "image/png") or part.url
        members.update({"type": "image_url", "image_url": given(url=url, detail=part.detail)})
    elif isinstance(part, Audio):
        members.update({"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}})
    elif isinstance(part, File):
        data = as_url(part.data, part.media_type, "application/pdf")
        members.update({"type": "file", "file": given(file_data=data, file_id=part.file_id, filename=part.name)})
    else:
        raise no_words(CANONICAL, part)


def _write_call(part: Part, members: dict[str, Any], sources: Sources) -> None:
    assert isinstance(part, ToolCall)
    old: ToolCall | None = former(sources, part)
    set_text(members, "id", part.id, None if old is None else old.id)
    set_text(members, "type", part.kind, None if old is None else old.kind)
    inner: dict[str, Any] = dict(members_of(members.get(part.kind)))
    set_text(inner, "name", part.name, None if old is None else old.name)
    set_text(
        inner, "input" if part.kind == "custom" else "arguments", part.arguments, None if old is None else old.arguments
    )
    members[part.kind] = inner


def _write_detail(part: Part, members: dict[str, Any], sources: Sources) -> None:
    assert isinstance(part, Reasoning)
    old = former(sources, part)
    kind = (
        "reasoning.encrypted"
        if part.encrypted is not None
        else "reasoning.summary"
        if part.is_summary
        else "reasoning.text"
    )
    members.setdefault("type", kind)
    if part.text or (old is not None and old.text):
        set_text(
            members, _DETAIL.get(kind, "text") if kind != "reasoning.encrypted" else "text", part.text, old and old.text
        )
    set_text(members, "data", part.encrypted, old and old.encrypted)
    set_text(members, "id", part.id, old and old.id)
    origin, before = part.origin or Origin(), (old and old.origin) or Origin()
    set_text(members, "signature", origin.signature, before.signature)
    set_text(members, "format", origin.family, before.family)


def _write_tool(tool: Tool) -> Any:
    return write_function(tool, nested=True)
