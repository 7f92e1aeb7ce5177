"""What a gateway says of itself to operators: its plugins and what they bring, every setting in effect."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import get
from msgspec import Struct

from switchgear.brings import Brought, brought, told_of
from switchgear.config import Origin
from switchgear.config import Path as Keys
from switchgear.contracts.credential import MASK, CredentialBackend
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel
from switchgear.offer import NoSettings, Offer

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_SECRET_NAME = re.compile(r"(?:^|_)(?:key|secret|secret_id|password|token|credential)s?$")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]+(?=@)")

Row = tuple[Keys, Any, Origin]


class BroughtView(Struct, frozen=True):
    """One thing that a plugin brings.

    consumer  who has a use for it; null if nobody in this gateway
    settings  the JSON Schema of the settings it takes: of a credential backend, of a credential's `source`. Null: none
    """

    kind: str
    name: str
    summary: str
    consumer: str | None
    settings: dict[str, Any] | None


class PluginView(Struct, frozen=True):
    """An enabled plugin. `live`: it takes new settings while it runs. `faults`: how often it did wrong since the start."""

    name: str
    distribution: str
    version: str
    summary: str
    live: bool
    faults: int
    warnings: list[str]
    brings: list[BroughtView]


class PluginList(Struct, frozen=True):
    """The enabled plugins, in their order."""

    data: list[PluginView]


class SettingView(Struct, frozen=True):
    """A setting in effect. `origin` is where it was said: `default`, a line of a file, a variable of the environment, a flag."""

    path: str
    value: Any
    origin: str


class SettingList(Struct, frozen=True):
    """Every setting in effect, secrets masked."""

    data: list[SettingView]


def introspection_handlers(kernel: Kernel, backends: Mapping[str, CredentialBackend]) -> "list[HTTPRouteHandler]":
    """Make the routes."""

    @get(
        "/admin/v1/plugins",
        opt={"action": "list", "resource": "plugins"},
        sync_to_thread=False,
        summary="The enabled plugins, and what each brings",
        tags=["plugins"],
    )
    def plugins() -> PluginList:
        return PluginList(list(_plugins(kernel, backends)))

    @get(
        "/admin/v1/config/settings",
        opt={"action": "read", "resource": "config"},
        sync_to_thread=False,
        summary="Every setting in effect, and where it was said",
        tags=["config"],
    )
    def settings() -> SettingList:
        return SettingList([SettingView(".".join(keys), value, str(said)) for keys, value, said in effective(kernel)])

    return [plugins, settings]


def _plugins(kernel: Kernel, backends: Mapping[str, CredentialBackend]) -> Iterator[PluginView]:
    offers = {(it.plugin, it.hook, it.item.name): it.item for it, _ in kernel.registry.offered()}
    for item in kernel.plugins:
        installed = item.installed
        yield PluginView(
            name=installed.name,
            distribution=installed.distribution,
            version=installed.version,
            summary=" ".join((type(item.plugin).__doc__ or "").strip().partition("\n\n")[0].split()),
            live=item.plugin.live,
            faults=kernel.faults.counted(installed.name),
            warnings=told_of(kernel, installed.name),
            brings=[_brought(it, installed.name, offers, backends) for it in brought(kernel, installed.name)],
        )


def _brought(
    it: Brought,
    plugin: str,
    offers: Mapping[tuple[str, str, str], Offer[Any]],
    backends: Mapping[str, CredentialBackend],
) -> BroughtView:
    hook = f"switchgear_{it.kind}"
    offer = offers.get((plugin, hook if hook in vars(Hooks) else "switchgear_offers", it.name))
    settings: type[Struct] | None = None if offer is None else offer.settings_type
    if it.kind == "credential_backends" and it.name in backends:
        settings = backends[it.name].source_type
    schema = None if settings in (None, NoSettings) else msgspec.json.schema(settings)
    return BroughtView(it.kind, it.name, it.summary, it.consumer, schema)


def effective(kernel: Kernel) -> Iterator[Row]:
    """Yield every setting in effect: its place, its value with secrets masked, and where that was said."""
    config = kernel.config
    for keys, value, origin, secret in config.rows(config.gateway, ("gateway",)):
        yield keys, _masked(keys, value, secret=secret), origin
    for item in kernel.plugins:
        at = ("plugins", item.installed.name)
        yield (*at, "enabled"), True, config.origin((*at, "enabled"))
        for keys, value, origin, secret in config.rows(item.settings, at):
            yield keys, _masked(keys, value, secret=secret), origin


def _masked(keys: Keys, value: Any, *, secret: bool) -> Any:
    if isinstance(value, dict):
        return {key: _masked((*keys, key), item, secret=secret) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(keys, item, secret=secret) for item in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if secret or _SECRET_NAME.search(keys[-1]) else _PASSWORD_IN_URL.sub(rf"\1:{MASK}", value)
