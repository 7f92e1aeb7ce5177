"""What comes in where: dialects' paths, plugins' admin routes and files, and the kernel's own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from switchgear.admin.pages import Files, Page, page_handlers
from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.kernel import UIPage
from switchgear.contracts.record import Ledger
from switchgear.contracts.resource import Resources
from switchgear.errors import PluginError
from switchgear.exchange.attachments import Policies
from switchgear.exchange.cors import Cors
from switchgear.exchange.data_plane import DataPlane
from switchgear.exchange.engine import Engine
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.routes import RouteRunner
from switchgear.hooks import Hooks
from switchgear.inspection import in_dialects
from switchgear.kernel import Kernel
from switchgear.plugin_faults import PluginFaults
from switchgear.registry import Registry
from switchgear.settings import GatewaySettings

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


def open_dialects(kernel: Kernel) -> list[Dialect]:
    """Make every dialect that plugins offer. Raises `PluginError` with everything that is wrong with their paths."""
    made = kernel.make_all(Hooks.switchgear_dialects)
    if failures := list(in_dialects(made)):
        raise PluginError(*failures)
    for bound, dialect in made:
        for entry in (*dialect.inference, *dialect.routes):
            kernel.faults.own(entry, bound.plugin, bound.item.name)
    return [dialect for _, dialect in made]


def open_data_plane(
    dialects: Sequence[Dialect],
    settings: GatewaySettings,
    *,
    engine: Engine,
    authority: Authority,
    policies: Policies,
    ledger: Ledger,
    resources: Resources,
    ambient: Ambient,
    meters: ExchangeMeters,
    log: FilteringBoundLogger,
    faults: PluginFaults,
) -> DataPlane:
    """Make what finds who answers a call, from the parts that are there."""
    routes = RouteRunner(
        engine=engine,
        authority=authority,
        policies=policies,
        ledger=ledger,
        resources=resources,
        ambient=ambient,
        meters=meters,
        log=log,
        total_timeout_s=settings.timeouts.total,
        faults=faults,
    )
    cors = Cors(settings.cors.origins, settings.cors.max_age)
    return DataPlane(dialects=dialects, engine=engine, routes=routes, cors=cors)


def admin_routes(
    registry: Registry,
    own: "Sequence[HTTPRouteHandler]",
    authority: Authority,
    root_path: str = "",
    *,
    pages: bool = True,
) -> "list[HTTPRouteHandler]":
    """Return the kernel's `own` handlers and those of plugins; with `pages`, their pages and files as well."""
    files: dict[str, list[Files]] = {}
    front: tuple[Files, str] | None = None
    for bound in registry.all(Hooks.switchgear_assets) if pages else ():
        found = Files(bound.item.directory)
        files.setdefault(bound.plugin, []).append(found)
        if bound.item.front is not None:
            front = (found, bound.item.front)
    listed = [_page(bound.plugin, bound.item) for bound in registry.all(Hooks.switchgear_ui_pages) if pages]
    brought = (bound.item for bound in registry.all(Hooks.switchgear_routes))
    return [*own, *page_handlers(files, listed, authority, root_path, front), *brought]


def _page(plugin: str, page: UIPage) -> Page:
    needs = (page.kind or "config") if page.needs is None else page.needs
    return Page(plugin, page.slug, page.title, page.module, page.group, page.kind, page.panel, needs)
