"""Responses as conversations. Wire: `switchgear.wire.responses`.

`instructions` are the first turn, each item of `input` is one of its own; neighbours that are the assistant's belong together.
Items that only the wire knows are kept in their place.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from switchgear.contracts.conversation import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    ServerTool,
    Sources,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from switchgear.contracts.provider import Call
from switchgear.wire.faces import common
from switchgear.wire.faces.base import BaseFace
from switchgear.wire.faces.common import (
    as_url,
    data_url,
    former,
    given,
    no_words,
    place_of,
    put,
    put_inside,
    rest,
    set_text,
)
from switchgear.wire.faces.tools import read_choice, read_function, write_choice, write_function
from switchgear.wire.texts import NULL, items_of, members_of, text_of, write

WIRE = "responses"
_SAMPLING = {
    "max_tokens": ("max_output_tokens",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "effort": ("reasoning.effort",),
}
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
_GROUPS = ("summary", "content", "encrypted_content")


class ResponsesFace(BaseFace):
    """The `Face` of responses."""

    wire = WIRE
    sampling = _SAMPLING

    def read_turns(self, call: Call, sources: Sources) -> tuple[Turn, ...]:
        """Read the instructions and the input."""
        turns: list[Turn] = []
        instructions = call.members.get("instructions", NULL)
        if instructions != NULL:
            turns.append(Turn("system", common.read_content(instructions, _read_part, sources, WIRE)))
            sources.note(turns[0], instructions, "instructions")
        value = call.members.get("input", NULL)
        if (text := text_of(value)) is not None:
            turns.append(Turn("user", (Text(text),)))
            sources.note(turns[-1].parts[0], value)
            sources.note(turns[-1], value, "input")
        elif value != NULL:
            for raw, members in common.objects(call, "input"):
                turns.append(_read_item(raw, members, sources))
                sources.note(turns[-1], raw, "item")
        return tuple(turns)

    def write_turns(self, call: Call, turns: Sequence[Turn], sources: Sources) -> None:
        """Write them: system texts of no other place, before all else, are the instructions."""
        said = list(turns)
        system: list[Turn] = []
        while said and said[0].role in {"system", "developer"} and place_of(said[0], sources) != "item":
            system.append(said.pop(0))
        there = call.members.get("instructions", NULL)
        if not system and there != NULL:
            put(call, "instructions", None)
        elif system and not (len(system) == 1 and sources.unchanged(system[0]) == there):
            put(
                call,
                "instructions",
                "\n\n".join(part.text for turn in system for part in turn.parts if isinstance(part, Text)),
            )
        value = call.members.get("input", NULL)
        if len(said) == 1 and place_of(said[0], sources) == "input" and _is_text(said[0]):
            if sources.unchanged(said[0]) != value:
                put(call, "input", common.write_content(said[0].parts, _write_part, sources))
            return
        written: list[Any] = []
        for turn in said:
            unchanged = sources.unchanged(turn) if place_of(turn, sources) == "item" else None
            written += [unchanged] if unchanged is not None else _write_turn(turn, sources)
        if written != items_of(value):
            put(call, "input", written)

    def read_tools(self, call: Call, sources: Sources) -> tuple[Tool, ...]:
        """Read the tools."""
        tools = []
        for raw, members in common.objects(call, "tools"):
            tools.append(read_function(text_of(members.get("type")) or "function", members, members))
            sources.note(tools[-1], raw)
        return tuple(tools)

    def write_tools(self, call: Call, tools: Sequence[Tool], sources: Sources) -> None:
        """Write the tools."""
        written = [sources.unchanged(tool) or write_function(tool, nested=False) for tool in tools]
        if written != items_of(call.members.get("tools")):
            put(call, "tools", written or None)

    def read_choice(self, call: Call) -> ToolChoice:
        """Read `tool_choice` and `parallel_tool_calls`."""
        return read_choice(call, nested=False)

    def write_choice(self, call: Call, choice: ToolChoice) -> None:
        """Write them."""
        write_choice(call, choice, nested=False)

    def read_format(self, call: Call) -> ResponseFormat:
        """Read `text.format`."""
        members = members_of(members_of(call.members.get("text")).get("format"))
        kind = text_of(members.get("type"))
        if kind == "json_schema":
            strict = common.decode(members.get("strict"))
            return ResponseFormat("schema", members.get("schema"), text_of(members.get("name")), strict)
        return ResponseFormat("json" if kind == "json_object" else "text")

    def write_format(self, call: Call, format: ResponseFormat) -> None:
        """Write it."""
        made: dict[str, Any] | None = None
        if format.kind == "json":
            made = {"type": "json_object"}
        elif format.kind == "schema":
            described = given(name=format.name or "answer", schema=format.schema, strict=format.strict)
            made = {"type": "json_schema", **described}
        put_inside(call, "text.format", made)


def _is_text(turn: Turn) -> bool:
    return turn.role == "user" and len(turn.parts) == 1 and isinstance(turn.parts[0], Text) and not turn.extra


def _read_item(raw: Raw, members: dict[str, Raw], sources: Sources) -> Turn:
    role = text_of(members.get("role")) or ""
    kind = text_of(members.get("type")) or ("message" if role else "")
    if kind == "message":
        content = common.read_content(members.get("content"), _read_part, sources, WIRE)
        return Turn(role, content, rest(members, frozenset({"type", "role", "content"})))
    if kind == "reasoning":
        return _read_reasoning(members, sources)
    if kind in _CALLS:
        tool, name = _CALLS[kind]
        arguments = text_of(members.get(name)) or ""
        call = ToolCall(text_of(members.get("call_id")) or "", text_of(members.get("name")) or "", arguments, tool)
        sources.note(call, raw)
        return Turn("assistant", (call,), rest(members, frozenset({"type", "call_id", "name", name})))
    if kind.endswith("_output") and "call_id" in members:
        content = common.read_content(members.get("output"), _read_part, sources, WIRE)
        result = ToolResult(text_of(members["call_id"]) or "", content)
        sources.note(result, raw)
        return Turn("tool", (result,), rest(members, frozenset({"type", "call_id", "output"})))
    part: Part = ServerTool(kind, raw) if kind.endswith("_call") else Opaque(WIRE, raw)
    return Turn("assistant" if isinstance(part, ServerTool) else role, (part,))


def _read_reasoning(members: dict[str, Raw], sources: Sources) -> Turn:
    parts: list[Part] = []
    for group in ("summary", "content"):
        for item in items_of(members.get(group)):
            inner = members_of(item)
            parts.append(
                Reasoning(
                    text_of(inner.get("text")) or "",
                    is_summary=group == "summary",
                    extra=rest(inner, frozenset({"type", "text"})),
                )
            )
            sources.note(parts[-1], item, group)
    if (data := text_of(members.get("encrypted_content"))) is not None:
        parts.append(Reasoning(encrypted=data))
        sources.note(parts[-1], members["encrypted_content"], "encrypted_content")
    return Turn("assistant", tuple(parts), rest(members, frozenset({"type", *_GROUPS})))


def _read_part(raw: Raw, members: dict[str, Raw], sources: Sources) -> Part:  # noqa: ARG001 - nothing is nested here
    kind = text_of(members.get("type")) or ""
    if kind in _TEXTS and (text := text_of(members.get("text"))) is not None:
        return Text(text, extra=rest(members, frozenset({"type", "text"})))
    if kind == "refusal" and (text := text_of(members.get("refusal"))) is not None:
        return Refusal(text, extra=rest(members, frozenset({"type", "refusal"})))
    if kind == "input_image":
        url = text_of(members.get("image_url"))
        media_type, data = data_url(url)
        extra = rest(members, frozenset({"type", "image_url", "file_id", "detail"}))
        file_id, detail = text_of(members.get("file_id")), text_of(members.get("detail"))
        return Image(None if data else url, data, media_type, file_id, detail, extra=extra)
    if kind == "input_file":
        whole = text_of(members.get("file_data"))
        media_type, data = data_url(whole)
        extra = rest(members, frozenset({"type", "filename", "file_url", "file_data", "file_id"}))
        name, url, file_id = (text_of(members.get(name)) for name in ("filename", "file_url", "file_id"))
        return File(name, url, data or whole, media_type, file_id, extra=extra)
    inner = members_of(members.get("input_audio"))
    if kind == "input_audio" and (data := text_of(inner.get("data"))) is not None:
        return Audio(data, text_of(inner.get("format")) or "", extra=rest(members, frozenset({"type", "input_audio"})))
    return Opaque(WIRE, raw)


def _default_place(part: Part) -> str:
    if isinstance(part, Reasoning):
        return "encrypted_content" if part.encrypted is not None else "summary" if part.is_summary else "content"
    return ""


def _write_turn(turn: Turn, sources: Sources) -> list[Any]:
    """Write a turn: over the item that it was, or anew, as the several items that it takes."""
    source = sources.of(turn)
    if source is not None and source.place == "item":
        return [_write_item(turn, source.of, dict(members_of(source.raw)), sources)]
    items: list[Any] = []
    said: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Reasoning | ToolCall | ToolResult | ServerTool | Opaque):
            items.append(part.raw if isinstance(part, ServerTool | Opaque) else _new_item(part, sources))
        else:
            said.append(part)
    if said or not items:
        kind = "output_text" if turn.role == "assistant" else "input_text"
        content = common.write_content(said, _write_part, sources, text_type=kind)
        message = {"type": "message", "role": turn.role, "content": content, **turn.extra}
        place = next((n for n, part in enumerate(turn.parts) if isinstance(part, ToolCall)), len(items))
        items.insert(min(place, len(items)), message)
    return items


def _new_item(part: Part, sources: Sources) -> dict[str, Any]:
    if isinstance(part, ToolCall):
        name = "input" if part.kind == "custom" else "arguments"
        kind = "custom_tool_call" if part.kind == "custom" else "function_call"
        return {"type": kind, "call_id": part.id, "name": part.name, name: part.arguments}
    if isinstance(part, ToolResult):
        output = common.write_content(part.parts, _write_part, sources, text_type="input_text")
        return {"type": "function_call_output", "call_id": part.call_id, "output": output}
    assert isinstance(part, Reasoning)
    made: dict[str, Any] = {"type": "reasoning", "summary": []}
    if part.encrypted is not None:
        made["encrypted_content"] = part.encrypted
    elif part.is_summary:
        made["summary"] = [{"type": "summary_text", "text": part.text}]
    else:
        made["content"] = [{"type": "reasoning_text", "text": part.text}]
    return made


def _write_item(turn: Turn, old: Turn, members: dict[str, Any], sources: Sources) -> Raw:
    kind = text_of(members.get("type")) or "message"
    if turn.role != old.role and kind == "message":
        members["role"] = turn.role
    part = turn.parts[0] if turn.parts else None
    if common.same(turn.parts, old.parts):
        pass
    elif kind == "message":
        text_type = "output_text" if turn.role == "assistant" else "input_text"
        members["content"] = common.write_content(turn.parts, _write_part, sources, text_type=text_type)
    elif kind == "reasoning":
        _write_reasoning(members, turn, sources)
    elif isinstance(part, ToolCall) and kind in _CALLS:
        before = former(sources, part)
        set_text(members, "call_id", part.id, before and before.id)
        set_text(members, "name", part.name, before and before.name)
        set_text(members, _CALLS[kind][1], part.arguments, before and before.arguments)
    elif isinstance(part, ToolResult):
        set_text(members, "call_id", part.call_id, None)
        members["output"] = common.write_content(part.parts, _write_part, sources, text_type="input_text")
    else:
        raise no_words(WIRE, part or Text(""))
    common.set_extra(members, turn.extra, old.extra)
    return write(members)


def _write_reasoning(members: dict[str, Any], turn: Turn, sources: Sources) -> None:
    for group in _GROUPS:
        parts = common.placed(turn.parts, sources, group, _default_place)
        if group == "encrypted_content":
            encrypted = next((part.encrypted for part in parts if isinstance(part, Reasoning)), None)
            set_text(members, group, encrypted, None)
        elif parts or group in members:
            members[group] = [common.write_one(part, _write_part, sources) for part in parts]


def _write_part(part: Part, members: dict[str, Any], sources: Sources) -> None:
    old = former(sources, part)
    match part:
        case Refusal():
            members.setdefault("type", "refusal")
            set_text(members, "refusal", part.text, old and old.text)
        case Image():
            url = as_url(part.data, part.media_type, "image/png") or part.url
            members.update({"type": "input_image", **given(image_url=url, file_id=part.file_id, detail=part.detail)})
        case File():
            whole = as_url(part.data, part.media_type, "application/pdf")
            file = given(filename=part.name, file_url=part.url, file_data=whole, file_id=part.file_id)
            members.update({"type": "input_file", **file})
        case Audio():
            members.update({"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}})
        case Reasoning():
            members.setdefault("type", "summary_text" if part.is_summary else "reasoning_text")
            set_text(members, "text", part.text, old and old.text)
        case _:
            raise no_words(WIRE, part)
