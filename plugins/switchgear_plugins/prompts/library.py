"""The prompts that come with the plugin, and their installation."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from msgspec import Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Resources
from switchgear.errors import ApiError, NotFound
from switchgear_plugins.prompts.resources import KIND


class Installed(Struct, frozen=True):
    """What an installation did: prompts that were made, and those that exist and were left alone."""

    installed: list[str]
    existing: list[str]


def library() -> dict[str, dict[str, Any]]:
    """Return the prompts by id, as they would be written."""
    text = files("switchgear_plugins.prompts").joinpath("library.toml").read_text("utf-8")
    return tomllib.loads(text)


async def install(resources: Resources, ids: Sequence[str], by: Principal) -> Installed:
    """Create those of these ids, or all, that do not exist. Raises `NotFound` for an id that is not in the library."""
    bodies = library()
    if unknown := [id for id in ids if id not in bodies]:
        known = ", ".join(bodies)
        raise NotFound(f"The library has no prompt `{unknown[0][:64]}`; it has {known}.", code="unknown_prompt")
    made, there = [], []
    for id in ids or bodies:
        if await resources.get(KIND, id) is not None:
            there.append(id)
            continue
        try:
            await resources.create(KIND, id, bodies[id], by=by)
            made.append(id)
        except ApiError:
            if await resources.get(KIND, id) is None:
                raise
            there.append(id)  # somebody else was faster
    return Installed(made, there)
