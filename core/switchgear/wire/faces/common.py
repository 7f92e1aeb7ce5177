"""What the faces share: contents that are a text or a list of parts, members set and left, tables of plain members."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.conversation import Opaque, Part, Sampling, Source, Sources, Text, Turn
from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.members import member
from switchgear.wire.texts import NULL, first, items_of, members_of, text_of, write

ReadPart = Callable[[Raw, dict[str, Raw], Sources], Part]
"""Reads a part from its JSON and its members."""
WritePart = Callable[[Part, dict[str, Any], Sources], None]
"""Writes a part into members: those that the wire had in its place, or none."""


def invalid(where: str, detail: str) -> InvalidRequest:
    """Make the refusal of what is not what it should be."""
    return InvalidRequest(f"`{where}` is invalid: {detail}.", param=where, code="invalid_value")


def objects(call: Call, name: str) -> list[tuple[Raw, dict[str, Raw]]]:
    """Split a member that is an array of objects. Raises `InvalidRequest` naming what is none."""
    found = []
    for place, item in enumerate(call.member(name, list[Raw]) or ()):
        if first(item) != b"{":
            raise invalid(f"{name}[{place}]", "Expected `object`")
        found.append((item, members_of(item)))
    return found


def put(call: Call, name: str, value: Any) -> None:
    """Set a member of a call, or leave it out if None. What was made of its members before keeps them."""
    members = {**call.members}
    if value is None:
        members.pop(name, None)
    else:
        members[name] = value if isinstance(value, Raw) else write(value)
    call.members = members


def put_inside(call: Call, path: str, value: Any) -> None:
    """Set a member of a call, or (`outer.inner`) of an object that is one."""
    outer, _, name = path.partition(".")
    if not name:
        put(call, outer, value)
        return
    members: dict[str, Any] = dict(members_of(call.members.get(outer)))
    if value is None:
        members.pop(name, None)
    else:
        members[name] = value
    put(call, outer, members or None)


def rest(members: Mapping[str, Raw], known: frozenset[str]) -> dict[str, Raw]:
    """Return the members that a form has no name for."""
    return {name: value for name, value in members.items() if name not in known}


def set_extra(members: dict[str, Any], new: Mapping[str, Raw], old: Mapping[str, Raw] | None) -> None:
    """Write the members that a form has no name for, over those that were there."""
    if new is old:
        return
    for name in old or ():
        if name not in new:
            members.pop(name, None)
    members.update(new)


def set_text(members: dict[str, Any], name: str, new: str | None, old: str | None) -> None:
    """Write a text where it is another than before; None takes the member out."""
    if new == old and name in members:
        return
    if new is None:
        members.pop(name, None)
    else:
        members[name] = write(new)


def read_content(
    content: Raw | None, read_part: ReadPart, sources: Sources, wire: str, place: str = ""
) -> tuple[Part, ...]:
    """Read a content: a text is one part, an array as many as it has, null none."""
    if content is None or content == NULL:
        return ()
    text = text_of(content)
    if text is not None:
        return (_noted(Text(text), content, sources, place),)
    if first(content) != b"[":
        return (_noted(Opaque(wire, content), content, sources, place),)
    return tuple(
        _noted(
            read_part(item, members_of(item), sources) if first(item) == b"{" else Opaque(wire, item),
            item,
            sources,
            place,
        )
        for item in items_of(content)
    )


def _noted(part: Part, raw: Raw, sources: Sources, place: str) -> Part:
    sources.note(part, raw, place)
    return part


def write_content(parts: Sequence[Part], write_part: WritePart, sources: Sources, *, text_type: str = "text") -> Raw:
    """Write a content: a text where there is nothing else, unless it was a part of its own before."""
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].extra:
        source = sources.of(parts[0])
        if source is None or first(source.raw) == b'"':
            return sources.unchanged(parts[0]) or write(parts[0].text)
    return write([write_one(part, write_part, sources, text_type=text_type) for part in parts])


def write_one(part: Part, write_part: WritePart, sources: Sources, *, text_type: str = "text") -> Any:
    """Write one part of an array: as it was, if it is, else over what the wire had in its place."""
    unchanged = sources.unchanged(part)
    if unchanged is not None and (first(unchanged) == b"{" or not isinstance(part, Text)):
        return unchanged
    if isinstance(part, Opaque):
        return part.raw
    source = sources.of(part)
    members: dict[str, Any] = dict(members_of(source.raw)) if source is not None else {}
    old = source.of if source is not None and type(source.of) is type(part) else None
    if old is None:
        members = {}
    if isinstance(part, Text):
        members.setdefault("type", text_type)
        members["text"] = write(part.text)
    else:
        write_part(part, members, sources)
    set_extra(members, part.extra, None if old is None else old.extra)
    return members


def former(sources: Sources, part: Part) -> Any:
    """Return what stood in the place of a part, if it was one of its type."""
    source = sources.of(part)
    return source.of if source is not None and type(source.of) is type(part) else None


def placed(parts: Iterable[Part], sources: Sources, place: str, default: Callable[[Part], str]) -> list[Part]:
    """Return the parts that belong into a member."""
    return [part for part in parts if _place(part, sources, default) == place]


def _place(part: Part, sources: Sources, default: Callable[[Part], str]) -> str:
    source: Source | None = sources.of(part)
    return (source.place if source is not None else "") or default(part)


def same(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Say whether these are the very same parts."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def place_of(turn: Turn, sources: Sources) -> str:
    """Say where in a wire a turn was read; empty for one that is new."""
    source = sources.of(turn)
    return "" if source is None else source.place


def read_sampling(call: Call, names: Mapping[str, tuple[str, ...]]) -> Sampling:
    """Read how an answer is made from plain members: for each field the names that it may have."""
    found: dict[str, Any] = {}
    for field, candidates in names.items():
        for name in candidates:
            outer, _, inner = name.partition(".")
            holder = members_of(call.members.get(outer)) if inner else call.members
            value = member(holder, inner or outer, _SAMPLING[field])
            if value is not None:
                found[field] = tuple([value] if isinstance(value, str) else value) if field == "stop" else value
                break
    return Sampling(**found)


def write_sampling(call: Call, sampling: Sampling, names: Mapping[str, tuple[str, ...]]) -> None:
    """Write what is new. Raises ValueError for what the wire has no name for."""
    old = read_sampling(call, names)
    for field in Sampling.__struct_fields__:
        value = getattr(sampling, field)
        if value == getattr(old, field):
            continue
        if field not in names:
            message = f"`{field}` has no name in this wire"
            raise ValueError(message)
        there = [name for name in names[field] if name in call.members] or [names[field][0]]
        for name in there[1:]:
            put(call, name, None)
        put_inside(call, there[0], value)
        if field == "max_tokens":
            call.max_tokens = value


_SAMPLING: dict[str, Any] = {
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "stop": str | list[str],
    "seed": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "effort": str,
}


def data_url(url: str | None) -> tuple[str | None, str | None]:
    """Split a data URL into its media type and base64; None twice for another URL."""
    if url is None or url[:5].lower() != "data:":
        return None, None
    head, _, data = url[5:].partition(",")
    return head.partition(";")[0] or None, data


def as_url(data: str | None, media_type: str | None, otherwise: str) -> str | None:
    """Write base64 as a data URL; `otherwise` is its media type where nobody said. None for nothing."""
    return None if data is None else f"data:{media_type or otherwise};base64,{data}"


def given(**members: Any) -> dict[str, Any]:
    """Make an object of the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def no_words(wire: str, part: Part) -> ValueError:
    """Say that a wire cannot tell a part."""
    return ValueError(f"the wire `{wire}` has no words for a part of the type {type(part).__name__}")


def decode(value: Raw | None) -> Any:
    """Decode any JSON; None for nothing."""
    return None if value is None else msgspec.json.decode(value)
