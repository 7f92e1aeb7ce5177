"""What the kernel lends to a plugin, for tests that run one plugin without a kernel."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.event import EVENTS
from switchgear.errors import PluginError
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import FixedAmbient

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
    from switchgear.contracts.record import Ledger, Records
    from switchgear.contracts.resource import Resources
    from switchgear.contracts.store import Store
    from switchgear.contracts.tables import Tables
    from switchgear.offer import Offer


class PluginContext:
    """A `Context` over a directory and whatever store, counters, records and resource engine the test gives.

    `recorded` keeps what the plugin recorded, as (kind, id, at_us, members), which `ledger` may refuse; `events` what it
    emitted, `changes` what it said of principals that changed (predicate, id), `spawned` the background work it asked for,
    which the test runs itself.
    """

    def __init__(
        self,
        plugin: str,
        data_dir: Path,
        *,
        ambient: FixedAmbient | None = None,
        store: "Store | None" = None,
        counters: "Counters | None" = None,
        resources: "Resources | None" = None,
        records: "Records | None" = None,
        ledger: "Ledger | None" = None,
        jobs: "JobQueue | None" = None,
        call: "CallInside | None" = None,
        dry_run: "DryRun | None" = None,
        providers: "ProviderAccess | None" = None,
        offers: "Sequence[Offer[Any]]" = (),
    ) -> None:
        self.plugin = plugin
        self.data_dir = data_dir
        self.own_variables: frozenset[str] = frozenset()
        self.ambient = ambient or FixedAmbient()
        self.metrics = Metrics()
        self.events: list[Event] = []
        self.changes: list[tuple[Callable[[Principal], Principal | None], str | None]] = []
        self.spawned: dict[str, Callable[[], Awaitable[None]]] = {}
        self._store = store
        self._counters = counters
        self._resources = resources
        self._records = records
        self._ledger = ledger
        self._jobs = jobs
        self._call = call
        self._dry_run = dry_run
        self._providers = providers
        self._offers = offers
        self.recorded: list[tuple[str, str, int, dict[str, Any]]] = []
        self._log: FilteringBoundLogger | None = None

    @property
    def log(self) -> "FilteringBoundLogger":
        """A logger to stderr, as the gateway's would be."""
        if self._log is None:
            from switchgear.telemetry.logs import Logs  # noqa: PLC0415 - most plugins under test log nothing

            self._log = Logs().logger(plugin=self.plugin)
        return self._log

    @property
    def store(self) -> "Store":
        """The store the test gave."""
        if self._store is None:
            raise PluginError(f"{self.plugin} asked for a store; give PluginContext one")
        return self._store

    @property
    def tables(self) -> "Tables":
        """The plugin's tables in the store the test gave, which it opened with the plugin's migrations."""
        return self.store.tables(self.plugin)

    @property
    def counters(self) -> "Counters":
        """The counters the test gave."""
        if self._counters is None:
            raise PluginError(f"{self.plugin} asked for counters; give PluginContext some")
        return self._counters

    @property
    def jobs(self) -> "JobQueue":
        """The job queue the test gave."""
        if self._jobs is None:
            raise PluginError(f"{self.plugin} asked for jobs; give PluginContext a queue")
        return self._jobs

    @property
    def resources(self) -> "Resources":
        """The resource engine the test gave."""
        if self._resources is None:
            raise PluginError(f"{self.plugin} asked for resources; give PluginContext an engine")
        return self._resources

    @property
    def dry_run(self) -> "DryRun":
        """The dry run the test gave."""
        if self._dry_run is None:
            raise PluginError(f"{self.plugin} asked for a dry run; give PluginContext one")
        return self._dry_run

    @property
    def providers(self) -> "ProviderAccess":
        """The providers the test gave."""
        if self._providers is None:
            raise PluginError(f"{self.plugin} asked for providers; give PluginContext some")
        return self._providers

    @property
    def records(self) -> "Records":
        """The records the test gave."""
        if self._records is None:
            raise PluginError(f"{self.plugin} asked for records; give PluginContext some (a store has them)")
        return self._records

    @property
    def call(self) -> "CallInside":
        """What makes calls from inside, as the test gave it."""
        if self._call is None:
            raise PluginError(f"{self.plugin} has models called; give PluginContext a `call`")
        return self._call

    def target(self, id: str, native: "NativeProvider") -> "Target":  # noqa: ARG002 - the contract's shape
        """Refuse: only a gateway makes targets."""
        raise PluginError(f"{self.plugin} answers to names; try it in a whole gateway (the fixture `gateway`)")

    def record(self, kind: str, id: str, at_us: int, body: "msgspec.Struct | bytes") -> Awaitable[None] | None:
        """Keep the record in `recorded`, and in the ledger if the test gave one."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        flushing = None
        if self._ledger is not None:
            self._ledger.append(kind, id, at_us, data)
            flushing = self._ledger.sync() if self._ledger.durable else None
        self.recorded.append((kind, id, at_us, msgspec.json.decode(data)))
        return flushing

    def offers(self, kind: str) -> "Mapping[str, Offered[Any]]":
        """Return those that the test gave of a kind."""
        from switchgear.context import PluginOffer  # noqa: PLC0415 - most plugins under test take no offers

        return {it.name: PluginOffer("test", it) for it in self._offers if it.kind == kind}

    def http(self, **options: Any) -> "httpx.AsyncClient":
        """Make a client as the gateway does, which may call loopback and nothing else that is private. The test closes it."""
        from switchgear.upstream.client import Upstream  # noqa: PLC0415 - most plugins under test call nobody
        from switchgear.upstream.egress import EgressPolicy  # noqa: PLC0415 - likewise

        return Upstream(EgressPolicy(("127.0.0.0/8", "::1/128")), Ambient()).http(**options)

    def emit(self, event: "Event") -> None:
        """Keep the event in `events`."""
        self.events.append(event)

    async def announce(self, event: "Event") -> bool:
        """Keep the event in `events`."""
        self.events.append(event)
        return True

    @property
    def announced(self) -> Mapping[str, str]:
        """Return what the kernel announces: there is no other plugin."""
        return EVENTS

    def principals_changed(self, is_good: "Callable[[Principal], Principal | None]", *, id: str | None = None) -> None:
        """Keep it in `changes`."""
        self.changes.append((is_good, id))

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep the work in `spawned`."""
        self.spawned[name] = work
