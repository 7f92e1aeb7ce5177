"""Names of tools over the Responses wire: on the way out as the server takes them, in its answers as the client gave them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.wire.fit.names import NameRule, Names
from switchgear.wire.members import BROKEN, decode_whole, raw
from switchgear.wire.texts import first

_MEMBERS = ("tools", "tool_choice", "input")
_NAMED = frozenset({"function", "custom", "function_call", "custom_tool_call", "response.function_call_arguments.done"})
"""The types of what has the name of a tool that the client runs: tools, choices among them, calls and one event."""


class _Named(Struct, gc=False):
    """A tool, a choice, an item; some hold tools."""

    type: str | None = None
    name: str | None = None
    tools: "list[_Named] | None" = None


_named = msgspec.json.Decoder(_Named | list[_Named])
_anything = msgspec.json.Decoder()


def fit_tool_names(call: Call, members: dict[str, Raw], rule: NameRule) -> dict[str, Raw]:
    """Return the members with names that are taken; where all are, they stay byte for byte."""
    names = Names(call, rule)
    fitted = members
    for member in _MEMBERS:
        given = members.get(member)
        if given is None or first(given) not in (b"[", b"{"):
            continue
        try:
            found = _named.decode(given)
        except (msgspec.DecodeError, RecursionError):
            continue  # which the provider refuses
        if all(names.fit(name) == name for name in _names(found if isinstance(found, list) else [found])):
            continue
        whole = _anything.decode(given)
        _rename(whole, names.fit)
        fitted = {**fitted, member: raw(whole)}
    return fitted


def with_own_names(data: bytes, aliases: Mapping[str, str]) -> bytes:
    """Return a response, or an event of one, with the client's own names of tools; `aliases` has them by those in `data`."""
    if not aliases or not any(name.encode() in data for name in aliases):
        return data
    try:
        whole = decode_whole(_anything, data)
    except BROKEN:
        return data  # which its reader refuses
    _rename(whole, lambda name: aliases.get(name, name))
    return msgspec.json.encode(whole)


def _names(found: list[_Named]) -> Iterator[str]:
    for it in found:
        if it.name and it.type in _NAMED:
            yield it.name
        if it.tools:
            yield from _names(it.tools)


def _rename(value: Any, name_of: Callable[[str], str]) -> None:
    if isinstance(value, list):
        for it in value:
            _rename(it, name_of)
    elif isinstance(value, dict):
        name = value.get("name")
        if isinstance(name, str) and value.get("type") in _NAMED:
            value["name"] = name_of(name)
        for it in value.values():
            if isinstance(it, list | dict):
                _rename(it, name_of)
