"""Paths with parameters: what they match, which overlap, and whose a path is that nobody answers."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)(:path)?\}")


class PathPattern:
    """A path such as `/v1/files/{id}/content` or `/v1/models/{model:path}`: `{id}` is within a segment, `:path` is one or more.

    Raises ValueError for what is no path, or has a parameter twice or two in one segment.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        found = _PARAMETER.findall(path)
        self.names: tuple[str, ...] = tuple(name for name, _ in found)
        bare = _PARAMETER.sub("", path)
        if not path.startswith("/") or len(path) == 1 or path.endswith("/") or "//" in path or set(bare) & set("{}?#%"):
            raise ValueError(f"`{path}` is no path with parameters: /v1/files/{{id}}, /v1/models/{{model:path}}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"`{path}` has a parameter twice")
        self.segments = path[1:].split("/")
        if any(len(_PARAMETER.findall(segment)) > 1 for segment in self.segments):
            raise ValueError(f"`{path}` has two parameters in one segment")
        self.plain = _PARAMETER.sub(r"{\1}", path)
        """As OpenAPI writes it."""
        self.literal = len(bare)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """What it matches; its groups are the parameters."""
        pattern, at = "", 0
        for found in _PARAMETER.finditer(self.path):
            pattern += re.escape(self.path[at : found.start()])
            pattern += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})"
            at = found.end()
        return re.compile(pattern + re.escape(self.path[at:]), re.DOTALL)

    def overlaps(self, other: "PathPattern") -> bool:
        """Say whether some path is matched by both."""
        return _overlap(_characters(self.path), _characters(other.path))


class Table(Generic[T]):
    """What answers at which path. Exact paths are a dict lookup; then patterns are tried, the most specific first."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self.exact: dict[str, list[T]] = {}
        patterns: dict[str, tuple[PathPattern, list[T]]] = {}
        for path, what in entries:
            pattern = PathPattern(path)
            if pattern.names:
                patterns.setdefault(path, (pattern, []))[1].append(what)
            else:
                self.exact.setdefault(path, []).append(what)
        ordered = sorted(patterns.values(), key=lambda it: (":path}" in it[0].path, -it[0].literal))
        self._patterns = [(pattern.regex, what) for pattern, what in ordered]

    def find(self, path: str) -> tuple[list[T], dict[str, str]]:
        """Return what answers there and the values of the parameters. `path` is as it was written.

        What a route has of its own is not found where it is escaped, so that a proxy may go by it; parameters are decoded.
        """
        found = self.exact.get(path)
        if found is not None:
            return found, {}
        for regex, what in self._patterns:
            if match := regex.fullmatch(path):
                return what, {name: unquote(value) for name, value in match.groupdict().items()}
        return [], {}


class Owners(Generic[T]):
    """Whose a path is: of those who have a path, the one that has the longest root in common with it, then most paths below."""

    def __init__(self, paths: Iterable[tuple[str, T]]) -> None:
        self._exact = dict(paths)
        self._paths = [(path[1:].split("/"), owner) for path, owner in self._exact.items()]
        self.roots = tuple({f"/{segments[0]}/" for segments, _ in self._paths})

    def covers(self, path: str) -> bool:
        """Say whether somebody has paths below the first segment of this one."""
        return path.startswith(self.roots) or path + "/" in self.roots

    def of(self, path: str) -> T:
        """Return the owner of a path that is covered. One that is theirs is only looked up."""
        found = self._exact.get(path)
        if found is not None:
            return found
        wanted = path[1:].split("/")
        shared = [(_shared(segments, wanted), owner) for segments, owner in self._paths]
        most = max(length for length, _ in shared)
        nearest = [owner for length, owner in shared if length == most]
        return max(nearest, key=nearest.count)


def _shared(have: Sequence[str], wanted: Sequence[str]) -> int:
    count = 0
    for one, other in zip(have, wanted, strict=False):
        if one != other and "{" not in one:
            break
        count += 1
    return count


_WITHIN, _ACROSS = "{segment}", "{path}"
"""One character of a parameter: any but `/`, or any."""


def _characters(path: str) -> list[tuple[str, bool]]:
    """Return the characters that a path consists of, and of each whether it may come any number of times, none included."""
    found: list[tuple[str, bool]] = []
    at = 0
    for parameter in _PARAMETER.finditer(path):
        found += [(character, False) for character in path[at : parameter.start()]]
        kind = _ACROSS if parameter[2] else _WITHIN
        found += [(kind, False), (kind, True)]
        at = parameter.end()
    return found + [(character, False) for character in path[at:]]


def _overlap(these: Sequence[tuple[str, bool]], those: Sequence[tuple[str, bool]]) -> bool:
    """Say whether both can be read to their ends side by side."""
    waiting, seen = [(0, 0)], {(0, 0)}
    while waiting:
        one, other = waiting.pop()
        if one == len(these) and other == len(those):
            return True
        further: set[tuple[int, int]] = set()
        if one < len(these) and these[one][1]:
            further.add((one + 1, other))
        if other < len(those) and those[other][1]:
            further.add((one, other + 1))
        if one < len(these) and other < len(those) and _same(these[one][0], those[other][0]):
            further.add((one + (not these[one][1]), other + (not those[other][1])))
        waiting += further - seen
        seen |= further
    return False


def _same(one: str, other: str) -> bool:
    """Say whether two characters may be the same."""
    if len(one) == 1 and len(other) == 1:
        return one == other
    return "/" not in (one, other) or _ACROSS in (one, other)
