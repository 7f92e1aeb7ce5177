"""What one plugin brings, and what becomes of it in a gateway with a certain configuration."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct, structs

from switchgear.errors import PluginError
from switchgear.hooks import Hooks
from switchgear.kernel import Active, Kernel
from switchgear.plugin import API

ACTIVE = ("stores", "counters", "job_queues")
CONSUMERS: Mapping[str, str] = MappingProxyType(
    {
        "providers": 'resources of the kind `providers` with `type = "{name}"`',
        "credential_backends": 'credentials with `source.backend = "{name}"`',
        "authenticators": "every request that brings credentials, in plugin order",
        "authorizers": "every request of somebody who was identified, in plugin order",
        "dialects": "clients, at its own paths",
        "policies": "every exchange, or those that `policy-attachments` attach it to",
        "price_books": "targets of models that do not say themselves what they cost, in plugin order",
        "resource_kinds": "operators, at /admin/v1/{name} and in files",
        "first_run": "a first start over an empty store",
        "notices": "the output of `switchgear serve` at its start",
        "routes": "operators",
        "commands": "the command line: `switchgear {name}`",
        "job_handlers": "jobs of the kind `{name}`",
        "record_kinds": "whoever reads records; the plugin keeps them",
        "record_sinks": "records, once they are in the store",
        "tasks": "the gateway, in every process that serves",
        "event_handlers": "events of these names",
        "assets": "anybody, at /ui/{plugin}/…",
        "ui_pages": "consoles that list GET /admin/v1/pages",
        "migrations": "the active store, when it opens",
    }
)
"""Who has a use for what is brought to a hook."""
_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "providers": "prepare and decode or feed, in each attempt at one of its models",
        "authenticators": "authenticate, once a request",
        "authorizers": "authorize, once a request",
        "dialects": "parse and encode, in each request at its paths",
        "credential_backends": "none: secrets are fetched ahead",
        "price_books": "none: asked when the configuration is compiled",
        "counters": "reserve and settle, once a request that something counts",
        "record_sinks": "none: records are drained behind requests",
    }
)
"""Where a request meets what is brought to a hook; policies have phases instead."""


class Brought(Struct, frozen=True):
    """One thing that a plugin brings. `consumer` is who has a use for it, None if nobody in this gateway."""

    kind: str
    name: str
    summary: str
    consumer: str | None
    steps: str


def brought(kernel: Kernel, plugin: str) -> Iterator[Brought]:
    """Yield what a booted plugin brings."""
    waiting = {(kind, it.item.name) for kind, it in kernel.registry.waiting() if it.plugin == plugin}
    defining = [(kind.name, item.installed.name) for item in kernel.plugins for kind in item.plugin.defines]
    takers = dict(defining) | {kind: other for kind, other in defining if other != plugin}
    for name in (name for name in vars(Hooks) if name.startswith("switchgear_")):
        for bound in kernel.registry.all(getattr(Hooks, name)):
            if bound.plugin != plugin:
                continue
            hook = name.removeprefix("switchgear_")
            kind = bound.item.kind if hook == "offers" else hook
            called = _called(bound.item)
            if (kind, called) in waiting:
                consumer = None
            elif hook in ACTIVE:
                consumer = _active(kernel, hook, called)
            elif kind in takers or hook not in CONSUMERS:
                consumer = f"plugin `{takers.get(kind, plugin)}`"
            else:
                consumer = CONSUMERS[hook].format(name=called, plugin=plugin)
            yield Brought(kind, called, getattr(bound.item, "summary", ""), consumer, _STEPS.get(hook, ""))


def told_of(kernel: Kernel, name: str) -> list[str]:
    """Return what boot warns of that concerns a plugin."""
    return [text for text in kernel.warnings if text.startswith(f"plugin `{name}` ")]


def warnings(kernel: Kernel, item: Active, *, enabled: bool) -> list[str]:
    """Say what its author or operator should know: what boot warns of, and how it stands here."""
    said = told_of(kernel, item.installed.name)
    if item.plugin.api < API:
        said.append(f"it was written for plugin API {item.plugin.api}, and is adapted to {API}")
    if not enabled:
        said.append(f"it is not enabled: `switchgear plugins enable {item.installed.name}`")
    return said


def settings_of(item: Active) -> dict[str, Any]:
    """Return the names of its settings with their types, for people."""
    fields = structs.fields(item.plugin.settings_type)
    return {it.encode_name: re.sub(r"<class '(?:.*\.)?(\w+)'>", r"\1", str(it.type)) for it in fields}


def _called(item: Any) -> str:
    if (paths := getattr(item, "paths", None)) and not isinstance(item, type):
        return ", ".join(sorted(map(str, paths)))
    if isinstance(names := getattr(item, "names", None), frozenset):
        return ", ".join(sorted(names))
    found = getattr(item, "name", None) or getattr(item, "slug", None) or getattr(item, "directory", None)
    return str(found or getattr(item, "kind", type(item).__name__))


def _active(kernel: Kernel, hook: str, name: str) -> str | None:
    gateway = kernel.config.gateway
    wanted = {"counters": gateway.counters, "job_queues": gateway.jobs}.get(hook)
    try:
        active = kernel.registry.one(getattr(Hooks, f"switchgear_{hook}"), wanted)
    except PluginError:
        return None
    return "the gateway: it is the active one" if active is not None and active.item.name == name else None
