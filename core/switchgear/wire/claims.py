"""What an issuer says of somebody: claims by their paths, and rules that look at them."""

from collections.abc import Mapping
from typing import Any

_MOST = 1000


def claimed(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return what a claim says as texts: that of a list each of them, a number or a truth as JSON has it, else none.

    `path` is the claim's name, or a dotted path to it: `realm_access.roles`.
    """
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return tuple(text for it in values[:_MOST] if (text := _text(it)) is not None)


def first_claimed(claims: Mapping[str, Any], path: str | None, longest: int = 255) -> str | None:
    """Return the first text of a claim that can be a name: printable, not empty and not too long."""
    texts = () if path is None else claimed(claims, path)
    return next((it for it in texts[:1] if it and len(it) <= longest and it.isprintable()), None)


def holds(claims: Mapping[str, Any], when: Mapping[str, str]) -> bool:
    """Say whether each claim of a rule says what the rule wants, or begins so: `{"groups": "staff", "sub": "repo:acme/*"}`."""
    return all(any(_is(text, wanted) for text in claimed(claims, path)) for path, wanted in when.items())


def _is(text: str, wanted: str) -> bool:
    return text.startswith(wanted[:-1]) if wanted.endswith("*") else text == wanted


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None
