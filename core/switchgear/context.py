"""What the kernel lends to each plugin, and what it needs from the rest of the gateway to do so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from switchgear.ambient import Ambient
from switchgear.background import Background
from switchgear.contracts.counters import Counters
from switchgear.contracts.credential import Sealer
from switchgear.contracts.dry_run import DryRun
from switchgear.contracts.event import Event
from switchgear.contracts.exchange import Target
from switchgear.contracts.inside import CallInside
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.offers import Offered
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import NativeProvider
from switchgear.contracts.provider_access import ProviderAccess
from switchgear.contracts.record import Ledger, RecordKind, Records
from switchgear.contracts.resource import Problem, Resources
from switchgear.contracts.store import Store
from switchgear.contracts.tables import Tables
from switchgear.errors import PluginError
from switchgear.events import EventBus
from switchgear.offer import Offer
from switchgear.plugin_faults import Owner, PluginFaults
from switchgear.resources.shape import decode
from switchgear.telemetry.metrics import Metrics

if TYPE_CHECKING:
    import httpx
    from structlog.typing import FilteringBoundLogger

T = TypeVar("T")

_HEED_S = 3.0
"""How long background work that was cancelled may take to end."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class PluginOffer:
    """The `switchgear.contracts.offers.Offered` of one offer."""

    plugin: str
    offer: Offer[Any]

    def problems(self, settings: Mapping[str, Any], pointer: str = "/settings") -> Sequence[Problem]:
        """Say what is wrong with settings."""
        return [Problem(pointer + it.pointer, it.detail) for it in decode(self.offer.settings_type, settings)[1]]

    def make(self, settings: Mapping[str, Any] | None = None) -> Any:
        """Call the factory with settings."""
        made, problems = decode(self.offer.settings_type, settings or {})
        if problems:
            wrong = "; ".join(f"{it.pointer or '/'}: {it.detail}" for it in problems)
            raise ValueError(f"the settings of `{self.offer.name}`: {wrong}")
        return self.offer.factory(made)


class NotYet(PluginError):
    """A plugin uses something before it exists."""


class MakeClient(Protocol):
    """Makes an HTTP client for cold calls, over the egress guard."""

    def __call__(self, **options: Any) -> "httpx.AsyncClient":
        """Make one; `options` are httpx' own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What exists between `Kernel.boot` and `Kernel.start`: the parts of the gateway that plugins may use."""

    store: Store | None = None
    counters: Counters | None = None
    sealer: Sealer | None = None
    resources: Resources | None = None
    http: MakeClient | None = None
    ledger: Ledger | None = None
    records: Records | None = None
    jobs: JobQueue | None = None
    call: CallInside | None = None
    dry_run: DryRun | None = None
    providers: ProviderAccess | None = None
    target: Callable[[str, str, NativeProvider], Target] | None = None
    principals_changed: Callable[[Callable[[Principal], Principal | None], str | None], None] | None = None


class Shared:
    """What all contexts of one kernel have in common; `services` arrive when they exist."""

    def __init__(
        self, data_dir: Path, ambient: Ambient, metrics: Metrics, own_variables: Callable[[], frozenset[str]]
    ) -> None:
        self.data_dir = data_dir
        self.own_variables = own_variables
        self.ambient = ambient
        self.metrics = metrics
        self.services = Services()
        self.record_kinds: Mapping[str, tuple[str, RecordKind]] = MappingProxyType({})
        """Kinds of record by name, with the plugin that declares each."""
        self.offers: Mapping[str, Mapping[str, Offered[Any]]] | None = None
        """What is offered of each kind that is defined, by name; None until the plugins are bound."""
        self.faults = PluginFaults(metrics)
        self.events = EventBus(metrics, self.failed)
        self.looking = False
        """Whether factories are only called to see what they make."""
        self.wanted: set[Path] = set()
        """Directories that were asked for meanwhile."""

    def make_directories(self) -> None:
        """Make the directories that were asked for while looking: whoever keeps one has use for it now."""
        while self.wanted:
            self.wanted.pop().mkdir(mode=0o700, parents=True, exist_ok=True)

    def failed(self, plugin: str, what: str, how: BaseException | str, offer: str = "") -> None:
        """Count and log a failure under its plugin's name, and that of what the plugin brought."""
        self.faults.note(Owner(plugin, offer), what, how)


class PluginContext:
    """The `switchgear.Context` of one plugin."""

    def __init__(self, plugin: str, requires: tuple[str, ...], shared: Shared) -> None:
        self.plugin = plugin
        self.ambient = shared.ambient
        self.metrics = shared.metrics.owned_by(plugin)
        self._requires = requires
        self._has_directory = False
        self._shared = shared
        self._background = Background(shared.ambient, lambda what, how: shared.failed(plugin, what, how))
        self._clients: list[httpx.AsyncClient] = []
        self._record_kinds: dict[str, RecordKind] = {}

    @cached_property
    def log(self) -> "FilteringBoundLogger":
        """A logger whose every line carries the plugin's name."""
        import structlog  # noqa: PLC0415 - as above

        logger: FilteringBoundLogger = structlog.get_logger()
        return logger.bind(plugin=self.plugin)

    @property
    def data_dir(self) -> Path:
        """The plugin's own directory, made when first asked for, for this user only."""
        path = self._shared.data_dir / self.plugin
        if self._shared.looking:
            self._shared.wanted.add(path)  # whoever only looks at what plugins bring leaves no directory behind
        elif not self._has_directory:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._has_directory = True
        return path

    @property
    def own_variables(self) -> frozenset[str]:
        """The environment variables that settings in plugins.toml are read from."""
        return self._shared.own_variables()

    @property
    def store(self) -> Store:
        """The active store."""
        return self._lend("store", self._shared.services.store)

    @cached_property
    def tables(self) -> Tables:
        """The plugin's own tables."""
        return self.store.tables(self.plugin)

    @property
    def counters(self) -> Counters:
        """The active counters."""
        return self._lend("counters", self._shared.services.counters)

    @property
    def jobs(self) -> JobQueue:
        """The active job queue."""
        return self._lend("jobs", self._shared.services.jobs)

    @property
    def resources(self) -> Resources:
        """The resource engine."""
        return self._existing("resources", self._shared.services.resources)

    @property
    def dry_run(self) -> DryRun:
        """What would become of a request."""
        return self._existing("dry_run", self._shared.services.dry_run)

    @property
    def providers(self) -> ProviderAccess:
        """Providers, to be asked outside of calls."""
        return self._existing("providers", self._shared.services.providers)

    def target(self, id: str, native: NativeProvider) -> Target:
        """Make a target that the plugin answers at itself."""
        return self._existing("target", self._shared.services.target)(self.plugin, id, native)

    @property
    def records(self) -> Records:
        """Records of every kind, to be read."""
        return self._existing("records", self._shared.services.records)

    @property
    def call(self) -> CallInside:
        """Has models called from inside."""
        return self._existing("call", self._shared.services.call)

    def record(self, kind: str, id: str, at_us: int, body: msgspec.Struct | bytes) -> Awaitable[None] | None:
        """Keep a record."""
        declared = self._record_kinds.get(kind) or self._declared(kind)
        if type(body) is not bytes:
            if not isinstance(body, declared.type):
                raise PluginError(
                    f"plugin `{self.plugin}`: records `{kind}` are {declared.type.__name__}, not {body!r}"
                )
            body = _encode(body)
        ledger = self._shared.services.ledger or self._existing("record", None)
        ledger.append(kind, id, at_us, body)
        return ledger.sync() if ledger.durable else None

    def _declared(self, kind: str) -> RecordKind:
        """Return a kind of record of this plugin."""
        owner, declared = self._shared.record_kinds.get(kind, (None, None))
        if owner != self.plugin or declared is None:
            raise PluginError(
                f"plugin `{self.plugin}` keeps records `{kind}`, which it does not declare. Declare them in"
                " `switchgear_record_kinds`."
            )
        self._record_kinds[kind] = declared
        return declared

    def offers(self, kind: str) -> Mapping[str, Offered[Any]]:
        """Return what is offered of a kind."""
        found = self._existing("offers", self._shared.offers)
        if kind not in found:
            raise PluginError(
                f"plugin `{self.plugin}` asks for offers of the kind `{kind}`, which no enabled plugin defines. Define it:"
                f' `defines = (OfferKind("{kind}", …),)`.'
            )
        return found[kind]

    def http(self, **options: Any) -> "httpx.AsyncClient":
        """Make an HTTP client that is closed with the plugin."""
        client = self._existing("http", self._shared.services.http)(**options)
        self._clients.append(client)
        return client

    def emit(self, event: Event) -> None:
        """Announce an event."""
        self._refuse_while_looking("emit")
        self._shared.events.emit(event)

    async def announce(self, event: Event) -> bool:
        """Announce an event, and wait until it was heard."""
        self._refuse_while_looking("announce")
        return await self._shared.events.announce(event)

    @property
    def announced(self) -> Mapping[str, str]:
        """What is announced, by name, and when."""
        return self._shared.events.known

    def principals_changed(self, is_good: Callable[[Principal], Principal | None], *, id: str | None = None) -> None:
        """End what could not begin any more."""
        self._existing("principals_changed", self._shared.services.principals_changed)(is_good, id)

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run supervised background work."""
        self._refuse_while_looking("spawn")
        self._background.spawn(name, work)

    async def close(self, within_s: float) -> None:
        """End background work and close clients; the plugin has stopped."""
        await self._background.stop(min(within_s, _HEED_S))
        while self._clients:
            try:
                await self._clients.pop().aclose()
            except Exception as error:  # noqa: BLE001 - counted and logged; the other clients are closed all the same
                self._shared.failed(self.plugin, "closing an HTTP client", str(error))

    def _refuse_while_looking(self, what: str) -> None:
        if self._shared.looking:
            self._existing(what, None)

    def _lend(self, kind: str, service: T | None) -> T:
        if kind not in self._requires:
            raise PluginError(
                f'plugin `{self.plugin}` uses `context.{kind}` without asking for it. Add `requires = ("{kind}",)` to its class.'
            )
        return self._existing(kind, service)

    def _existing(self, kind: str, service: T | None) -> T:
        if service is None:
            raise NotYet(
                f"plugin `{self.plugin}` uses `context.{kind}` before there is any. Use it in `start` or later, not in hooks; a"
                " command uses that of the plugin in `it.plugins`, in what `switchgear.commands.local` runs."
            )
        return service
