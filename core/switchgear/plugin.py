"""What a plugin is made of. The whole tutorial:

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        greeting: str = "hello"

    class Hello(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings

        def switchgear_providers(self):
            return [switchgear.Offer("hello", HelloProvider)]

and in pyproject.toml

    [project.entry-points."switchgear.plugins"]
    hello = "my_package.plugin:Hello"

The entry point's name is the plugin's name; `[plugins.hello] enabled = true` in plugins.toml switches it on. Methods named
like a hook of `switchgear.hooks` are its implementations; there is no decorator, and a misspelt one refuses to boot.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.offer import NoSettings, OfferKind

if TYPE_CHECKING:
    import httpx
    from structlog.typing import FilteringBoundLogger

    from switchgear.contracts.counters import Counters
    from switchgear.contracts.dry_run import DryRun
    from switchgear.contracts.event import Event
    from switchgear.contracts.exchange import Target
    from switchgear.contracts.inside import CallInside
    from switchgear.contracts.jobs import JobQueue
    from switchgear.contracts.offers import Offered
    from switchgear.contracts.principal import Principal
    from switchgear.contracts.provider import NativeProvider
    from switchgear.contracts.provider_access import ProviderAccess
    from switchgear.contracts.record import Records
    from switchgear.contracts.resource import Resources
    from switchgear.contracts.store import Store
    from switchgear.contracts.tables import Tables
    from switchgear.telemetry.metrics import Metrics

API = 1
"""The plugin API this kernel speaks. It moves when a hook or contract changes incompatibly; `compat` adapts older ones."""

SettingsT = TypeVar("SettingsT", bound=Struct)


class Context(Protocol):
    """What the kernel lends to one plugin, from `start` to `stop`. Everything is attributed to the plugin's name."""

    plugin: str
    ambient: Ambient
    metrics: "Metrics"

    @property
    def log(self) -> "FilteringBoundLogger":
        """A logger whose every line carries the plugin's name."""
        ...

    @property
    def data_dir(self) -> Path:
        """A directory of the plugin's own, made when first asked for."""
        ...

    @property
    def own_variables(self) -> frozenset[str]:
        """The environment variables that settings in plugins.toml are read from. What they hold is nobody's credential."""
        ...

    @property
    def store(self) -> "Store":
        """The active store. Raises `PluginError` unless the plugin requires `store`."""
        ...

    @property
    def tables(self) -> "Tables":
        """The plugin's own tables, which it brings with `switchgear_migrations`.

        Raises `PluginError` unless it requires `store`.
        """
        ...

    @property
    def counters(self) -> "Counters":
        """The active counters. Raises `PluginError` unless the plugin requires `counters`."""
        ...

    @property
    def jobs(self) -> "JobQueue":
        """The active job queue. Raises `PluginError` unless the plugin requires `jobs`."""
        ...

    @property
    def resources(self) -> "Resources":
        """The resource engine; usable once the plugin's `start` has returned."""
        ...

    @property
    def dry_run(self) -> "DryRun":
        """What would become of a request, for plugins that tell operators; usable once the plugin's `start` has returned."""
        ...

    @property
    def providers(self) -> "ProviderAccess":
        """Providers, to be asked outside of calls: for their models, files, batches. Usable once `start` has returned."""
        ...

    def target(self, id: str, native: "NativeProvider") -> "Target":
        """Make the target of a name that the plugin answers to in this process: for `compile` of a callable kind of its own.

        The kind's live object plans it (`Plan((Step(target),))`). What it consumes itself costs nothing (`Usage()`): the calls
        that it makes in its course have prices and records of their own.
        """
        ...

    @property
    def records(self) -> "Records":
        """Records of every kind, to be read: what this process recorded before is among them."""
        ...

    @property
    def call(self) -> "CallInside":
        """Has models called from inside: `await context.call("chat", body, principal=x.principal, parent=x)`."""
        ...

    def record(self, kind: str, id: str, at_us: int, body: Struct | bytes) -> Awaitable[None] | None:
        """Keep a record of a kind that the plugin declares (`switchgear_record_kinds`). `body` is the kind's Struct, or its JSON.

        Once it returns, the record survives the death of the process, and will be in the store; the same `id` at the same
        `at_us` is kept once. Where `[gateway.journal] durability` is `full`, it returns an awaitable that ends once the record
        survives a loss of power too. Never blocks. Raises `JournalFull` and, for what can never be kept, `RecordRefused`.
        """
        ...

    def offers(self, kind: str) -> "Mapping[str, Offered[Any]]":
        """Return what the enabled plugins offer of a kind that one of them defines, by name; to be used in `start` or later.

        Raises `PluginError` for a kind that none defines.
        """
        ...

    def http(self, **options: Any) -> "httpx.AsyncClient":
        """Make an HTTP client for cold calls: same engine and egress guard as the hot path, closed with the plugin."""
        ...

    def emit(self, event: "Event") -> None:
        """Announce something to the event handlers. Never blocks."""
        ...

    async def announce(self, event: "Event") -> bool:
        """Announce something that nobody may miss: returns once every event handler has taken note, and whether none failed.

        Whoever announces keeps what is to be told until then, and announces it again, under the same `id`, if that was not so or
        its process died.
        """
        ...

    @property
    def announced(self) -> "Mapping[str, str]":
        """Return what is announced, by the kernel and by the enabled plugins (`announces`): when, by name."""
        ...

    def principals_changed(self, is_good: "Callable[[Principal], Principal | None]", *, id: str | None = None) -> None:
        """Say that what principals may do has changed: `is_good` returns what one is now, None if it is no longer good, and the
        same one if it has nothing to do with it. With `id`, only those with this id are looked at.

        Call it in the event loop, once authenticators and authorizers already answer so. Exchanges that could not begin any
        more are ended: those of whoever is no longer good, and those of a model that they may no longer use.
        """
        ...

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run background work until the plugin stops. What it raises is logged, counted, and run again with backoff."""
        ...


class Plugin(Generic[SettingsT]):
    """Base of every plugin. Instances are made by the kernel, one a process; hooks are methods of this class.

    api            the plugin API it was written for
    settings_type  Struct of its table in plugins.toml, less `enabled`
    requires       kinds of thing it cannot do without: `store`, `counters`, `jobs`, `sealer`, `authenticator`, or a kind of offer
    defines        kinds of offer that it takes from other plugins, which `context.offers` returns
    announces      events of its own, by name: when each is announced, and its data
    after          names of plugins that come before it when they are enabled; order only
    live           whether it takes new settings while running (`reconfigure`, upon SIGHUP); else they take a restart
    """

    api: ClassVar[int] = API
    settings_type: ClassVar[type[Struct]] = NoSettings
    requires: ClassVar[tuple[str, ...]] = ()
    defines: ClassVar[tuple[OfferKind[Any], ...]] = ()
    announces: ClassVar[Mapping[str, str]] = MappingProxyType({})
    after: ClassVar[tuple[str, ...]] = ()
    live: ClassVar[bool] = False

    def __init__(self, settings: SettingsT, context: Context) -> None:
        self.settings = settings
        self.context = context

    async def start(self) -> None:
        """Get ready to serve. Bounded by `[gateway] plugin_timeout`; raising refuses to boot."""

    async def stop(self) -> None:
        """Let go. Called in reverse order of `start`, also when a later plugin failed to start."""

    def reconfigure(self, settings: SettingsT) -> None:
        """Take new settings while running. Only called where `live` is set, in the event loop, after validation.

        Raising leaves the old settings in force, as far as the plugin saw to it.
        """
        self.settings = settings
