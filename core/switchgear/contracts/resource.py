"""A resource kind: one declaration from which storage, versions, admin routes, OpenAPI, references, secrets, hot reload and
files follow. Builtins and third parties declare theirs alike, through the hook `switchgear_resource_kinds`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from switchgear.contracts.kernel import Group
from switchgear.contracts.principal import Principal

SpecT = TypeVar("SpecT", bound=Struct)
LiveT = TypeVar("LiveT")


class Problem(Struct, frozen=True):
    """A bad field: `pointer` is a JSON pointer into the body (`/permissions/models`), `detail` says what to do."""

    pointer: str
    detail: str


class Resource(Struct, Generic[SpecT], frozen=True):
    """A stored resource, decoded."""

    id: str
    spec: SpecT
    version: int
    revision: int
    owner: str
    created_us: int
    updated_us: int


class Prepared(Struct, Generic[SpecT], frozen=True):
    """What a write will store, and what its answer shows once and never again (a generated key)."""

    spec: SpecT
    once: dict[str, Any] = {}


class Reference(Struct, frozen=True):
    """A field that holds the id of a resource of `kind`. `field` is a dotted path; `*` stands for every item.

    The kind `callable` stands for whoever answers to the name: a resource of a callable kind, one with a namespace, or those
    who share the name. `View.callable` finds it. With `optional` the field is a text like any other where no enabled plugin
    brings the kind.
    """

    field: str
    kind: str
    optional: bool = False


class RelatedWrite(Struct, frozen=True):
    """A change that a write makes to another resource, in the same transaction: `change` gets its stored spec and returns the
    new one. Nothing happens to one that does not exist or that somebody else owns (a file), nor when files are applied.
    """

    kind: str
    id: str
    change: Callable[[dict[str, Any]], dict[str, Any]]


class View(Protocol):
    """What a kind may look at while it validates or compiles: the live objects of the snapshot in the making."""

    def live(self, kind: str, id: str) -> Any | None:
        """Return the live object of another resource, None if absent. References are compiled before those who name them."""
        ...

    def callable(self, name: str) -> Any | None:
        """Return what will answer to a name that clients may write in `model`, None if nothing does."""
        ...


@dataclass(frozen=True, kw_only=True)
class ResourceAction(Generic[SpecT]):
    """A verb on one resource: POST /admin/v1/KIND/{id}/NAME.

    `apply` gets the resource, the input and who asks, and returns the new spec; nothing changes if it is equal.
    """

    name: str
    summary: str
    apply: Callable[[Resource[SpecT], Any, Principal], Prepared[SpecT]]
    input: type[Struct] | None = None


def keep(new: Any, previous: Any | None, by: Principal) -> Prepared[Any]:  # noqa: ARG001 - the shape of ResourceKind.prepare
    """Store what the client wrote, as it is."""
    return Prepared(new)


def no_problems(new: Any, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    """Find nothing wrong beyond what the types say."""
    return ()


def as_resource(resource: Resource[Any], view: View) -> Any:  # noqa: ARG001 - the shape of ResourceKind.compile
    """Use the decoded resource itself as its live object."""
    return resource


def nothing_else(spec: Mapping[str, Any]) -> Sequence[RelatedWrite]:  # noqa: ARG001 - the shape of ResourceKind.also
    """Change nothing else."""
    return ()


def as_stored(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Show a spec as it is stored."""
    return spec


def as_declared(
    spec: Mapping[str, Any],
    users: Sequence[Mapping[str, Any]],  # noqa: ARG001 - the shape of ResourceKind.declare
    whole: bool,  # noqa: ARG001, FBT001 - likewise
) -> Mapping[str, Any]:
    """Let who else is in the files change nothing."""
    return spec


def no_keys(new: Any) -> Sequence[tuple[str, str]]:  # noqa: ARG001 - the shape of ResourceKind.keys
    """Claim no unique keys."""
    return ()


def no_reason(old: Mapping[str, Any]) -> str | None:  # noqa: ARG001 - the shape of ResourceKind.refuse_restore
    """Let every old version be written again."""
    return None


def may_go(resource: Resource[Any], by: Principal) -> str | None:  # noqa: ARG001 - the shape of ResourceKind.refuse_delete
    """Let every resource be deleted that nobody names."""
    return None


async def as_sent(body: dict[str, Any]) -> dict[str, Any]:
    """Take a body as a client sent it."""
    return body


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Callable names that several resources of one kind have together, without anybody writing a resource for them.

    field   the field that holds them: an object whose member names are the names
    merge   from a name and the live objects of those who have it, by id, to the `switchgear.contracts.exchange.Callable`
    """

    field: str
    merge: Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is seen of resources and not written: shown with them where they are read and listed, and part of no version.

    type   Struct of the members, each with a default: what is shown of a resource of which nothing was seen
    read   from ids to what was seen of them, for those of which there is something
    """

    type: type[Struct]
    read: Callable[[Sequence[str]], Awaitable[Mapping[str, Struct]]]


@dataclass(frozen=True, kw_only=True)
class ResourceKind(Generic[SpecT, LiveT]):
    """The declaration of a kind.

    name        the plural, as in the admin path and in files: `api-keys`
    title       the singular, for people: `API key`
    spec        what is stored; `id` is not a field of it
    input       what a client may write, when that is less than `spec` (default: `spec`)
    receive     what is to be awaited of a body before anything is made of it: gets the JSON object a client wrote, which nobody
                has validated yet, and returns what stands in for it (the hash of a password, from a thread). Not for files
    prepare     from input, previous spec and who writes to what is stored (generate a key, hash it, …)
    validate    problems that types cannot express; sees other live objects and who writes
    also        from the spec as it will be stored to changes of other resources that belong to the same write
    declare     where files are applied, instead of `also`: from the spec, the specs in the files that name it, and whether the
                files have every secret of it, to the spec that will be stored
    compile     from stored spec to the object the request path uses; may raise ValueError, which refuses the write
    references  fields that name other resources
    secrets     dotted paths of fields that are sealed at rest, shown as `••••` + last 4, kept when sent back masked or left out;
                or a function to them from the JSON object a client wrote, which nobody has validated yet
    hidden      dotted paths of fields never shown (a hash)
    shown       how a stored spec is shown where that is not as it is stored (what time has made of it)
    observed    what is seen of resources besides (when a key was last used)
    once        names of the members `prepare` and actions show once, for the API description
    keys        unique (index, value) pairs to look it up by, besides its id
    named       the index of `keys` whose values begin with what a resource is called, casefolded: lists take a `prefix` then
    callable    its ids are names a client may write in `model`: one namespace over all such kinds; the live object is a
                `switchgear.contracts.exchange.Callable`
    namespace   clients may write `id/name` in `model`: the live object's `callable(name)` returns a `Callable` or None
    shared      callable names that its resources have together with others; one kind may have such
    resident    True: all of them live in the snapshot. False: looked up by key on demand and cached, for kinds with many
    id_prefix   None: the client names it; else ids are made here with this prefix
    id_slashes  ids may be several joined by slashes, as names of models are; in paths a slash is written %2F
    restorable  whether an old version may be written again; False where that would undo something final (a revocation)
    refuse_restore  where old versions may be written again: from the stored spec of one to why that one may not, None if it may
    refuse_delete  from a resource and who would delete it to why it must stay, None if it may go
    scope       the fields that say whose a resource is (`team_id`): what an authorizer may bound somebody to; `id` may be one
    principals  its ids are ids of principals. Such an id is unique over all kinds of this sort, and none of the gateway's own
                (`admin-key`). Where there is an `id_prefix`, an author with a `scope` filter cannot choose it: it is made
    actions     verbs beyond create, read, replace, patch, delete
    group       the heading that consoles list it under
    """

    name: str
    title: str
    spec: type[SpecT]
    input: type[Struct] | None = None
    receive: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] = as_sent
    prepare: Callable[[Any, SpecT | None, Principal], Prepared[SpecT]] = keep
    validate: Callable[[SpecT, View, Principal], Sequence[Problem]] = no_problems
    compile: Callable[[Resource[SpecT], View], LiveT] = as_resource
    references: tuple[Reference, ...] = ()
    secrets: tuple[str, ...] | Callable[[Mapping[str, Any]], Sequence[str]] = ()
    hidden: tuple[str, ...] = ()
    shown: Callable[[Mapping[str, Any]], Mapping[str, Any]] = as_stored
    observed: Observed | None = None
    once: tuple[str, ...] = ()
    keys: Callable[[SpecT], Sequence[tuple[str, str]]] = no_keys
    also: Callable[[Mapping[str, Any]], Sequence[RelatedWrite]] = nothing_else
    declare: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], bool], Mapping[str, Any]] = as_declared
    named: str | None = None
    callable: bool = False
    namespace: bool = False
    shared: Shared | None = None
    resident: bool = True
    id_prefix: str | None = None
    id_slashes: bool = False
    restorable: bool = True
    refuse_restore: Callable[[Mapping[str, Any]], str | None] = no_reason
    refuse_delete: Callable[[Resource[SpecT], Principal], str | None] = may_go
    scope: tuple[str, ...] = ()
    principals: bool = False
    actions: tuple[ResourceAction[SpecT], ...] = field(default=())
    group: Group = "Resources"


MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__bool__": lambda self: False})()  # noqa: ARG005
"""What `LiveCache.peek` returns for something it does not know yet; None means it is known not to exist."""


class LiveCache(Protocol):
    """Live objects of a kind that is not resident, by unique key: bounded, versioned, with a bounded negative cache."""

    def peek(self, value: str) -> Any:
        """Return the live object, None if known to be absent, `MISSING` if it must be loaded. No I/O."""
        ...

    def load(self, value: str) -> Awaitable[Any | None]:
        """Read it from the store, once however many ask, compile and keep it."""
        ...


class Resources(Protocol):
    """The resource engine as plugins see it (`context.resources`)."""

    @property
    def snapshot(self) -> "Snapshot":
        """The current snapshot; keep the reference for the length of one exchange."""
        ...

    def cache(self, kind: str, index: str) -> LiveCache:
        """Return the cache of a non-resident kind over one of its unique indexes."""
        ...

    def on_change(self, kind: str, callback: Callable[[str, Any | None], None]) -> None:
        """Call back with (id, new live object or None if deleted) after each change of a kind is live; it must not block."""
        ...

    async def get(self, kind: str, id: str) -> Resource[Any] | None:
        """Read one resource from the store, secrets sealed."""
        ...

    async def page(
        self, kind: str, *, cursor: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """Return resources in id order as GET shows them, and the cursor of the next page, None if this is the last."""
        ...

    async def create(self, kind: str, id: str | None, body: Mapping[str, Any], *, by: Principal) -> Mapping[str, Any]:
        """Create as POST would; return what POST would answer. Raises the same `ApiError`s.

        `by` is on whose behalf this and the others are done: `switchgear.contracts.principal.operator(NAME)` for one's own.
        """
        ...

    async def update(
        self, kind: str, id: str, patch: Mapping[str, Any], *, by: Principal, version: int | None = None
    ) -> Mapping[str, Any]:
        """Merge-patch as PATCH would; with `version`, only what still is at that. Raises `PreconditionFailed` otherwise."""
        ...

    async def act(self, kind: str, id: str, action: str, body: Any = None, *, by: Principal) -> Mapping[str, Any]:
        """Run one of the kind's own actions as POST would."""
        ...

    async def delete(self, kind: str, id: str, *, by: Principal) -> None:
        """Delete as DELETE would."""
        ...


class Snapshot(Protocol):
    """Everything resident, compiled, at one revision; immutable, swapped whole."""

    revision: int

    def live(self, kind: str, id: str) -> Any | None:
        """Return a live object."""
        ...

    def all(self, kind: str) -> Mapping[str, Any]:
        """Return every live object of a kind, by id."""
        ...

    @property
    def callables(self) -> Mapping[str, Any]:
        """Return everything a client may write in `model`, by name (`switchgear.contracts.exchange.Callable`)."""
        ...

    def callable(self, name: str) -> Any | None:
        """Return what a client means by `model: name`."""
        ...

    def is_broken(self, name: str) -> bool:
        """Say whether a name that nothing answers to would be answered to, if what is stored under it could be used."""
        ...

    def without_prefix(self, name: str) -> str:
        """Return a name as a client wrote it without the gateway's own prefix, if it has that and is nothing else."""
        ...
