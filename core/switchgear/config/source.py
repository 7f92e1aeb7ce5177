"""Where a setting's value comes from: layers of tables, each value with its origin."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Path = tuple[str, ...]
"""The keys that lead to a value: `("gateway", "timeouts", "total")`."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_HEADER = re.compile(rf"^\s*\[\[?\s*(?P<key>{_KEY}(?:\s*\.\s*{_KEY})*)\s*\]\]?")
_ASSIGNMENT = re.compile(rf"^\s*(?P<key>{_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


class Text(str):
    """A value from the environment or the command line, whose type is the setting's business."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was said: `where` is `plugins.toml:12`, a variable's name or a flag."""

    kind: Literal["default", "file", "environment", "flag"]
    where: str = ""

    def __str__(self) -> str:
        return {"default": "default", "file": self.where}.get(self.kind, f"{self.kind} {self.where}")


DEFAULT = Origin("default")


@dataclass
class Layers:
    """Tables merged from several sources; a later `put` wins."""

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)

    def put(self, path: Path, value: Any, origin: Origin) -> None:
        """Set one value, whatever was there."""
        table = self.tree
        for key in path[:-1]:
            below = table.get(key)
            if not isinstance(below, dict):
                below = table[key] = {}
            table = below
        table[path[-1]] = value
        self.origins[path] = origin

    def put_table(self, table: Mapping[str, Any], lines: Mapping[Path, int], name: str, at: Path = ()) -> None:
        """Set every value of a parsed TOML file called `name`."""
        for key, value in table.items():
            path = (*at, key)
            origin = Origin("file", f"{name}:{_line(lines, path)}")
            if isinstance(value, dict):
                self.origins[path] = origin
                self.put_table(value, lines, name, path)
                if value:
                    continue
            self.put(path, value, origin)

    def said(self, path: Path) -> Origin | None:
        """Return where the value at `path` was said; of a table nobody opened by name, where the first value in it was."""
        return next((origin for said, origin in self.origins.items() if said[: len(path)] == path), None)

    def origin(self, path: Path) -> Origin:
        """Return where the value at `path` was said, or else the nearest table around it."""
        while path:
            if origin := self.said(path):
                return origin
            path = path[:-1]
        return DEFAULT

    def is_overridden(self, path: Path) -> bool:
        """Say whether the environment or a flag has spoken for `path`, or for a table around it."""
        exact = (self.origins.get(path[:length], DEFAULT) for length in range(1, len(path) + 1))
        return any(origin.kind in {"environment", "flag"} for origin in exact)

    def table(self, path: Path) -> Any:
        """Return what is at `path`: a table, a value, or an empty table if nothing is."""
        found: Any = self.tree
        for key in path:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return found


def line_numbers(source: str) -> dict[Path, int]:
    """Find the line of every table and key of a valid TOML document.

    Reads line by line: a multi-line string with lines that look like TOML may mislead it, which costs a wrong number in a
    message and nothing else.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(source.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _keys(header["key"])
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_keys(assignment["key"])), number)
    return lines


def _keys(dotted: str) -> Path:
    try:
        found: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return (dotted.strip(),)
    path: list[str] = []
    while isinstance(found, dict):
        ((key, found),) = found.items()
        path.append(key)
    return tuple(path)


def _line(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of `path`; a table that only its sub-tables open begins where the first of those does."""
    inside = [number for found, number in lines.items() if found[: len(path)] == path]
    if inside:
        return min(inside)
    return _line(lines, path[:-1]) if path else 1
