"""Whether the gateway lives, is ready, is well, and its metrics: `/live /ready /health /health/detailed /metrics`."""

from enum import StrEnum
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from switchgear.contracts.store import Store
from switchgear.credentials import SecretKeeper
from switchgear.edge.overload import Overload
from switchgear.errors import StoreError
from switchgear.exchange.engine import Engine
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.ledger.journal import Journal
from switchgear.resources.engine import ResourceEngine
from switchgear.telemetry.metrics import Metrics
from switchgear.telemetry.watchdog import stalls

_OPEN = {"action": "read", "resource": "system", "public": True}
_FAILING = ("failing", "unavailable", "refused")
"""What is wrong with a credential for everybody; that something is forbidden may be about one request."""
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class System:
    """The state behind the health endpoints."""

    def __init__(self, metrics: Metrics, *, plugins: int) -> None:
        self._metrics = metrics
        self._plugins = plugins
        self._phase = Phase.STARTING

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
    ) -> None:
        """Look at these from now on."""
        self._store = store
        self._resources = resources
        self._journal = journal
        self._credentials = credentials
        self._engine = engine
        self._targets = targets
        self._overload = overload

    async def detail(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what each part says of itself."""
        store = "ok"
        try:
            await self._store.ping()
        except StoreError as error:
            store = str(error)
        credentials = self._credentials.states()
        broken = [{"kind": b.kind, "id": b.id, "reason": b.reason} for b in self._resources.broken.values()]
        journal = {"has_room": self._journal.has_room, "depth": self._journal.depth}
        failing = [state for state in credentials if state.status in _FAILING]
        well = store == "ok" and self._journal.has_room and not failing and not broken
        return well, {
            "status": "ok" if well else "degraded",
            "phase": self._phase,
            "store": store,
            "journal": journal,
            "credentials": [msgspec.to_builtins(state) for state in credentials],
            "broken_resources": broken,
            "targets": [msgspec.to_builtins(view) for view in self._targets.views()],
            "exchanges_in_flight": self._engine.running,
            "overload": self._overload.view(),
            "event_loop_stalls": {plugin: stall.value for (plugin,), stall in stalls(self._metrics).children.items()},
            "revision": self._resources.snapshot.revision,
            "plugins_enabled": self._plugins,
        }

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
            except StoreError:
                return Response({"status": "store unavailable"}, status_code=503)
            return Response({"status": "ok"})

        @get("/health", opt=_OPEN, summary="Whether all is well, in a word")
        async def health() -> Response[dict[str, str]]:
            well, detail = await self.detail()
            return Response({"status": detail["status"]}, status_code=200 if well else 503)

        @get("/health/detailed", opt={"action": "read", "resource": "health"}, summary="How each part is")
        async def detailed() -> Response[dict[str, Any]]:
            well, detail = await self.detail()
            return Response(detail, status_code=200 if well else 503)

        @get("/metrics", opt=_OPEN, sync_to_thread=False, summary="Prometheus metrics")
        def metrics() -> Response[bytes]:
            return Response(self._metrics.expose(), media_type=_METRICS)

        return [live, ready, health, detailed, metrics]
