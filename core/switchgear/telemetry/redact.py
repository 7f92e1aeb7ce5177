"""The log processor that lets no secret and nothing unprintable through."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from switchgear.secret import Secret
from switchgear.telemetry.scrub import MASKED, flatten, mask, printable

_DEEPEST = 6
_LONGEST = 10_000
_WIDEST = 200
_BIGGEST = 2**63

# Values under such a name are masked whatever they look like. `max_tokens`, `key_id` and `token_count` are none.
_TELLING = re.compile(
    r"authorization|secret|passw(or)?d|passphrase|cookie|bearer|token$|(api|access|private|master|signing)[-_ ]?key$|dsn$",
    re.IGNORECASE,
)
_LINES = frozenset({"exception", "stack"})


def redact(_logger: Any, _method: str, event: Any) -> Any:
    """Mask secrets anywhere in an event and make every value plain JSON."""
    return {
        _text(str(name)): mask(printable(str(value))) if name in _LINES else _member(str(name), value, 0)
        for name, value in event.items()
    }


def _member(name: str, value: Any, depth: int) -> Any:
    if value is not None and not isinstance(value, bool) and _TELLING.search(name):
        return MASKED
    return _plain(value, depth)


def _plain(value: Any, depth: int) -> Any:  # noqa: C901 - one return for each sort of value
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if -_BIGGEST <= value < _BIGGEST else str(value)
    if isinstance(value, Secret):
        return MASKED
    if depth >= _DEEPEST:
        return _text(f"<{type(value).__name__}>")
    if isinstance(value, Mapping):
        return _mapping(value.items(), depth)
    if isinstance(value, msgspec.Struct):
        return _mapping(((name, getattr(value, name)) for name in value.__struct_fields__), depth)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | bytes):  # noqa: PLR2004 - a header
        name = value[0] if isinstance(value[0], str) else value[0].decode("latin-1")
        return [_text(name), _member(name, value[1], depth + 1)]
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item, _ in zip(value, range(_WIDEST), strict=False)]
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value[: 2 * _LONGEST]).decode(errors="replace"))
    return _text(_shown(value))


def _mapping(items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
    return {
        _text(str(name)): _member(str(name), item, depth + 1)
        for (name, item), _ in zip(items, range(_WIDEST), strict=False)
    }


def _text(value: str) -> str:
    # What is cut before masking is far beyond what is shown, so no half of a key is.
    return mask(flatten(value[: 2 * _LONGEST]))[:_LONGEST]


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a broken repr is named in the line and must not break whoever logs
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
