"""What plugins bring, held against itself, each other and the gateway's own, before anything starts.

Kinds against their specs, seeds against kinds, files against the disk, and whatever comes in by a door (a path, a route, a
command, a table) against whoever else would answer there. Every finding names who is in whose way, and what to do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from importlib.metadata import EntryPoint
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

import msgspec

from switchgear.conformance import is_async
from switchgear.contracts.credential import Sealer
from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.resource import ResourceKind
from switchgear.errors import StoreError
from switchgear.factories import Looked, offered
from switchgear.hooks import Hooks
from switchgear.migrate import core_migrations, load
from switchgear.names import id_rule, is_id
from switchgear.own import ADMIN, COMMANDS, KINDS, ROOTS, ROUTES
from switchgear.paths import PathPattern
from switchgear.phrasing import or_rather
from switchgear.registry import Bound, Registry
from switchgear.resources.conflicts import in_declarations
from switchgear.resources.shape import decode, no_such_path, types_at

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_METHOD = re.compile(r"[A-Z]{3,16}")
_HEADER = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = frozenset(
    {b"connection", b"content-length", b"content-type", b"date", b"host", b"server", b"transfer-encoding"}
)
_TABLE = re.compile(r"\bCREATE\s+(?:VIRTUAL\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"`\[]?(\w+)", re.IGNORECASE)
_THE_GATEWAY = "the gateway itself"

Entry = InferenceEndpoint | Route | WebSocketRoute


def inspect_all(registry: Registry, looked: Looked, declared: Iterable[EntryPoint]) -> list[str]:
    """Return everything that is wrong. `declared` are the commands that distributions declare."""
    return [
        *_sealers(looked),
        *_kinds(registry),
        *_records(registry),
        *_seeds(registry),
        *in_dialects(looked.of(Hooks.switchgear_dialects)),
        *_routes(registry),
        *_commands(registry, declared),
        *_files(registry),
        *_tables(registry),
    ]


def _its(bound: Bound[Any], what: str) -> str:
    """Name what a plugin brings, whose it is and to which hook."""
    return f"{bound}: its {what} (`{bound.hook}`)"


def _sealers(looked: Looked) -> Iterator[str]:
    found = [bound for bound, made in looked.of(Hooks.switchgear_credential_backends) if isinstance(made, Sealer)]
    for one, other in pairwise(found):
        yield f"{one} and {other} both bring a credential backend that can seal, and one can be active. Disable the other."


def in_dialects(made: Sequence[tuple[Bound[Any], Dialect]]) -> Iterator[str]:
    """Find what is wrong with the paths and headers of dialects, and paths that two would answer."""
    good: list[tuple[Bound[Any], Entry, PathPattern]] = []
    for bound, dialect in made:
        yield from (f"{offered(bound)}: {why}" for why in _wrong_headers(dialect))
        for entry in (*dialect.inference, *dialect.routes):
            if wrong := [f"{offered(bound)}: {why}" for why in _wrong_entry(entry)]:
                yield from wrong
            else:
                good.append((bound, entry, PathPattern(entry.path)))
    for (bound, one, pattern), (other, two, against) in combinations(good, 2):
        if _method(one) == _method(two) and _when(one) == _when(two) and _in_the_way(bound, pattern, other, against):
            yield (
                f"{other} and {bound} both answer {_method(two)} {two.path}"
                f"{'' if one.path == two.path else f' and {one.path}, which overlap'}. Disable one of them."
            )
    for (bound, one_dialect), (other, two_dialect) in combinations(made, 2):
        if one_dialect.name == two_dialect.name:
            yield f"{bound} and {other} both bring a dialect named `{two_dialect.name}`. Rename it, or disable one of them."


def _wrong_headers(dialect: Dialect) -> Iterator[str]:
    if not dialect.name:
        yield "its `name` is empty. Name it."
    for member in ("request_id_header", "retry_count_header"):
        header = getattr(dialect, member)
        if header and (_HEADER.fullmatch(header) is None or header in _OWN_HEADERS):
            yield f"its `{member}` is {header!r}. Take the lower-case name of a header that frames no answer."


def _wrong_entry(entry: Entry) -> Iterator[str]:
    """Say what is wrong with one endpoint or route by itself."""
    try:
        pattern = PathPattern(entry.path)
    except ValueError as error:
        yield f"{error}. Mend the path."
        return
    if pattern.segments[0] in ROOTS or "{" in pattern.segments[0]:
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
    if (when := _when(entry)) is not None and when[1] != when[1].lower():
        yield f"{name}: the value of `when` is {when[1]!r}. Write it in lower case: requests may have any."
    if not is_async(entry.handler):
        yield f"{name}: its handler is no async function. Make it an `async def`."


def _when(entry: Entry) -> tuple[str, str] | None:
    return entry.when if isinstance(entry, Route) else None


def _method(entry: Entry) -> str:
    if isinstance(entry, WebSocketRoute):
        return "WebSocket"
    return entry.method if isinstance(entry, Route) else "POST"


def _in_the_way(bound: Bound[Any], pattern: PathPattern, other: Bound[Any], against: PathPattern) -> bool:
    """Say whether two plugins want one path; a plugin's own patterns may overlap, but no two of them be the same."""
    if bound is other:
        return _shape(pattern.path) == _shape(against.path)
    return pattern.overlaps(against)


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", "/" + path.strip("/"))


def _kinds(registry: Registry) -> Iterator[str]:
    for bound in registry.all(Hooks.switchgear_resource_kinds):
        kind = bound.item
        said = _its(bound, f"resource kind `{kind.name}`")
        if kind.name in KINDS:
            yield f"{said} is one of the gateway's own. Rename it."
        yield from (f"{said}{text.removeprefix(f'resource kind `{kind.name}`')}." for text in in_declarations([kind]))
        if kind.shared is not None:
            yield f"{said} has `shared` names, which only one kind may have: the gateway's own `providers`. Leave them out."
        if kind.id_prefix is not None and not is_id(f"{kind.id_prefix}0"):
            yield f"{said} has {kind.id_prefix!r} for its `id_prefix`, with which no id can begin: {id_rule(slashes=False)}."
        yield from (f"{said}: {text}" for text in _wrong_paths(kind))
        yield from (f"{said}: {text}" for it in (kind.spec, kind.input) if it is not None for text in _undescribed(it))


def _records(registry: Registry) -> Iterator[str]:
    for bound in registry.all(Hooks.switchgear_record_kinds):
        yield from (f"{_its(bound, f'record kind `{bound.item.name}`')}: {it}" for it in _undescribed(bound.item.type))


def _wrong_paths(kind: ResourceKind[Any, Any]) -> Iterator[str]:
    """Find paths that a kind declares and its spec does not have: a secret that is none would be stored in clear."""
    texts = [("references", reference.field) for reference in kind.references]
    texts += () if callable(kind.secrets) else (("secrets", path) for path in kind.secrets)
    for member, path in (*texts, *(("hidden", path) for path in kind.hidden)):
        if why := no_such_path(kind.spec, path):
            yield f"`{member}` has `{path}`, and {why}{'' if why.endswith('?') else '.'} Name a field of it."
        elif member != "hidden" and not any(_is_text(it) for it in types_at(kind.spec, path)):
            yield f"`{member}` has `{path}`, which is no string in `{kind.spec.__name__}`. Name a field that is."


def _undescribed(type_: Any) -> Iterator[str]:
    """Find a type that has no place in JSON: nobody could write it, and the description of the API could not show it."""
    try:
        msgspec.json.schema_components([type_])
        msgspec.json.Decoder(type_)
    except (TypeError, ValueError, NameError) as error:
        why = str(error).strip().splitlines()[-1]
        yield f"`{getattr(type_, '__name__', type_)}` cannot be written as JSON: {why}. Give its fields other types."


def _is_text(type_: Any) -> bool:
    return type_ is Any or get_origin(type_) is Literal or (isinstance(type_, type) and issubclass(type_, str | Enum))


def _seeds(registry: Registry) -> Iterator[str]:
    kinds = {bound.item.name: bound.item for bound in registry.all(Hooks.switchgear_resource_kinds)}
    for bound in registry.all(Hooks.switchgear_first_run):
        seed = bound.item
        said = _its(bound, f"seed of the kind `{seed.kind}`")
        if seed.kind in kinds:
            yield from (f"{said}: {text}" for text in _wrong_body(kinds[seed.kind], seed.body))
        elif seed.kind not in KINDS and not seed.optional:
            hint = or_rather(seed.kind, (*KINDS, *kinds))
            yield f"{said} is of a kind that no enabled plugin brings{hint}. Enable one that does, or mend the kind."


def _wrong_body(kind: ResourceKind[Any, Any], body: Mapping[str, Any]) -> Iterator[str]:
    if kind.id_prefix is None and not is_id(body.get("id"), slashes=kind.id_slashes):
        yield f"it has no `id` that will do: {id_rule(slashes=kind.id_slashes)}."
    for problem in decode(kind.input or kind.spec, {name: it for name, it in body.items() if name != "id"})[1]:
        yield f"{problem.pointer}: {problem.detail}. Mend its body."


def _routes(registry: Registry) -> Iterator[str]:
    """Find admin routes that somebody else answers, or nobody would ask for."""
    taken: dict[tuple[str, str], str] = dict.fromkeys(ROUTES, _THE_GATEWAY)
    for name in KINDS:
        taken |= dict.fromkeys(_kind_shapes(name, ()), f"{_THE_GATEWAY} (the resource kind `{name}`)")
    for kind in {it.item.name: it for it in registry.all(Hooks.switchgear_resource_kinds)}.values():
        if kind.item.name in KINDS:
            continue  # told already
        who = f"{kind} (its resource kind `{kind.item.name}`)"
        yield from _taking(
            taken, who, _kind_shapes(kind.item.name, [it.name for it in kind.item.actions if it.name != "restore"])
        )
    for bound in registry.all(Hooks.switchgear_routes):
        shapes = list(_shapes(bound.item))
        for method, path in shapes:
            if not path.startswith(f"{ADMIN}/"):
                yield (
                    f"{_its(bound, f'route {method} {path}')} is not below {ADMIN}, so it would not be served. Move it"
                    " there, or make it a `Route` of a dialect."
                )
        yield from _taking(taken, str(bound), [it for it in shapes if it[1].startswith(f"{ADMIN}/")])
        if (body := bound.item.opt.get("body")) is not None:
            yield from (f"{_its(bound, 'route')}: its `body` {text}" for text in _undescribed(body))
    yield from _wrong_handlers(registry.all(Hooks.switchgear_routes))


def _wrong_handlers(brought: "Sequence[Bound[HTTPRouteHandler]]") -> Iterator[str]:
    """Let Litestar look at the handlers, all of them first, so that what it cannot use is told as its plugin's."""
    if not brought:
        return
    from switchgear.admin.app import App  # noqa: PLC0415 - takes long to import, and Litestar is there where a route is

    def refusal(handlers: "Iterable[HTTPRouteHandler]") -> Exception | None:
        try:
            App(list(handlers))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told as a failure of the plugin
            return error
        return None

    handlers = list(dict.fromkeys(bound.item for bound in brought))
    for handler in handlers:
        with suppress(Exception):  # it is found again below
            _ = handler.signature_model  # which stays with it, so that it is made once
    if refusal(handlers) is None:
        return
    for bound in brought:
        if (error := refusal([bound.item])) is not None:
            route = _its(bound, f"route {', '.join(sorted(bound.item.paths))}")
            yield f"{route} cannot be served: {type(error).__name__}: {error}. Mend its handler."


def _taking(taken: dict[tuple[str, str], str], who: str, shapes: Iterable[tuple[str, str]]) -> Iterator[str]:
    for shape in shapes:
        if shape in taken:
            again = taken[shape] == who
            rivals = f"{who} answers" if again else f"{who} and {taken[shape]} both answer"
            yield f"{rivals} {' '.join(shape)}{' twice' if again else ''}. Mend or disable the plugin."
        taken.setdefault(shape, who)


def _shapes(handler: "HTTPRouteHandler") -> Iterator[tuple[str, str]]:
    for path, method in product(sorted(handler.paths), sorted(handler.http_methods)):
        yield str(method), _shape(path)


def _kind_shapes(name: str, actions: Iterable[str]) -> Iterator[tuple[str, str]]:
    base, one = f"{ADMIN}/{name}", f"{ADMIN}/{name}/{{}}"
    yield from product(("GET", "POST"), (base,))
    yield from product(("GET", "PUT", "PATCH", "DELETE"), (one,))
    yield from product(("GET",), (f"{one}/versions", f"{one}/versions/{{}}"))
    yield from product(("POST",), (f"{one}/restore", *(f"{one}/{action}" for action in actions)))


def _commands(registry: Registry, declared: Iterable[EntryPoint]) -> Iterator[str]:
    """Find commands that would never run: those of the gateway's own names, and those that two plugins declare."""
    found = [(bound.plugin, str(bound), bound.item.name or "") for bound in registry.all(Hooks.switchgear_commands)]
    for entry_point in declared:
        plugin, _, name = entry_point.name.partition(".")
        if plugin in registry.plugins:
            found.append((plugin, f"plugin `{plugin}`", name))
    owners: dict[str, tuple[str, str]] = {}
    for plugin, who, name in found:
        if not name:
            yield f"{who} brings a command without a name. Name it."
        elif name in COMMANDS:
            yield f"{who} brings the command `{name}`, which is the gateway's own. Rename it."
        elif (owner := owners.setdefault(name, (plugin, who)))[0] != plugin:
            yield f"{who} and {owner[1]} both bring the command `{name}`. Rename it in one, or disable one of them."


def _files(registry: Registry) -> Iterator[str]:
    """Find what is not on the disk: assets, modules of pages, migrations; and consoles when there are two."""
    roots: dict[str, list[Path]] = {}
    fronts = [bound for bound in registry.all(Hooks.switchgear_assets) if bound.item.front is not None]
    for one, other in pairwise(fronts):
        yield f"{one} and {other} both bring a console, which answers at /ui/. Disable one of them."
    for bound in fronts:
        if not _is_served(bound.item.directory, bound.item.front or ""):
            yield f"{_its(bound, 'assets')} have no file {bound.item.front}, which is to be their `front`. Mend the path."
    for bound in registry.all(Hooks.switchgear_assets):
        roots.setdefault(bound.plugin, []).append(bound.item.directory)
        if not bound.item.directory.is_dir():
            yield f"{_its(bound, 'assets')} are to be in {bound.item.directory}, which is no directory. Is it packaged?"
    yield from _pages(registry, roots)
    for brought in registry.all(Hooks.switchgear_migrations):
        if why := _unusable(brought.item.directory, brought.plugin):
            yield f"{_its(brought, 'migrations')} are to be in {brought.item.directory}, {why}"


def _pages(registry: Registry, roots: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Find pages without a module among their plugin's assets, and panels of nothing."""
    for page in registry.all(Hooks.switchgear_ui_pages):
        if not any(_is_served(root, page.item.module) for root in roots.get(page.plugin, ())):
            yield (
                f"{_its(page, f'page `{page.item.slug}`')} has the module {page.item.module}, which is not among the plugin's"
                " assets. Put it there, or mend the path."
            )
        if page.item.panel and page.item.kind is None:
            yield f"{_its(page, f'page `{page.item.slug}`')} is a panel and has no `kind`, to whose resources it would belong."


def _unusable(directory: Path, plugin: str) -> str | None:
    """Return why there are no migrations of a plugin to be had from a directory."""
    if not directory.is_dir():
        return "which is no directory. Is it packaged?"
    try:
        found = [it for engine in directory.iterdir() if engine.is_dir() for it in load(directory, engine.name, plugin)]
    except (StoreError, OSError, UnicodeDecodeError) as error:
        return f"and cannot be read: {error}."
    return None if found else "where there are none. Put them there, as ENGINE/0001_what_it_does.sql."


def _is_served(root: Path, module: str) -> bool:
    file = root / module
    hidden = any(part.startswith(".") for part in module.split("/"))
    return not hidden and file.is_file() and file.resolve().is_relative_to(root.resolve())


def _tables(registry: Registry) -> Iterator[str]:
    """Find tables that two plugins would make in one database, or the gateway itself."""
    owners: dict[tuple[str, str], str] = {}
    for bound in registry.all(Hooks.switchgear_migrations):
        for engine, table in sorted(tables_of(bound)):
            for owned in core_tables(engine):
                owners.setdefault((engine, owned), _THE_GATEWAY)
            if (owner := owners.setdefault((engine, table), str(bound))) != str(bound):
                yield f"{bound} and {owner} both make the table `{table}` ({engine}). Rename it: begin with `{bound.plugin}_`."


def tables_of(bound: Bound[Any]) -> set[tuple[str, str]]:
    """Return the tables that a plugin's migrations make, each with the engine; none where they cannot be read."""
    directory: Path = bound.item.directory
    try:
        return {
            (engine.name, table)
            for engine in (directory.iterdir() if directory.is_dir() else ())
            if engine.is_dir()
            for migration in load(directory, engine.name, bound.plugin)
            for table in _TABLE.findall(migration.sql)
        }
    except (StoreError, OSError, UnicodeDecodeError):
        return set()


def core_tables(engine: str) -> set[str]:
    """Return the kernel's own tables for an engine, none for one that it has no schema for."""
    try:
        return {table for migration in core_migrations(engine) for table in _TABLE.findall(migration.sql)}
    except StoreError:
        return set()
