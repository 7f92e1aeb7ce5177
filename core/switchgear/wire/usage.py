"""What providers say was consumed: the canonical form's `usage`, and counts of any form read for what they are worth.

Servers that speak a form tell their counts in their own ways: as text, as floats, with details that are none. One odd member does
not lose the others.
"""

from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs

from switchgear.contracts.usage import CACHE_WRITE, CACHED_INPUT, MOST_TOKENS, REASONING, Usage
from switchgear.wire.members import BROKEN

T = TypeVar("T", bound=Struct)

_NULL = Raw(b"null")
_MOST_DIGITS = 16


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None
    audio_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageForm(Struct):
    """A canonical `usage` whose counts are counts: the members of the form, then those that some servers have instead of its
    details, then what the Responses form calls them.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_decoder = msgspec.json.Decoder(UsageForm)


def read_usage(raw: bytes | Raw) -> Usage | None:
    """Decode a canonical `usage` object; None for null or for something that is not one."""
    if raw == _NULL:
        return None
    found = read_counts(_decoder, raw)
    return None if found is None else usage_of(found)


def usage_of(found: UsageForm) -> Usage | None:
    """Return what a `usage` tells; None where that is nothing."""
    given = found.input_tokens if found.prompt_tokens is None else found.prompt_tokens
    written = found.output_tokens if found.completion_tokens is None else found.completion_tokens
    if given is None and written is None:
        return None
    read, made, total = given or 0, written or 0, found.total_tokens or 0
    parts = _parts(found)
    if not parts and read >= 0 and made >= 0 and total <= read + made <= MOST_TOKENS:
        return Usage.plain(read, made)
    return Usage.of(max(read, 0), max(made, 0), total=total, **parts)


def _parts(found: UsageForm) -> dict[str, int]:
    """Return the parts of both sides that a usage tells, none of them 0."""
    given = found.prompt_tokens_details or found.input_tokens_details
    written = found.completion_tokens_details or found.output_tokens_details
    cached = found.prompt_cache_hit_tokens or found.cached_tokens or found.cache_read_input_tokens
    stored = found.cache_creation_input_tokens
    parts: dict[str, int] = {}
    if given is not None:
        cached = given.cached_tokens or cached
        stored = given.cache_write_tokens or given.cache_creation_tokens or stored
    if cached:
        parts[CACHED_INPUT] = cached
    if stored:
        parts[CACHE_WRITE] = stored
    if given is not None and given.audio_tokens:
        parts["audio_input"] = given.audio_tokens
    if written is not None:
        if written.reasoning_tokens:
            parts[REASONING] = written.reasoning_tokens
        if written.audio_tokens:
            parts["audio_output"] = written.audio_tokens
    return parts


def read_counts(decoder: "msgspec.json.Decoder[T]", raw: bytes | Raw) -> T | None:
    """Decode a Struct of counts, all of whose members are optional; None for something that is no object.

    A member that is not what it should be is taken for the count it stands for, else left out.
    """
    try:
        return decoder.decode(raw)
    except BROKEN:
        pass
    try:
        found = msgspec.json.decode(raw)
    except BROKEN:
        return None
    return _made(cast("type[T]", decoder.type), found) if isinstance(found, dict) else None


def _made(struct: type[T], found: dict[str, Any]) -> T:
    members: dict[str, Any] = {}
    for field in structs.fields(struct):
        value = found.get(field.encode_name)
        inner = _struct_in(field.type)
        if inner is None:
            members[field.name] = _count(value)
        elif isinstance(value, dict) and not _is_list(field.type):
            members[field.name] = _made(inner, value)
        elif isinstance(value, list) and _is_list(field.type):
            members[field.name] = [_made(inner, it) for it in value if isinstance(it, dict)]
    return struct(**{name: value for name, value in members.items() if value is not None})


def _struct_in(annotation: Any) -> type[Struct] | None:
    """Return the Struct of `X | None` or `list[X] | None`."""
    for it in get_args(annotation):
        found = it if isinstance(it, type) and issubclass(it, Struct) else _struct_in(it)
        if found is not None:
            return found
    return None


def _is_list(annotation: Any) -> bool:
    return any(get_origin(it) is list for it in get_args(annotation))


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
