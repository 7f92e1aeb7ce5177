"""Workflows to begin with. What they need (a model, a knowledge base, an external API) is asked for when one is made."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from switchgear.errors import InvalidRequest, NotFound

_MARK = "@"


def templates() -> dict[str, dict[str, Any]]:
    """Return the templates by id."""
    return tomllib.loads(files("switchgear_plugins.workflows").joinpath("templates.toml").read_text("utf-8"))


def needs(template: Mapping[str, Any]) -> list[str]:
    """Return the names of what is asked for: `model`, `knowledge_base`, `external_api`."""
    return sorted(_marked(template["steps"]))


def filled(id: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a template with what it asks for filled in. Raises `NotFound`, `InvalidRequest` naming what is missing."""
    found = templates()
    if id not in found:
        raise NotFound(f"There is no template {id[:64]!r}; there are {', '.join(found)}.", code="not_found")
    if lacking := [name for name in needs(found[id]) if name not in given]:
        raise InvalidRequest(
            f"The template `{id}` needs {', '.join(lacking)}.", param=lacking[0], code="missing_values"
        )
    return {**found[id], "steps": _fill(found[id]["steps"], given)}


def _marked(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value.removeprefix(_MARK)} if value.startswith(_MARK) else set()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(_marked, inner))


def _fill(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return given[value.removeprefix(_MARK)] if value.startswith(_MARK) else value
    if isinstance(value, dict):
        return {name: _fill(inner, given) for name, inner in value.items()}
    return [_fill(inner, given) for inner in value] if isinstance(value, list) else value
