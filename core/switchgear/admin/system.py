"""Whether the gateway lives, is ready, is well, and its metrics: `/live /ready /health /health/detailed /metrics`."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from switchgear.ambient import Ambient
from switchgear.contracts.store import Store, Writable
from switchgear.credentials import SecretKeeper
from switchgear.edge.overload import Overload
from switchgear.errors import StoreError
from switchgear.exchange.engine import Engine
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.ledger.journal import Journal
from switchgear.ledger.sinks import SinkState
from switchgear.resources.engine import ResourceEngine
from switchgear.telemetry.metrics import Metrics
from switchgear.telemetry.siblings import Siblings
from switchgear.telemetry.watchdog import stalls

T = TypeVar("T")
_OPEN = {"action": "read", "resource": "system", "public": True}
_FAILING = ("failing", "unavailable", "refused")
"""What is wrong with a credential for everybody; that something is forbidden may be about one request."""
_METRICS = "text/plain; version=0.0.4"
_WRITE_WITHIN_S = 1.0
_WRITE_EVERY_S = 1.0
_REST = 10
"""An open answer is told again for ten times as long as it took to make, so that asking takes a tenth of the loop at most."""


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Kept(Generic[T]):
    """An answer that is made anew only after a rest that grows with what making it took."""

    def __init__(self, make: Callable[[], T], monotonic: Callable[[], float]) -> None:
        self._make = make
        self._monotonic = monotonic
        self._until = float("-inf")
        self._answer: T

    def get(self) -> T:
        """Return it."""
        began = self._monotonic()
        if began >= self._until:
            self._answer = self._make()
            ended = self._monotonic()
            self._until = ended + _REST * (ended - began)
        return self._answer


class System:
    """The state behind the health endpoints."""

    def __init__(self, metrics: Metrics, ambient: Ambient, *, plugins: int) -> None:
        self._metrics = metrics
        self._ambient = ambient
        self._exposed = Kept(metrics.expose, ambient.monotonic)
        self._parts = Kept(self._look, ambient.monotonic)
        self._writing: asyncio.Task[None] | None = None
        self._wrote: tuple[float, str] = (float("-inf"), "ok")
        self._plugins = plugins
        self._phase = Phase.STARTING
        self.siblings: Siblings | None = None
        """The other workers of this gateway, where there are some."""

    def serve(self) -> None:
        """The socket is open."""
        self._phase = Phase.SERVING

    def drain(self) -> None:
        """Shutdown has begun."""
        self._phase = Phase.DRAINING

    def attach(
        self,
        *,
        store: Store,
        resources: ResourceEngine,
        journal: Journal,
        credentials: SecretKeeper,
        engine: Engine,
        targets: HealthRegistry,
        overload: Overload,
        sinks: Callable[[], Sequence[SinkState]] = tuple,
        why_not_recorded: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Look at these from now on."""
        self._sinks = sinks
        self._why_not_recorded = why_not_recorded
        self._store = store
        self._resources = resources
        self._journal = journal
        self._credentials = credentials
        self._engine = engine
        self._targets = targets
        self._overload = overload

    async def detail(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what each part says of itself."""
        store = await self._store_state()
        credentials = self._credentials.states()
        broken = [{"kind": b.kind, "id": b.id, "reason": b.reason} for b in self._resources.broken.values()]
        journal = {
            "has_room": self._journal.has_room,
            "depth": self._journal.depth,
            "failing": self._why_not_recorded(),
        }
        well = store == "ok" and not self._look()
        return well, {
            "status": "ok" if well else "degraded",
            "phase": self._phase,
            "store": store,
            "journal": journal,
            "record_sinks": [msgspec.to_builtins(state) for state in self._sinks()],
            "credentials": [msgspec.to_builtins(state) for state in credentials],
            "broken_resources": broken,
            "targets": [msgspec.to_builtins(view) for view in self._targets.views()],
            "exchanges_in_flight": self._engine.running,
            "overload": self._overload.view(),
            "event_loop_stalls": {plugin: stall.value for (plugin,), stall in stalls(self._metrics).children.items()},
            "revision": self._resources.snapshot.revision,
            "plugins_enabled": self._plugins,
        }

    async def is_well(self) -> bool:
        """Say whether all is well; what costs something to find out is remembered for a moment."""
        return not self._parts.get() and await self._store_state() == "ok"

    def _look(self) -> bool:
        """Say whether something besides the store is not as it should be."""
        return (
            not self._journal.has_room
            or self._why_not_recorded() is not None
            or any(state.status != "ok" for state in self._sinks())
            or bool(self._resources.broken)
            or any(state.status in _FAILING for state in self._credentials.states())
        )

    async def _store_state(self) -> str:
        """Return `ok`, or what keeps the store from being read or written; a write is tried once a second at most."""
        try:
            await self._store.ping()
        except Exception as error:  # noqa: BLE001 - whatever it is, the store is not well
            return _said(error)
        if isinstance(self._store, Writable):
            now = self._ambient.monotonic()
            if self._writing is None and now >= self._wrote[0] + _WRITE_EVERY_S:
                self._writing = asyncio.create_task(self._try_write(self._store))
            if self._writing is not None:
                await asyncio.wait({self._writing}, timeout=_WRITE_WITHIN_S)
                if self._writing is not None and not self._overload.shedding:  # then everything is late, not the store
                    return f"a write did not get through within {_WRITE_WITHIN_S:g} s: something holds the store"
        return self._wrote[1]

    async def _try_write(self, store: Writable) -> None:
        try:
            await store.try_write()
            state = "ok"
        except Exception as error:  # noqa: BLE001 - as above
            state = _said(error)
        self._wrote = (self._ambient.monotonic(), state)
        self._writing = None

    def handlers(self) -> list[HTTPRouteHandler]:
        """Make the routes. All but `/health/detailed` are open: they say nothing of anybody."""

        @get(
            "/live",
            opt=_OPEN,
            sync_to_thread=False,
            summary="Whether the process lives",
        )
        def live() -> dict[str, str]:
            return {"status": "ok"}

        @get("/ready", opt=_OPEN, summary="Whether it should be sent requests")
        async def ready() -> Response[dict[str, str]]:
            if self._phase is not Phase.SERVING:
                return Response({"status": str(self._phase)}, status_code=503)
            try:
                await self._store.ping()
            except Exception:  # noqa: BLE001 - why is in /health/detailed
                return Response({"status": "store unavailable"}, status_code=503)
            if not self._journal.has_room:  # every call would be refused
                return Response({"status": "journal full"}, status_code=503)
            return Response({"status": "ok"})

        @get("/health", opt=_OPEN, summary="Whether all is well, in a word")
        async def health() -> Response[dict[str, str]]:
            well = await self.is_well()
            return Response({"status": "ok" if well else "degraded"}, status_code=200 if well else 503)

        @get("/health/detailed", opt={"action": "read", "resource": "health"}, summary="How each part is")
        async def detailed() -> Response[dict[str, Any]]:
            well, detail = await self.detail()
            return Response(detail, status_code=200 if well else 503)

        @get("/metrics", opt=_OPEN, summary="Prometheus metrics")
        async def metrics() -> Response[bytes]:
            text = self._exposed.get() if self.siblings is None else await self.siblings.expose()
            return Response(text, media_type=_METRICS)

        return [live, ready, health, detailed, metrics]


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, StoreError) else f"it raised {type(error).__name__}"
