"""Texts with variables: `${var:name}`, or `${var:name:default}`. They are replaced literally, once; there is no other syntax.

What a value says is never read again, so a value that looks like a variable stays what it is.
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

Value = str | int | float | bool
_VARIABLE = re.compile(r"\$\{var:([A-Za-z0-9-]{1,64})(?::([^}]{0,2000}))?\}")
_OPENING = "${var:"


class Variable(Struct, frozen=True):
    """A place in a text. A variable without a default has to be given; a default has at most 2000 characters."""

    name: str
    default: str | None = None


class TooLong(ValueError):
    """A text would be longer than it may be."""


class Template(Struct, frozen=True):
    """A text taken apart: what stands as it is, and variables."""

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Return its variables in order, each once: the first that has a default counts."""
        found: dict[str, Variable] = {}
        for part in self.parts:
            if isinstance(part, Variable) and found.get(part.name, _NOTHING).default is None:
                found[part.name] = part
        return tuple(found.values())

    def missing(self, values: Mapping[str, Value]) -> list[str]:
        """Return the names that have neither a value nor a default where they stand."""
        places = (part for part in self.parts if isinstance(part, Variable))
        return list(dict.fromkeys(it.name for it in places if it.default is None and it.name not in values))

    def render(self, values: Mapping[str, Value], most: int) -> str:
        """Return the text; what is missing stays as it was written. Raises `TooLong` beyond `most` characters."""
        texts = {name: said(value) for name, value in values.items()}
        parts = [part if isinstance(part, str) else _filled(part, texts) for part in self.parts]
        if sum(map(len, parts)) > most:
            raise TooLong(f"the text would have more than {most} characters")
        return "".join(parts)


_NOTHING = Variable("")


def parse(text: str) -> Template:
    """Take a text apart. Raises ValueError, with the place, for what begins like a variable and is none."""
    parts: list[str | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        parts += [_plain(text, at, found.start()), Variable(found[1], found[2])]
        at = found.end()
    parts.append(_plain(text, at, len(text)))
    return Template(tuple(part for part in parts if part != ""))


def said(value: Value) -> str:
    """Return how a value reads: booleans as JSON has them."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def names(templates: Iterable[Template]) -> set[str]:
    """Return the names of all variables of texts."""
    return {variable.name for template in templates for variable in template.variables}


def _plain(text: str, begin: int, end: int) -> str:
    plain = text[begin:end]
    if _OPENING in plain:
        near = plain[plain.index(_OPENING) :][:40]
        raise ValueError(
            f"`{near}` is no variable: write ${{var:name}} or ${{var:name:default}}, names of letters, digits and hyphens"
        )
    return plain


def _filled(variable: Variable, texts: Mapping[str, str]) -> str:
    if variable.name in texts:
        return texts[variable.name]
    return f"${{var:{variable.name}}}" if variable.default is None else variable.default
