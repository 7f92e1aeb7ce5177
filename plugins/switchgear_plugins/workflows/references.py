"""References in the inputs of steps: `${request:path}`, `${step:name:path}`, `${item:path}`, `${index}`.

Each may have a default behind another colon. A path is names and indexes with dots between them. A text that is one reference and
nothing else becomes what that stands for, of whatever type; among other text it is written out. What a value says is never read
again: a value that looks like a reference stays what it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

_REFERENCE = re.compile(r"\$\{(?:(request|item|index)|step:([A-Za-z0-9_-]+))(?::([^}:]{0,500}))?(?::([^}]{0,2000}))?\}")
_OPENING = re.compile(r"\$\{(?:request|item|index|step)\b")
MOST_CHARACTERS = 2_000_000
MISSING: Any = object()


class Reference(Struct, frozen=True):
    """A reference: `scope` is `request`, `item`, `index`, or `step` with its name."""

    scope: str
    step: str | None
    path: tuple[str, ...]
    default: str | None


class Values(Struct, frozen=True):
    """What references stand for: the input of the run, outputs of steps, and where a list is gone through its item."""

    request: Any
    steps: Mapping[str, Any]
    item: Any = MISSING
    index: int | None = None

    def of(self, reference: Reference) -> Any:
        """Return what a reference stands for; `MISSING` where there is nothing and it has no default."""
        root = {"request": self.request, "item": self.item, "index": MISSING if self.index is None else self.index}
        found = self.steps.get(reference.step or "", MISSING) if reference.step else root[reference.scope]
        for name in reference.path:
            found = _inside(found, name)
        if found is MISSING or (found is None and reference.default is not None):
            return MISSING if reference.default is None else reference.default
        return found


class Unresolved(ValueError):
    """A reference stands for nothing."""


def references(value: Any) -> Iterator[tuple[str, Reference]]:
    """Yield the references in a JSON value, with the pointer of the text that each stands in. Raises ValueError for a text that
    begins like one and has none.
    """
    yield from _walk(value, "")


def resolve(value: Any, values: Values) -> Any:
    """Return a JSON value with references resolved. Raises `Unresolved`, ValueError for what gets too long."""
    if isinstance(value, str):
        return _text(value, values)
    if isinstance(value, Mapping):
        return {name: resolve(inner, values) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(inner, values) for inner in value]
    return value


def has_references(value: Any) -> bool:
    """Say whether there is any reference in a JSON value, well written or not."""
    if isinstance(value, str):
        return _OPENING.search(value) is not None
    if isinstance(value, Mapping):
        return any(map(has_references, value.values()))
    return isinstance(value, (list, tuple)) and any(map(has_references, value))


def written(value: Any) -> str:
    """Write a value among text."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _text(text: str, values: Values) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole is not None:
        return _found(whole, values)
    parts, at, length = [], 0, 0
    for match in _REFERENCE.finditer(text):
        parts += [text[at : match.start()], written(_found(match, values))]
        length += len(parts[-1])
        if length > MOST_CHARACTERS:
            raise ValueError(f"a text would have more than {MOST_CHARACTERS} characters")
        at = match.end()
    return "".join(parts) + text[at:]


def _found(match: re.Match[str], values: Values) -> Any:
    found = values.of(_reference(match))
    if found is MISSING:
        raise Unresolved(f"{match[0]} stands for nothing; give it a default: {match[0][:-1]}:…}}")
    return found


def _reference(match: re.Match[str]) -> Reference:
    path = tuple(part for part in (match[3] or "").split(".") if part)
    return Reference(match[1] or "step", match[2], path, match[4])


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, MISSING)
    if isinstance(value, (list, tuple)) and name.isascii() and name.isdigit():
        place = int(name[:9])
        return value[place] if place < len(value) else MISSING
    return MISSING


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, Reference]]:
    if isinstance(value, str):
        found = list(_REFERENCE.finditer(value))
        if len(found) != len(_OPENING.findall(value)):
            raise ValueError(
                f"{pointer or '/'} has a reference that is none: write ${{request:path}} or ${{step:name:path}}"
            )
        yield from ((pointer, _reference(match)) for match in found)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from _walk(inner, f"{pointer}/{place}")
