"""What comes in where, checked before anything is served: dialects' paths, plugins' admin routes, and the kernel's own.

A path that two would answer, or one of the kernel's, refuses to start, naming who is in whose way.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from structlog.typing import FilteringBoundLogger

from switchgear.admin.pages import Files, Page, page_handlers
from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.record import Ledger
from switchgear.contracts.resource import ResourceKind, Resources
from switchgear.errors import PluginError
from switchgear.exchange.attachments import Policies
from switchgear.exchange.cors import Cors
from switchgear.exchange.data_plane import DataPlane
from switchgear.exchange.engine import Engine
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.routes import RouteRunner
from switchgear.hooks import Hooks
from switchgear.paths import PathPattern
from switchgear.phrasing import raised
from switchgear.plugin_faults import PluginFaults
from switchgear.registry import Bound, Registry
from switchgear.settings import GatewaySettings

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_ADMIN = "/admin/v1"
_KERNEL = frozenset({"admin", "docs", "health", "live", "metrics", "openapi.json", "ready", "redoc", "ui"})
"""First segments of the kernel's own paths."""
_METHOD = re.compile(r"[A-Z]{3,16}")

Entry = InferenceEndpoint | Route | WebSocketRoute


def open_dialects(registry: Registry, faults: PluginFaults) -> list[Dialect]:
    """Make every dialect that plugins offer. Raises `PluginError` with everything that is wrong with their paths."""
    failures: list[str] = []
    made: list[tuple[Bound[Any], Dialect]] = []
    for bound in registry.all(Hooks.switchgear_dialects):
        try:
            dialect = bound.item.factory()
            entries = [*dialect.inference, *dialect.routes]
            failures += (f"{bound}: {why}" for entry in entries for why in _wrong(entry))
            made.append((bound, dialect))
            for it in (dialect, *entries):
                faults.own(it, bound.plugin, bound.item.name)
        except Exception as error:  # noqa: BLE001 - reported as a failure of this plugin; the others go on
            failures.append(f"{bound}: making the dialect `{bound.item.name}` raised {raised(error)}. Mend the plugin.")
    if failures:
        raise PluginError(*failures)
    found = [(bound, entry, PathPattern(entry.path)) for bound, d in made for entry in (*d.inference, *d.routes)]
    for (bound, one, pattern), (other, two, against) in combinations(found, 2):
        if _method(one) == _method(two) and _in_the_way(bound, pattern, other, against):
            failures.append(
                f"{other} and {bound} both answer {_method(two)} {two.path}"
                f"{'' if one.path == two.path else f' and {one.path}, which overlap'}. Disable one of them."
            )
    if failures:
        raise PluginError(*failures)
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
    kinds: Sequence[ResourceKind[Any, Any]],
    own: "Sequence[HTTPRouteHandler]",
    root_path: str = "",
) -> "list[HTTPRouteHandler]":
    """Return the kernel's `own` handlers and those of plugins, and their pages and files.

    Raises `PluginError` where one is in another's way, or a page is not there.
    """
    own = [*own, *_pages(registry, root_path)]
    taken: dict[tuple[str, str], str] = dict.fromkeys(_shapes(own), "the gateway itself")
    for kind in kinds:
        taken |= dict.fromkeys(_kind_shapes(kind), f"the resource kind `{kind.name}`")
    failures: list[str] = []
    brought = registry.all(Hooks.switchgear_routes)
    for bound in brought:
        for shape in _shapes([bound.item]):
            method, path = shape
            if not path.startswith(f"{_ADMIN}/"):
                failures.append(f"{bound}: its route {method} {path} is not below {_ADMIN}. Dialects have other paths.")
            elif (owner := taken.setdefault(shape, str(bound))) != str(bound):
                failures.append(f"{bound} and {owner} both answer {method} {path}. Disable or mend the plugin.")
    if failures:
        raise PluginError(*failures)
    return [*own, *(bound.item for bound in brought)]


def _pages(registry: Registry, root_path: str) -> "list[HTTPRouteHandler]":
    files: dict[str, list[Files]] = {}
    failures: list[str] = []
    for bound in registry.all(Hooks.switchgear_assets):
        if bound.item.directory.is_dir():
            files.setdefault(bound.plugin, []).append(Files(bound.item.directory))
        else:
            failures.append(f"{bound}: its assets are to be in {bound.item.directory}, which is no directory.")
    pages = []
    for page in registry.all(Hooks.switchgear_ui_pages):
        slug, title, module = page.item.slug, page.item.title, page.item.module
        pages.append(Page(page.plugin, slug, title, module))
        if not any(module in held.paths for held in files.get(page.plugin, ())):
            failures.append(f"{page}: the module of its page `{slug}`, {module}, is not among the plugin's assets.")
    if failures:
        raise PluginError(*failures)
    return page_handlers(files, pages, root_path)


def _wrong(entry: Entry) -> Iterator[str]:
    """Say what is wrong with one endpoint or route by itself."""
    try:
        pattern = PathPattern(entry.path)
    except ValueError as error:
        yield f"{error}."
        return
    if pattern.segments[0] in _KERNEL or "{" in pattern.segments[0]:
        yield f"the path {entry.path} is the gateway's own. Choose another first segment."
    if not isinstance(entry, (Route, WebSocketRoute)):
        return
    name = f"the route {_method(entry)} {entry.path}"
    if isinstance(entry, Route) and not _METHOD.fullmatch(entry.method):
        yield f"{name}: `{entry.method}` is no method: GET, POST, DELETE …."
    if entry.open_to == "granted" and not (entry.action and entry.kind):
        yield f'{name} declares neither `action` and `kind` nor `open_to="principals"`, so nobody may use it.'
    if entry.id is not None and entry.id not in pattern.names:
        yield f"{name}: `id` is `{entry.id}`, which is no parameter of its path."
    if not inspect.iscoroutinefunction(entry.handler) and not inspect.iscoroutinefunction(
        getattr(entry.handler, "__call__", None)  # noqa: B004 - what is awaited may be an object
    ):
        yield f"{name}: its handler is no async function."


def _method(entry: Entry) -> str:
    if isinstance(entry, WebSocketRoute):
        return "WebSocket"
    return entry.method if isinstance(entry, Route) else "POST"


def _in_the_way(bound: Bound[Any], pattern: PathPattern, other: Bound[Any], against: PathPattern) -> bool:
    """Say whether two plugins want one path; a plugin's own patterns may overlap, but no two of them be the same."""
    if bound is other:
        return _shape(pattern.path) == _shape(against.path)
    return pattern.overlaps(against)


def _shapes(handlers: "Iterable[HTTPRouteHandler]") -> Iterator[tuple[str, str]]:
    for handler in handlers:
        for path, method in product(handler.paths, sorted(handler.http_methods)):
            yield str(method), _shape(path)


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", "/" + path.strip("/"))


def _kind_shapes(kind: ResourceKind[Any, Any]) -> Iterator[tuple[str, str]]:
    base, one = f"{_ADMIN}/{kind.name}", f"{_ADMIN}/{kind.name}/{{}}"
    yield from product(("GET", "POST"), (base,))
    yield from product(("GET", "PUT", "PATCH", "DELETE"), (one,))
    yield from product(("GET",), (f"{one}/versions", f"{one}/versions/{{}}"))
    yield from product(("POST",), (f"{one}/restore", *(f"{one}/{action.name}" for action in kind.actions)))
