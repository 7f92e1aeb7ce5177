"""The parts of a gateway, made in the order in which they need each other: the ground, what is stored, calls."""

import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog

from switchgear.authority import Authority, Failures
from switchgear.catalogue import Catalogue, token_of
from switchgear.catalogue.attachments import PolicyAttachments
from switchgear.contracts.counters import Counters
from switchgear.contracts.credential import CredentialBackend, Sealer
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.record import Ledger
from switchgear.contracts.resource import ResourceKind
from switchgear.contracts.store import Store
from switchgear.counters import MemoryCounters
from switchgear.counting import check_sorts
from switchgear.credentials import SecretKeeper
from switchgear.doors import open_data_plane, open_dialects
from switchgear.exchange.attachments import Policies
from switchgear.exchange.data_plane import DataPlane
from switchgear.exchange.engine import Engine
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.invoke import Caps
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.outage import HereAlone
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel
from switchgear.no_store import NoStore
from switchgear.offer import Offer
from switchgear.registry import Bound
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.facade import PluginResources
from switchgear.resources.sealing import only_sealer
from switchgear.settings import GatewaySettings
from switchgear.upstream.client import Upstream
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Lookup

T = TypeVar("T")
Announce = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everything stands on: store and way out, secrets, counters, jobs, and what is known of targets."""

    store: Store
    upstream: Upstream
    backends: dict[str, CredentialBackend]
    sealer: Sealer | None
    credentials: SecretKeeper
    counters: Counters | None
    counters_offer: Bound[Offer[Counters]] | None
    jobs: JobQueue | None
    meters: ExchangeMeters
    health: HealthRegistry

    @property
    def has_store(self) -> bool:
        """Whether a plugin offers a store."""
        return not isinstance(self.store, NoStore)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored and comes alive: kinds of resources, and the engine that holds them."""

    catalogue: Catalogue
    attachments: PolicyAttachments
    kinds: list[ResourceKind[Any, Any]]
    engine: ResourceEngine
    face: PluginResources


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What calls go through."""

    authority: Authority
    dialects: list[Dialect]
    policies: Policies
    engine: Engine
    data_plane: DataPlane


async def open_ground(
    kernel: Kernel, settings: GatewaySettings, stack: AsyncExitStack, *, lookup: Lookup | None, announce: Announce
) -> Ground:
    """Open the store and make what the plugins are lent. `stack` closes it. Raises `BootError`, `StoreError`."""
    registry, ambient, metrics = kernel.registry, kernel.ambient, kernel.metrics
    upstream = Upstream(EgressPolicy(settings.egress.allow), ambient, lookup)
    stack.push_async_callback(upstream.close)
    store = await _open_store(kernel, stack)
    backends = {b.item.name: made for b, made in kernel.make_all(Hooks.switchgear_credential_backends)}
    credentials = SecretKeeper(ambient, metrics, structlog.get_logger(), announce=announce, faults=kernel.faults)
    stack.push_async_callback(credentials.close)
    offer = registry.one(Hooks.switchgear_counters, settings.counters)
    return Ground(
        store=store,
        upstream=upstream,
        backends=backends,
        sealer=only_sealer(backends),
        credentials=credentials,
        counters=_made(kernel, offer),
        counters_offer=offer,
        jobs=_made(kernel, registry.one(Hooks.switchgear_job_queues, settings.jobs)),
        meters=ExchangeMeters(metrics),
        health=HealthRegistry(settings.routing, ambient, metrics, announce),
    )


async def _open_store(kernel: Kernel, stack: AsyncExitStack) -> Store:
    bound = kernel.registry.one(Hooks.switchgear_stores)
    if bound is None:
        return cast("Store", NoStore())
    store = kernel.make(bound)
    await store.open(kernel.migrations(store))
    stack.push_async_callback(store.close)
    return store


def _made(kernel: Kernel, bound: Bound[Offer[T]] | None) -> T | None:
    return None if bound is None else kernel.make(bound)


def declare_resources(kernel: Kernel, settings: GatewaySettings, ground: Ground) -> Stored:
    """Put the kernel's kinds of resources and those of plugins together. Nothing is read yet."""
    registry = kernel.registry
    catalogue = Catalogue(
        providers={
            b.item.name: kernel.faults.own(b.item, b.plugin, b.item.name)
            for b in registry.all(Hooks.switchgear_providers)
        },
        backends=ground.backends,
        credentials=ground.credentials,
        connect=ground.upstream.connection,
        timeouts=settings.timeouts,
        verify_tls=settings.upstream.verify_tls,
        meters=ground.meters,
        health=ground.health,
        faults=kernel.faults,
    )
    attachments = PolicyAttachments({b.item.name: b.item for b in registry.all(Hooks.switchgear_policies)})
    kinds = [*catalogue.kinds(), attachments.kind()]
    kinds += (b.item for b in registry.all(Hooks.switchgear_resource_kinds))
    engine = ResourceEngine(ground.store, kinds, kernel.ambient, ground.sealer, settings.model_prefix)
    return Stored(
        catalogue=catalogue,
        attachments=attachments,
        kinds=kinds,
        engine=engine,
        face=PluginResources(engine, kernel.faults),
    )


async def load_resources(kernel: Kernel, ground: Ground, stored: Stored) -> None:
    """Read what is stored, once the plugins have started, and forget secrets of what is deleted from then on."""
    stored.catalogue.price_books = [made for _, made in kernel.make_all(Hooks.switchgear_price_books)]
    if ground.has_store:
        await stored.engine.start()
        for broken in stored.engine.broken.values():
            structlog.get_logger().warning(
                "a resource cannot be used", kind=broken.kind, id=broken.id, reason=broken.reason
            )
    forget = ground.credentials.forget
    stored.face.on_change("credentials", lambda name, live: forget(name) if live is None else None)
    stored.face.on_change("providers", lambda name, live: forget(token_of(name)) if live is None else None)


def connect_calls(kernel: Kernel, settings: GatewaySettings, ground: Ground, stored: Stored, ledger: Ledger) -> Calls:
    """Make what calls go through of what the plugins offer. Raises `PluginError`."""
    log = structlog.get_logger()
    authority = Authority(
        [made for _, made in kernel.make_all(Hooks.switchgear_authenticators)],
        [made for _, made in kernel.make_all(Hooks.switchgear_authorizers)],
        settings.admin_key,
        kernel.faults,
        Failures(settings.failed_credentials / (settings.workers * (settings.replicas or 1)), kernel.ambient),
    )
    dialects = open_dialects(kernel)
    made = kernel.make_all(Hooks.switchgear_policies)
    check_sorts(made, ground.counters, ground.counters_offer)
    policies = Policies(
        [(bound.item.name, policy) for bound, policy in made],
        kernel.metrics,
        log,
        ground.counters,
        kernel.faults,
        None if settings.processes is None else HereAlone(MemoryCounters(kernel.ambient), settings.processes),
    )
    stored.attachments.attachable = policies.attachable
    engine = Engine(
        authority=authority,
        policies=policies,
        ledger=ledger,
        resources=stored.face,
        ambient=kernel.ambient,
        meters=ground.meters,
        log=log,
        caps=Caps(
            body=settings.edge.body_bytes,
            held=settings.edge.held_bytes,
            keep_alive_s=settings.edge.sign_of_life or math.inf,
        ),
        total_timeout_s=settings.timeouts.total,
        routing=settings.routing,
        faults=kernel.faults,
    )
    data_plane = open_data_plane(
        dialects,
        settings,
        engine=engine,
        authority=authority,
        policies=policies,
        ledger=ledger,
        resources=stored.face,
        ambient=kernel.ambient,
        meters=ground.meters,
        log=log,
        faults=kernel.faults,
    )
    return Calls(authority=authority, dialects=dialects, policies=policies, engine=engine, data_plane=data_plane)
