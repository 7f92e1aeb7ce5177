"""The Messages form as conversations. Wire: docs of `switchgear.wire.messages`.

The `system` member is the first turn. Results of tools are parts of a user's turn, as they are in the wire.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from switchgear.contracts.conversation import (
    File,
    Image,
    Opaque,
    Origin,
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
from switchgear.wire.faces.common import former, given, no_words, place_of, put, put_inside, rest, set_text
from switchgear.wire.texts import NULL, items_of, members_of, text_of, write, write_object

WIRE = "messages"
_SAMPLING = {
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "stop": ("stop_sequences",),
    "effort": ("output_config.effort",),
}
_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}
_WORDS = {mode: word for word, mode in _MODES.items()}
_ROLES = {"developer": "system", "tool": "user"}
_FORMAT = "output_config"
_SOURCE = ("url", "data", "media_type", "file_id")


class MessagesFace(BaseFace):
    """The `Face` of the Messages form."""

    wire = WIRE
    sampling = _SAMPLING

    def read_turns(self, call: Call, sources: Sources) -> tuple[Turn, ...]:
        """Read the system text and the messages."""
        turns = []
        system = call.members.get("system", NULL)
        if system != NULL:
            turns.append(Turn("system", _read(system, sources)))
            sources.note(turns[0], system, "system")
        for raw, members in common.objects(call, "messages"):
            content = _read(members.get("content"), sources)
            extra = rest(members, frozenset({"role", "content"}))
            turns.append(Turn(text_of(members.get("role")) or "", content, extra))
            sources.note(turns[-1], raw, "messages")
        return tuple(turns)

    def write_turns(self, call: Call, turns: Sequence[Turn], sources: Sources) -> None:
        """Write them: what is said by the system before all else is the system text."""
        said = list(turns)
        system: list[Turn] = []
        while said and said[0].role in {"system", "developer"} and place_of(said[0], sources) != "messages":
            system.append(said.pop(0))
        there = call.members.get("system", NULL)
        if not system and there != NULL:
            put(call, "system", None)
        elif system and not (len(system) == 1 and sources.unchanged(system[0]) == there):
            parts = [part for turn in system for part in turn.parts]
            put(call, "system", common.write_content(parts, _write_part, sources))
        written = [sources.unchanged(turn) or _write_turn(turn, sources) for turn in said]
        if written != items_of(call.members.get("messages")):
            put(call, "messages", written)

    def read_tools(self, call: Call, sources: Sources) -> tuple[Tool, ...]:
        """Read the tools."""
        tools = []
        for raw, members in common.objects(call, "tools"):
            kind = text_of(members.get("type"))
            extra = rest(members, frozenset({"type", "name", "description", "input_schema"}))
            name, description = text_of(members.get("name")) or "", text_of(members.get("description"))
            kind = "function" if kind in (None, "custom") else kind
            tools.append(Tool(name, description, members.get("input_schema"), kind or "", extra))
            sources.note(tools[-1], raw)
        return tuple(tools)

    def write_tools(self, call: Call, tools: Sequence[Tool], sources: Sources) -> None:
        """Write the tools."""
        written = [sources.unchanged(tool) or _write_tool(tool) for tool in tools]
        if written != items_of(call.members.get("tools")):
            put(call, "tools", written or None)

    def read_choice(self, call: Call) -> ToolChoice:
        """Read `tool_choice`."""
        members = members_of(call.members.get("tool_choice"))
        alone = common.decode(members.get("disable_parallel_tool_use"))
        parallel = None if alone is None else not alone
        mode: Any = _MODES.get(text_of(members.get("type")) or "")
        return ToolChoice(mode, text_of(members.get("name")), parallel)

    def write_choice(self, call: Call, choice: ToolChoice) -> None:
        """Write it."""
        mode = choice.mode or (None if choice.parallel is None else "auto")
        alone = None if choice.parallel is None or mode == "none" else not choice.parallel
        made = given(type=_WORDS[mode], name=choice.name, disable_parallel_tool_use=alone) if mode else None
        put(call, "tool_choice", made)

    def read_format(self, call: Call) -> ResponseFormat:
        """Read `output_config.format`."""
        members = members_of(members_of(call.members.get(_FORMAT)).get("format"))
        return ResponseFormat("schema", members.get("schema")) if members else ResponseFormat()

    def write_format(self, call: Call, format: ResponseFormat) -> None:
        """Write it. Raises ValueError for JSON of any shape."""
        if format.kind == "json":
            raise ValueError("the wire `messages` has no words for JSON of any shape")
        made = {"type": "json_schema", "schema": format.schema} if format.kind == "schema" else None
        put_inside(call, f"{_FORMAT}.format", made)


def _read(content: Raw | None, sources: Sources) -> tuple[Part, ...]:
    return common.read_content(content, _read_part, sources, WIRE)


def _read_part(raw: Raw, members: dict[str, Raw], sources: Sources) -> Part:
    kind = text_of(members.get("type")) or ""
    match kind:
        case "text":
            if (text := text_of(members.get("text"))) is not None:
                return Text(text, extra=rest(members, frozenset({"type", "text"})))
        case "image":
            return _read_image(members)
        case "document" | "search_result":
            return _read_document(kind, members, sources)
        case "thinking":
            origin = Origin(signature=text_of(members.get("signature")))
            return Reasoning(text_of(members.get("thinking")) or "", origin=origin)
        case "redacted_thinking":
            return Reasoning(encrypted=text_of(members.get("data")) or "", origin=Origin())
        case "tool_use":
            extra = rest(members, frozenset({"type", "id", "name", "input"}))
            arguments = bytes(members.get("input", Raw(b"{}"))).decode()
            return ToolCall(
                text_of(members.get("id")) or "", text_of(members.get("name")) or "", arguments, extra=extra
            )
        case "tool_result":
            extra = rest(members, frozenset({"type", "tool_use_id", "content", "is_error"}))
            failed = members.get("is_error", NULL) == Raw(b"true")
            content = _read(members.get("content"), sources)
            return ToolResult(text_of(members.get("tool_use_id")) or "", content, failed, extra=extra)
        case _ if kind.endswith(("_tool_use", "_tool_result")):
            return ServerTool(kind, raw)
    return Opaque(WIRE, raw)


def _read_image(members: dict[str, Raw]) -> Image:
    source = members_of(members.get("source"))
    url, data, media_type, file_id = (text_of(source.get(name)) for name in _SOURCE)
    return Image(url, data, media_type, file_id, extra=rest(members, frozenset({"type", "source"})))


def _read_document(kind: str, members: dict[str, Raw], sources: Sources) -> File:
    """Read a document. One that is text, or a result of a search, is read as far as it can be."""
    name = text_of(members.get("title"))
    if kind == "search_result":
        extra = rest(members, frozenset({"type", "source", "title", "content"}))
        return File(name, text_of(members.get("source")), parts=_read(members.get("content"), sources), extra=extra)
    extra = rest(members, frozenset({"type", "source", "title"}))
    source = members_of(members.get("source"))
    content = {"text": "data", "content": "content"}.get(text_of(source.get("type")) or "")
    if content is not None:
        return File(name, media_type="text/plain", parts=_read(source.get(content), sources), extra=extra)
    url, data, media_type, file_id = (text_of(source.get(member)) for member in _SOURCE)
    return File(name, url, data, media_type, file_id, extra=extra)


def _write_turn(turn: Turn, sources: Sources) -> Raw:
    source = sources.of(turn)
    old: Turn | None = None if source is None or source.place == "system" else source.of
    members: dict[str, Any] = {} if source is None or old is None else dict(members_of(source.raw))
    role = _ROLES.get(turn.role, turn.role)
    set_text(members, "role", role, None if old is None else old.role)
    if old is None or not common.same(turn.parts, old.parts):
        members["content"] = common.write_content(turn.parts, _write_part, sources)
    common.set_extra(members, turn.extra, None if old is None else old.extra)
    return write(members)


def _write_part(part: Part, members: dict[str, Any], sources: Sources) -> None:  # noqa: C901, PLR0912 - a table of the parts
    old = former(sources, part)
    match part:
        case Refusal():
            members.update({"type": "text", "text": part.text})
        case Image():
            if old is None or (part.url, part.data, part.file_id) != (old.url, old.data, old.file_id):
                members.update({"type": "image", "source": _source(part, "image/png")})
        case File():
            _write_document(part, old, members, sources)
        case Reasoning(encrypted=str()):
            members.update({"type": "redacted_thinking", "data": part.encrypted})
        case Reasoning():
            members.setdefault("type", "thinking")
            set_text(members, "thinking", part.text, old and old.text)
            signature = (part.origin and part.origin.signature) or ""
            set_text(members, "signature", signature, old and old.origin and old.origin.signature)
        case ToolCall():
            members.setdefault("type", "tool_use")
            set_text(members, "id", part.id, old and old.id)
            set_text(members, "name", part.name, old and old.name)
            if old is None or part.arguments != old.arguments:
                members["input"] = write_object(part.arguments or "{}")
        case ToolResult():
            members.setdefault("type", "tool_result")
            set_text(members, "tool_use_id", part.call_id, old and old.call_id)
            if old is None or not common.same(part.parts, old.parts):
                members["content"] = common.write_content(part.parts, _write_part, sources)
            if part.is_error != (old is not None and old.is_error):
                members["is_error"] = part.is_error
        case ServerTool():
            members.update(members_of(part.raw))
        case _:
            raise no_words(WIRE, part)


def _write_document(part: File, old: Any, members: dict[str, Any], sources: Sources) -> None:
    is_search = text_of(members.get("type")) == "search_result"
    members.setdefault("type", "document")
    set_text(members, "title", part.name, old and old.name)
    if is_search:
        if old is None or not common.same(part.parts, old.parts):
            members["content"] = [common.write_one(one, _write_part, sources) for one in part.parts]
    elif part.parts:
        content = common.write_content(part.parts, _write_part, sources)
        is_text = text_of(content) is not None
        plain = {"type": "text", "media_type": "text/plain", "data": content}
        members["source"] = plain if is_text else {"type": "content", "content": content}
    elif old is None or (part.url, part.data, part.file_id) != (old.url, old.data, old.file_id):
        members["source"] = _source(part, "application/pdf")


def _source(part: Image | File, media_type: str) -> dict[str, Any]:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type or media_type, "data": part.data or ""}


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.kind == "function":
        schema = tool.parameters or {"type": "object"}
        return {**given(name=tool.name, description=tool.description), "input_schema": schema, **tool.extra}
    return {"type": tool.kind, "name": tool.name, **tool.extra}
