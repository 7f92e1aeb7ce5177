"""The whole gateway, put together from what the kernel booted. The one place that knows every part.

`start` makes it ready without opening a socket, `serve` opens one, `stop` undoes `start` in reverse.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

import structlog
from msgspec.structs import asdict

from switchgear.admin.admin import as_written, create_admin_app
from switchgear.admin.configuration import configuration_handlers
from switchgear.admin.discovery import discovery_handlers
from switchgear.admin.front import fronted
from switchgear.admin.system import System
from switchgear.admin.targets import target_handlers
from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.background import Background
from switchgear.catalogue import Catalogue, token_of
from switchgear.catalogue.attachments import PolicyAttachments
from switchgear.catalogue.discovery import Discovery
from switchgear.config import Config
from switchgear.context import Services
from switchgear.contracts.credential import CredentialBackend
from switchgear.contracts.event import Event
from switchgear.contracts.principal import Principal
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import Change, Store
from switchgear.counting import check_sorts
from switchgear.credentials import SecretKeeper
from switchgear.doors import admin_routes, open_data_plane, open_dialects
from switchgear.edge.limits import EdgeLimits
from switchgear.edge.overload import Overload
from switchgear.edge.server import bind, listen, serve
from switchgear.exchange.attachments import Policies
from switchgear.exchange.data_plane import DataPlane
from switchgear.exchange.dry_run import DryRuns
from switchgear.exchange.engine import Engine
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.inside import InsideCalls
from switchgear.exchange.invoke import Caps
from switchgear.exchange.meters import ExchangeMeters
from switchgear.first_run import FIRST_KEY, FirstRun, seed
from switchgear.hooks import Hooks
from switchgear.housekeeping import housekeeping
from switchgear.kernel import Kernel
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear.ledger.retention import Retention
from switchgear.ledger.sinks import Forwarding, Offered, Outlet
from switchgear.ledger.stored import StoredRecords
from switchgear.no_store import NoStore
from switchgear.offer import Offer
from switchgear.registry import Bound
from switchgear.reload import LiveConfiguration
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.face import PluginResources
from switchgear.resources.resolution import resolve
from switchgear.resources.sealing import only_sealer
from switchgear.upstream.client import Upstream
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Lookup

T = TypeVar("T")


class Gateway:
    """One gateway in one process and one event loop. On SIGHUP it takes what `reread` returns for its configuration.

    `lookup` replaces the system's name lookup for outbound calls.
    """

    def __init__(
        self,
        config: Config,
        *,
        ambient: Ambient | None = None,
        reread: Callable[[], Config] | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self.kernel = Kernel(config, ambient=ambient)
        self.kernel.boot()
        self.settings = config.gateway
        self.first_run: FirstRun | None = None
        self._listeners: list[socket.socket] | None = None
        self._reread = reread or (lambda: config)
        self._lookup = lookup
        self._ambient = self.kernel.ambient
        self._log = structlog.get_logger()
        self._stack = AsyncExitStack()
        self._system = System(self.kernel.metrics, self._ambient, plugins=len(self.kernel.plugins))
        self._engine: Engine | None = None
        self._app: Any = None
        self._calls: DataPlane
        self._drain: Drain | None = None
        self._inside = InsideCalls()
        self.store: Store
        self.face: PluginResources
        self._configuration: LiveConfiguration
        self._overload: Overload
        self.resources: ResourceEngine
        self.dry_run: DryRuns

    def bind(self) -> None:
        """Take the address that will be served, so that nothing is begun where it is taken. Raises `BootError`."""
        self._listeners = bind(self.settings.host, self.settings.port)
        for listener in self._listeners:
            self._stack.callback(listener.close)

    async def start(self, *, first_run: bool = False) -> None:
        """Open the store and the journal, start the plugins, load the configuration. Raises `BootError`, `StoreError`.

        With `first_run`, a store that never held anything is filled with what the plugins bring for newcomers.
        """
        try:
            await self._start()
            if first_run and self._has_store:
                listen(self._listeners or ())
                seeds = [bound.item for bound in self.kernel.registry.all(Hooks.switchgear_first_run)]
                self.first_run = await seed(self.store, self.resources, seeds, self.settings.data_path / FIRST_KEY)
        except BaseException:
            await self.stop()
            raise

    @property
    def exchanges_in_flight(self) -> int:
        """How many requests are being answered."""
        return 0 if self._engine is None else self._engine.running

    @property
    def _has_store(self) -> bool:
        return not isinstance(self.store, NoStore)

    async def stop(self) -> None:
        """Undo `start`: what was acknowledged is in the store or in the journal afterwards."""
        await self._stack.aclose()

    async def serve(self, ready: Callable[[int], None], stop: asyncio.Event | None = None) -> None:
        """Serve until a signal or `stop`, then drain. `ready` gets the bound port."""
        assert self._engine is not None

        def serving(port: int) -> None:
            self._system.serve()
            self.kernel.run_tasks()
            ready(port)

        refused = self.kernel.metrics.counter("edge_refused", "Requests refused before they were read.", ("code",))
        await serve(
            self._app,
            host=self.settings.host,
            port=self.settings.port,
            sockets=self._listeners,
            limits=EdgeLimits(**asdict(self.settings.edge)),
            grace=self.settings.drain_grace,
            on_drain=self._system.drain,
            abort_streams=self._engine.stop_all,
            ready=serving,
            on_hangup=self._configuration.on_hangup,
            overload=self._overload,
            on_refused=lambda code: refused.child(code).inc(),
            stop=stop,
            ambient=self._ambient,
            calls=self._calls,
            root_path=self.settings.root_path,
        )

    async def _start(self) -> None:
        settings, kernel, stack = self.settings, self.kernel, self._stack
        registry, metrics, ambient = kernel.registry, kernel.metrics, self._ambient
        settings.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)

        upstream = Upstream(EgressPolicy(settings.egress.allow), ambient, self._lookup)
        stack.push_async_callback(upstream.close)
        store = self.store = await self._open_store()
        backends = {b.item.name: b.item.factory() for b in registry.all(Hooks.switchgear_credential_backends)}
        sealer = only_sealer(backends)
        credentials = SecretKeeper(ambient, metrics, self._log, announce=self._announce)
        stack.push_async_callback(credentials.close)
        meters = ExchangeMeters(metrics)
        health = HealthRegistry(settings.routing, ambient, metrics, self._announce)
        catalogue = self._catalogue(backends, credentials, upstream, meters, health)
        attachments = PolicyAttachments({b.item.name: b.item for b in registry.all(Hooks.switchgear_policies)})
        kinds = [*catalogue.kinds(), attachments.kind()]
        kinds += (b.item for b in registry.all(Hooks.switchgear_resource_kinds))
        resources = self.resources = ResourceEngine(store, kinds, ambient, sealer, settings.model_prefix)
        resources.feed.watch(self._announce_change)
        face = self.face = PluginResources(resources)
        self.dry_run = DryRuns(partial(resolve, resources))
        offered = registry.one(Hooks.switchgear_counters, settings.counters)
        counters, jobs = _made(offered), _made(registry.one(Hooks.switchgear_job_queues, settings.jobs))
        record_kinds = {b.item.name: b.item for b in registry.all(Hooks.switchgear_record_kinds)}
        records, journal = StoredRecords(store, self._catch_up), await self._open_journal()
        await kernel.start(
            Services(
                store=store,
                counters=counters,
                sealer=sealer,
                resources=face,
                http=upstream.http,
                principals_changed=self._principals_changed,
                ledger=journal,
                records=records,
                jobs=jobs,
                call=self._inside,
                dry_run=self.dry_run,
            )
        )
        stack.push_async_callback(kernel.stop)
        catalogue.price_books = [b.item.factory() for b in registry.all(Hooks.switchgear_price_books)]
        await self._load_resources(credentials)

        authority = self._authority()
        dialects = open_dialects(registry)
        made = [(bound, bound.item.factory()) for bound in registry.all(Hooks.switchgear_policies)]
        check_sorts(made, counters, offered)
        policies = Policies([(bound.item.name, policy) for bound, policy in made], metrics, self._log, counters)
        attachments.attachable = policies.attachable
        outlets = await self._open_outlets(record_kinds)
        drain = self._drain = Drain(journal, Forwarding(store, outlets) if outlets else store, ambient)
        stack.push_async_callback(drain.drain_now)
        engine = self._engine = Engine(
            authority=authority,
            policies=policies,
            ledger=journal,
            resources=face,
            ambient=ambient,
            meters=meters,
            log=self._log,
            caps=Caps(body=settings.edge.body_bytes),
            total_timeout_s=settings.timeouts.total,
            routing=settings.routing,
        )
        self._inside.attach(engine, dialects)
        self._calls = open_data_plane(
            dialects,
            settings,
            engine=engine,
            authority=authority,
            policies=policies,
            ledger=journal,
            resources=face,
            ambient=ambient,
            meters=meters,
            log=self._log,
        )
        self.dry_run.attach(dialects, policies, authority)
        self._configuration = LiveConfiguration(
            kernel, resources, self._reread, ambient, has_store=self._has_store, read_files_again=upstream.read_again
        )
        self._overload = Overload(settings.overload, ambient=ambient, dialects=dialects, metrics=metrics)
        self._system.attach(
            store=store,
            resources=resources,
            journal=journal,
            credentials=credentials,
            engine=engine,
            targets=health,
            overload=self._overload,
        )
        own = [
            *discovery_handlers(Discovery(lambda: face.snapshot, ambient, catalogue.stand_in)),
            *target_handlers(health),
            *configuration_handlers(self._configuration),
            *self._system.handlers(),
        ]
        admin = create_admin_app(
            resources,
            authority=authority,
            extra_handlers=admin_routes(registry, kinds, own, settings.root_path),
            dialects=dialects,
            root_path=settings.root_path,
        )
        self._app = fronted(as_written(admin, settings.root_path))
        self._begin(
            ("resources", resources.follow),
            ("what is broken", resources.feed.keep_trying),
            ("certificates", upstream.follow),
            ("journal", drain.run),
            *(("record sink", outlet.drain.run) for outlet in outlets),
            ("housekeeping", lambda: housekeeping(store, jobs, ambient)),
            ("retention", Retention(store, record_kinds.values(), ambient).run),
        )

    def _begin(self, *work: tuple[str, Callable[[], Awaitable[None]]]) -> None:
        """Begin the background work of a gateway that has a store."""
        background = Background(
            self._ambient, lambda what, how: self._log.error("background work failed", what=what, error=how)
        )
        for name, run in work if self._has_store else ():
            background.spawn(name, run)
        self._stack.push_async_callback(background.stop, 5.0)

    async def _load_resources(self, credentials: SecretKeeper) -> None:
        if self._has_store:
            await self.resources.start()
            for broken in self.resources.broken.values():
                self._log.warning("a resource cannot be used", kind=broken.kind, id=broken.id, reason=broken.reason)

        self.face.on_change("credentials", lambda name, live: credentials.forget(name) if live is None else None)
        self.face.on_change(
            "providers", lambda name, live: credentials.forget(token_of(name)) if live is None else None
        )

    def _catalogue(
        self,
        backends: Mapping[str, CredentialBackend],
        credentials: SecretKeeper,
        upstream: Upstream,
        meters: ExchangeMeters,
        health: HealthRegistry,
    ) -> Catalogue:
        return Catalogue(
            providers={b.item.name: b.item for b in self.kernel.registry.all(Hooks.switchgear_providers)},
            backends=backends,
            credentials=credentials,
            connect=upstream.connection,
            timeouts=self.settings.timeouts,
            verify_tls=self.settings.upstream.verify_tls,
            meters=meters,
            health=health,
        )

    def _authority(self) -> Authority:
        registry = self.kernel.registry
        return Authority(
            [b.item.factory() for b in registry.all(Hooks.switchgear_authenticators)],
            [b.item.factory() for b in registry.all(Hooks.switchgear_authorizers)],
            self.settings.admin_key,
        )

    def _principals_changed(self, is_good: Callable[[Principal], Principal | None], id: str | None) -> None:
        if self._engine is not None:
            self._engine.in_flight.principals_changed(is_good, id)

    def _announce(self, name: str, data: dict[str, Any]) -> None:
        self.kernel.events.emit(Event(name, self._ambient.now_us(), data))

    def _announce_change(self, change: Change) -> None:
        self._announce(
            f"{change.kind}.{'deleted' if change.deleted else 'changed'}",
            {"id": change.id, "revision": change.revision},
        )

    async def _open_store(self) -> Store:
        bound = self.kernel.registry.one(Hooks.switchgear_stores)
        if bound is None:
            return cast("Store", NoStore())
        store = bound.item.factory()
        await store.open(self.kernel.migrations)
        self._stack.push_async_callback(store.close)
        return store

    def _journal(self, *folder: str) -> Journal:
        settings = self.settings.journal
        return Journal(
            self.settings.data_path.joinpath(*folder),
            f"{os.getpid()}-{self._ambient.new_id()[:12]}",
            segment_bytes=settings.segment_bytes,
            cap_bytes=settings.cap_bytes,
            durability=settings.durability,
        )

    async def _open_outlets(self, kinds: Mapping[str, RecordKind]) -> list[Outlet]:
        outlets: list[Outlet] = []
        for bound in self.kernel.registry.all(Hooks.switchgear_record_sinks):
            name = bound.item.name
            journal = self._journal("sinks", quote(name, safe=""))
            await journal.open()
            offered = Offered(name, bound.item.factory(), kinds, partial(self.kernel.failed, bound.plugin))
            outlet = Outlet(offered, journal, Drain(journal, offered, self._ambient))
            self._stack.push_async_callback(outlet.close, self.settings.plugin_timeout)
            outlets.append(outlet)
        return outlets

    async def _catch_up(self) -> None:
        if self._drain is not None:
            await self._drain.drain_now()

    async def _open_journal(self) -> Journal:
        journal = self._journal("journal")
        await journal.open()
        self._stack.push_async_callback(journal.close)
        self.kernel.metrics.observe_with("journal_depth", "Records not yet in the store.", lambda: journal.depth)
        return journal


def _made(bound: Bound[Offer[T]] | None) -> T | None:
    return None if bound is None else bound.item.factory()
