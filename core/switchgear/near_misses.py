"""What a plugin says that is allowed and hardly meant: told as warnings, since the gateway starts all the same."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from switchgear.conformance import members_of, takes
from switchgear.contracts.event import EVENTS
from switchgear.contracts.policy import Policy
from switchgear.discovery import Installed
from switchgear.factories import Looked, also, offered
from switchgear.hooks import Hooks, brought_to
from switchgear.inspection import tables_of
from switchgear.own import KINDS
from switchgear.phrasing import did_you_mean, listed
from switchgear.plugin import Plugin
from switchgear.registry import Registry

_PREFIX = "switchgear_"
_NEAR = 0.88
_NEAR_PHASE = 0.75


def near_misses(plugins: Iterable[tuple[Installed, Plugin[Any]]], registry: Registry, looked: Looked) -> Iterator[str]:
    """Yield what to look at, each with the plugin and what to do."""
    for installed, plugin in plugins:
        yield from (f"{installed}: {text}" for text in _of_class(type(plugin)))
        for name in plugin.after:
            if name not in registry.plugins and (hint := did_you_mean(name, registry.plugins)):
                yield f"{installed}: it wants to come after `{name}`, which is not enabled.{hint}"
    yield from _loose_settings(registry)
    yield from _closed_routes(registry)
    yield from _unknown_kinds(registry)
    yield from _unheard(registry, looked)
    yield from _tables(registry)
    yield from _halves(looked)
    yield from _phases(registry, looked)


def _of_class(plugin: type[Plugin[Any]]) -> Iterator[str]:
    hooks = {name.removeprefix(_PREFIX): name for name in vars(Hooks) if name.startswith(_PREFIX)}
    own = {name for name in dir(plugin) if not name.startswith("_") and name not in dir(Plugin)}
    missing = {bare: hook for bare, hook in hooks.items() if hook not in own}
    spelled = {_letters(text): hook for bare, hook in missing.items() for text in (bare, hook)}
    near = [
        (name, spelled[found[0]])
        for name in sorted(own - set(hooks.values()))
        if callable(getattr(plugin, name)) and takes(getattr(plugin, name), 1)
        if (found := get_close_matches(_letters(name), spelled, n=1, cutoff=_NEAR))
    ]
    yield from (f"`{name}` is no hook, so nobody calls it. Did you mean `{hook}`?" for name, hook in near)
    does_something = plugin.start is not Plugin.start or plugin.__init__ is not Plugin.__init__ or plugin.defines
    if not near and len(missing) == len(hooks) and not does_something:
        yield "it has no hook, so it brings nothing. The hooks stand in `switchgear.hooks`."
    if plugin.reconfigure is not Plugin.reconfigure and not plugin.live:
        yield "it has `reconfigure`, which nobody calls unless its class says `live = True`."
    if not _is_strict(plugin.settings_type):
        yield f"its settings `{plugin.settings_type.__name__}` lack `forbid_unknown_fields=True`. {_WHY_STRICT}"


_WHY_STRICT = "Add it, so that a misspelt field is refused wherever they are read."


def _letters(name: str) -> str:
    return name.lower().replace("_", "")


def _is_strict(type_: type[Struct]) -> bool:
    return type_.__struct_config__.forbid_unknown_fields or not type_.__struct_fields__


def _loose_settings(registry: Registry) -> Iterator[str]:
    for bound, _ in registry.offered():
        if not _is_strict(bound.item.settings_type):
            name = bound.item.settings_type.__name__
            yield f"{offered(bound)}: its settings `{name}` lack `forbid_unknown_fields=True`. {_WHY_STRICT}"
    for kind in registry.all(Hooks.switchgear_resource_kinds):
        for type_ in dict.fromkeys(filter(None, (kind.item.spec, kind.item.input))):
            if not _is_strict(type_):
                yield (
                    f"{kind}: `{type_.__name__}` of its resource kind `{kind.item.name}` lacks `forbid_unknown_fields=True`."
                    f" {_WHY_STRICT}"
                )


def _closed_routes(registry: Registry) -> Iterator[str]:
    for bound in registry.all(Hooks.switchgear_routes):
        opt = bound.item.opt
        says = isinstance(opt.get("action"), str) and isinstance(opt.get("resource"), str)
        if not says and opt.get("public") is not True:
            yield (
                f"{bound}: its route {', '.join(sorted(bound.item.paths))} declares neither `action` and `resource` nor `public`"
                " in its `opt`, so nobody may use it."
            )


def _unknown_kinds(registry: Registry) -> Iterator[str]:
    """Find references to resources, and sinks for records, of kinds that no enabled plugin brings."""
    kinds = registry.all(Hooks.switchgear_resource_kinds)
    known = {*KINDS, *(bound.item.name for bound in kinds), "callable"}
    for bound in kinds:
        for reference in bound.item.references:
            if reference.kind not in known and not reference.optional:
                yield (
                    f"{bound}: `{reference.field}` of its resource kind `{bound.item.name}` names resources of the kind"
                    f" `{reference.kind}`, which no enabled plugin brings.{did_you_mean(reference.kind, known)}"
                )


def _unheard(registry: Registry, looked: Looked) -> Iterator[str]:
    """Find listeners and sinks for what is never told."""
    kinds = {*KINDS, *(bound.item.name for bound in registry.all(Hooks.switchgear_resource_kinds))}
    events = {name.replace("KIND", kind) for name in EVENTS for kind in kinds}
    events = events.union(*(plugin.announces for plugin in registry.plugins.values()))
    for bound in registry.all(Hooks.switchgear_event_handlers):
        for name in sorted(bound.item.names - events):
            if hint := did_you_mean(name, events):
                yield f"{bound}: it listens to `{name}`, which the gateway never announces.{hint}"
    records = {bound.item.name for bound in registry.all(Hooks.switchgear_record_kinds)}
    for offer, sink in looked.of(Hooks.switchgear_record_sinks):
        if strange := sink.kinds - records:
            hint = did_you_mean(min(strange), records)
            yield f"{offered(offer)}: it wants records {listed(strange)}, which no enabled plugin keeps.{hint}"


def _tables(registry: Registry) -> Iterator[str]:
    for bound in registry.all(Hooks.switchgear_migrations):
        if "store" not in registry.plugins[bound.plugin].requires:
            yield f'{bound}: it brings tables, which it can only use with `requires = ("store",)`. Add that to its class.'
        prefix = bound.plugin.replace("-", "_")
        strange = {table for _, table in tables_of(bound) if not table.startswith(prefix)}
        if strange:
            yield f"{bound}: its tables {listed(strange)} do not begin with `{prefix}`, and may meet those of another plugin."


def _halves(looked: Looked) -> Iterator[str]:
    """Find what an offer may be besides, and is not for want of a member: it has the first and lacks others."""
    for bound, made in looked.made:
        for contract in also(brought_to(bound.hook)[1]):
            first, *others = members_of(contract)
            missing = [name for name in others if not hasattr(made, name)]
            if hasattr(made, first) and missing:
                yield (
                    f"{offered(bound)}: it has `{first}` and lacks {listed(missing)}, so it is no `{contract.__name__}`. Add"
                    " what it lacks."
                )


def _phases(registry: Registry, looked: Looked) -> Iterator[str]:
    """Find methods of policies whose names nearly are phases: those have defaults, so that none is ever missing."""
    kinds = {id(bound): type(made) for bound, made in looked.of(Hooks.switchgear_policies)}
    for bound in registry.all(Hooks.switchgear_policies):
        kind: Any = kinds.get(id(bound), bound.item.factory)
        if not isinstance(kind, type) or not issubclass(kind, Policy):
            continue
        left = {name: declared for name, declared in vars(Policy).items() if getattr(kind, name) is declared}
        for name in sorted(it for it in dir(kind) if not it.startswith("_") and not hasattr(Policy, it)):
            found = get_close_matches(name, left, n=1, cutoff=_NEAR_PHASE)
            if found and callable(getattr(kind, name)):
                yield f"{offered(bound)}: `{name}` is no phase of a policy, so nobody calls it. Did you mean `{found[0]}`?"
