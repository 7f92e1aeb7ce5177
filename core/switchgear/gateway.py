"""The whole gateway, put together from what the kernel booted. The one place that knows every part.

`start` makes it ready without opening a socket, `serve` opens one, `stop` undoes `start` in reverse.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from msgspec.structs import asdict

from switchgear.admin.admin import as_written, create_admin_app
from switchgear.admin.configuration import configuration_handlers
from switchgear.admin.front import fronted
from switchgear.admin.system import System
from switchgear.admin.targets import target_handlers
from switchgear.ambient import Ambient
from switchgear.background import Background
from switchgear.catalogue.access import Access
from switchgear.catalogue.own_targets import OwnTargets
from switchgear.composition import Calls, Ground, Stored, connect_calls, declare_resources, load_resources, open_ground
from switchgear.config import Config
from switchgear.context import Services
from switchgear.contracts.event import Event
from switchgear.contracts.kernel import Serving
from switchgear.contracts.principal import Principal
from switchgear.contracts.store import Change, Store
from switchgear.doors import admin_routes
from switchgear.edge.limits import EdgeLimits
from switchgear.edge.overload import Overload
from switchgear.edge.server import bind, listen, serve
from switchgear.exchange.data_plane import DataPlane
from switchgear.exchange.dry_run import DryRuns
from switchgear.exchange.engine import Engine
from switchgear.exchange.inside import InsideCalls
from switchgear.first_run import FIRST_KEY, FirstRun, seed
from switchgear.hooks import Hooks
from switchgear.housekeeping import housekeeping
from switchgear.introspection import introspection_handlers
from switchgear.kernel import Kernel
from switchgear.no_store import NoStore
from switchgear.phrasing import raised
from switchgear.plugin_faults import contained
from switchgear.recording import Recording, Work
from switchgear.reload import LiveConfiguration
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.facade import PluginResources
from switchgear.resources.resolution import resolve
from switchgear.telemetry.siblings import Siblings
from switchgear.upstream.resolve import Lookup

T = TypeVar("T")


class Gateway:
    """One gateway in one process and one event loop. On SIGHUP it takes what `reread` returns for its configuration.

    `lookup` replaces the system's name lookup for outbound calls. Without `pages`, files and pages of plugins are not served.
    One of several workers is given its `listeners`, bound already, and where its `siblings` are, with its own place among them.
    """

    def __init__(
        self,
        config: Config,
        *,
        ambient: Ambient | None = None,
        reread: Callable[[], Config] | None = None,
        lookup: Lookup | None = None,
        pages: bool = True,
        listeners: Sequence[socket.socket] | None = None,
        siblings: tuple[Path, int] | None = None,
    ) -> None:
        self.kernel = Kernel(config, ambient=ambient)
        self.kernel.boot()
        self.settings = config.gateway
        self.first_run: FirstRun | None = None
        self._listeners = None if listeners is None else list(listeners)
        self._siblings = siblings
        self._reread = reread or (lambda: config)
        self._lookup = lookup
        self._pages = pages
        self._ambient = self.kernel.ambient
        self._log = structlog.get_logger()
        self._stack = AsyncExitStack()
        self._system = System(self.kernel.metrics, self._ambient, plugins=len(self.kernel.plugins))
        self._engine: Engine | None = None
        self._app: Any = None
        self._admin: Any = None
        self._calls: DataPlane
        self._inside = InsideCalls()
        self.store: Store
        self.face: PluginResources
        self._configuration: LiveConfiguration
        self._overload: Overload
        self.resources: ResourceEngine
        self.dry_run: DryRuns

    def bind(self) -> None:
        """Take the address that will be served, so that nothing is begun where it is taken. Raises `BootError`."""
        if self._listeners is None:
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

    async def notices(self, serving: Serving) -> AsyncIterator[str]:
        """Yield what plugins have to tell whoever started it, once it serves."""
        for bound in self.kernel.registry.all(Hooks.switchgear_notices):
            try:
                text = await contained(bound.item.tell(serving))
            except Exception as error:  # noqa: BLE001 - counted and logged under the plugin's name; it serves all the same
                self.kernel.failed(bound.plugin, "a notice", raised(error))
            else:
                if text is not None:
                    yield text

    async def stop(self) -> None:
        """Undo `start`: what was acknowledged is in the store or in the journal afterwards."""
        await self._stack.aclose()

    def work(self) -> None:
        """Begin what runs in the background while a gateway serves: the jobs and the periodic work of plugins."""
        self.kernel.run_tasks()

    async def serve(
        self,
        ready: Callable[[int], None],
        stop: asyncio.Event | None = None,
        draining: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until a signal or `stop`, then drain, which `draining` is told of. `ready` gets the bound port."""

        def drain() -> None:
            self._system.drain()
            draining()

        assert self._engine is not None

        def serving(port: int) -> None:
            self._system.serve()
            self.work()
            ready(port)

        refused = self.kernel.metrics.counter("edge_refused", "Requests refused before they were read.", ("code",))
        await serve(
            self._app,
            host=self.settings.host,
            port=self.settings.port,
            sockets=self._listeners,
            limits=EdgeLimits(**asdict(self.settings.edge)),
            grace=self.settings.drain_grace,
            on_drain=drain,
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
        settings, kernel = self.settings, self.kernel
        settings.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        ground = await open_ground(kernel, settings, self._stack, lookup=self._lookup, announce=self._announce)
        self.store = ground.store
        recording = Recording(kernel, settings, ground.store, self._stack)
        await recording.open()
        stored = declare_resources(kernel, settings, ground)
        stored.engine.feed.watch(self._announce_change)
        self.resources, self.face = stored.engine, stored.face
        self.dry_run = DryRuns(partial(resolve, stored.engine))
        await self._start_plugins(ground, stored, recording)
        await load_resources(kernel, ground, stored)

        calls = connect_calls(kernel, settings, ground, stored, recording.journal)
        self._engine, self._calls = calls.engine, calls.data_plane
        self._inside.attach(calls.engine, calls.dialects)
        self.dry_run.attach(calls.dialects, calls.policies, calls.authority)
        await recording.connect()
        if self._siblings is not None:
            others = Siblings(*self._siblings, settings.workers, kernel.metrics, self._ambient.monotonic)
            await others.start()
            self._stack.push_async_callback(others.close)
            self._system.siblings = others
        self._overload = Overload(
            settings.overload, ambient=self._ambient, dialects=calls.dialects, metrics=kernel.metrics
        )
        self._open_admin(ground, stored, calls, recording)
        if ground.has_store:
            self._begin(
                ("resources", stored.engine.follow),
                ("what is broken", stored.engine.feed.keep_trying),
                ("certificates", ground.upstream.follow),
                ("housekeeping", lambda: housekeeping(ground.store, ground.jobs, self._ambient)),
                *recording.work(),
            )

    async def _start_plugins(self, ground: Ground, stored: Stored, recording: Recording) -> None:
        await self.kernel.start(
            Services(
                store=ground.store,
                counters=ground.counters,
                sealer=ground.sealer,
                resources=stored.face,
                http=ground.upstream.http,
                principals_changed=self._principals_changed,
                ledger=recording.journal,
                records=recording.records,
                jobs=ground.jobs,
                call=self._inside,
                dry_run=self.dry_run,
                providers=Access(lambda: stored.face.snapshot, stored.catalogue.stand_in),
                target=OwnTargets(ground.meters, ground.health, self.settings.timeouts).make,
            )
        )
        self._stack.push_async_callback(self.kernel.stop)

    def _open_admin(self, ground: Ground, stored: Stored, calls: Calls, recording: Recording) -> None:
        """Make the admin side: routes of resources, of plugins, and of the gateway itself."""
        kernel = self.kernel
        self._configuration = LiveConfiguration(
            self.kernel,
            stored.engine,
            self._reread,
            self._ambient,
            has_store=ground.has_store,
            read_files_again=ground.upstream.read_again,
        )
        self._system.attach(
            store=ground.store,
            resources=stored.engine,
            journal=recording.journal,
            credentials=ground.credentials,
            engine=calls.engine,
            targets=ground.health,
            overload=self._overload,
            sinks=recording.sinks,
            why_not_recorded=recording.why_not,
        )
        own = [
            *target_handlers(ground.health),
            *configuration_handlers(self._configuration),
            *introspection_handlers(kernel, ground.backends),
            *self._system.handlers(),
        ]
        admin = create_admin_app(
            stored.engine,
            authority=calls.authority,
            extra_handlers=admin_routes(
                kernel.registry, own, calls.authority, self.settings.root_path, pages=self._pages
            ),
            dialects=calls.dialects,
            root_path=self.settings.root_path,
            faults=self.kernel.faults,
        )
        self._admin = admin
        self._app = fronted(as_written(admin, self.settings.root_path), self.kernel.faults)

    def _begin(self, *work: Work) -> None:
        """Begin the background work of a gateway that has a store."""
        background = Background(
            self._ambient,
            lambda what, how: self._log.error(
                "background work failed", what=what, error=how if isinstance(how, str) else raised(how)
            ),
        )
        for name, run in work:
            background.spawn(name, run)
        self._stack.push_async_callback(background.stop, 5.0)

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
