"""Where a name leads, name by name: what a resource stands for, whose it is, and what that names in turn."""

from collections.abc import Iterator

import msgspec

from switchgear import json_paths as paths
from switchgear.contracts.dry_run import Name
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.naming import NOBODY, SHARED, Changed
from switchgear.resources.snapshot import Key

_MOST = 1000
"""Names that are gone through; what can be used leads to far fewer."""


def resolve(engine: ResourceEngine, name: str) -> list[Name]:
    """Return a name and all it is made of, each once, depth first."""
    naming = engine.compiler.naming.after({})
    found: dict[str, Name] = {}
    waiting = [name]
    while waiting and len(found) < _MOST:
        name = waiting.pop()
        if name not in found:
            found[name] = _name(engine, naming, name)
            waiting += reversed(found[name].leads_to)
    return list(found.values())


def _name(engine: ResourceEngine, naming: Changed, name: str) -> Name:
    key = naming.owner(name)
    live = engine.snapshot.callable(name)
    enabled = live is not None and bool(live.enabled)
    if key[0] == NOBODY:
        return Name(name, "unknown", enabled)
    if key[0] == SHARED:
        return Name(name, SHARED, enabled, tuple(_shared(engine, naming, name)))
    kind = engine.kinds[key[0]]
    if key != (kind.name, name):
        return Name(name, f"{kind.title}/model", enabled)
    broken = engine.broken.get(key)
    leads_to = tuple(_named(engine, key))
    return Name(name, kind.title, enabled, leads_to, None if broken is None else broken.reason)


def _named(engine: ResourceEngine, key: Key) -> Iterator[str]:
    spec = msgspec.json.decode(engine.compiler.naming.documents[key].spec)
    for reference in engine.kinds[key[0]].references:
        if reference.kind == "callable":
            yield from (name for _, name in paths.spots(spec, reference.field) if isinstance(name, str))


def _shared(engine: ResourceEngine, naming: Changed, name: str) -> Iterator[str]:
    assert engine.compiler.naming.sharing is not None
    field = engine.compiler.naming.sharing[1].field
    for key in naming.sharers(name):
        own = msgspec.json.decode(engine.compiler.naming.documents[key].spec)[field][name]
        yield f"{key[1]}/{own}"
