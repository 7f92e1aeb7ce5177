"""Who asks, how that is known, and what they may do."""

from collections.abc import Awaitable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from switchgear.secret import Secret

USE = "use"
"""The action of the data plane: to have something answer. Kinds are named as resources are, `models` for callable names."""


class Grant(Struct, frozen=True):
    """Leave to do something: an action on resources of a kind, by id.

    In each of the three `*` stands for all, and `prefix*` for whatever begins so: `Grant("use", "models", ("provider/*",))`. One
    action must be named: `*` is every action but `use`, since whoever configures models need not be able to spend with them.
    """

    action: str
    kind: str
    ids: tuple[str, ...] = ("*",)


EVERYTHING = Grant("*", "*")
"""What operators hold: every action on every resource, but `use`."""


class _Ids:
    """The ids of several grants, compiled."""

    __slots__ = ("all", "names", "prefixes")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.all = "*" in patterns
        self.names = frozenset(patterns)
        self.prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))


class Principal:
    """Someone who was identified. Made once, shared by all of their requests, and never changed after.

    id          of the key, user or whatever else it is; writes are recorded under it
    kind        `key`, `user`, `token`, `operator` …; ids are unique within a kind
    name        for people
    labels      what limits, budgets, policies and records may name: `key`, `team`, `user` …
    tags        words without a meaning of their own
    grants      what it may do where no authorizer has an opinion
    facts       what its authenticator knows and other plugins read by name (`limits`); never in records
    session     tells tokens of one principal apart; neither is nor reveals a token
    expires_us  wall clock microseconds when it stops being good, None for never
    """

    __slots__ = (
        "_compiled", "expires_us", "facts", "grants", "id", "kind", "labels", "name", "session", "tags",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        kind: str,
        *,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        tags: tuple[str, ...] = (),
        grants: tuple[Grant, ...] = (),
        facts: Mapping[str, Any] | None = None,
        session: str | None = None,
        expires_us: int | None = None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.name = name
        self.labels: Mapping[str, str] = MappingProxyType(dict(labels or {}))
        self.tags = tags
        self.grants = grants
        self.facts: Mapping[str, Any] = MappingProxyType(dict(facts or {}))
        self.session = session
        self.expires_us = expires_us
        self._compiled: dict[tuple[str, str], _Ids] = {}  # the last: from then on nothing is set
        if not isinstance(id, str) or not isinstance(kind, str) or not all(isinstance(it, Grant) for it in grants):
            raise TypeError("the id and the kind of a principal are text, its grants are Grants")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, "_compiled"):
            raise AttributeError(f"a principal does not change: its {name} is what it was made with")
        object.__setattr__(self, name, value)

    def may(self, action: str, kind: str, id: str | None) -> bool:
        """Say whether a grant allows this. `id` None stands for the kind as a whole, which takes a grant of all ids."""
        ids = self._compiled.get((action, kind))
        if ids is None:
            ids = self._compiled[action, kind] = _Ids(self._granted(action, kind))
        if ids.all or id is None:
            return ids.all
        return id in ids.names or (bool(ids.prefixes) and id.startswith(ids.prefixes))

    def may_some(self, action: str, kind: str) -> bool:
        """Say whether there is any resource of a kind that a grant allows this on."""
        return bool(self._granted(action, kind))

    def holds(self, grant: Grant) -> bool:
        """Say whether everything that a grant allows is allowed by those of this principal."""
        held = self._granted(grant.action, grant.kind)
        return all(any(_covers(pattern, id) for pattern in held) for id in grant.ids)

    def allowed(self, *grants: Grant) -> "Principal":
        """Return the same principal with more grants, for what follows from those it has, as a call for who may try a model."""
        return self.with_grants((*self.grants, *grants))

    def with_grants(self, grants: tuple[Grant, ...]) -> "Principal":
        """Return the same principal with these grants instead of its own."""
        return Principal(
            self.id, self.kind, name=self.name, labels=self.labels, tags=self.tags, grants=grants,
            facts=self.facts, session=self.session, expires_us=self.expires_us,
        )  # fmt: skip

    def _granted(self, action: str, kind: str) -> tuple[str, ...]:
        found = (it.ids for it in self.grants if _acts(it.action, action) and _covers(it.kind, kind))
        return tuple(pattern for ids in found for pattern in ids)


@runtime_checkable
class Bounds(Protocol):
    """What bounds those who belong to it: the live object of a resource that others name as whose they are.

    active   whether they are good at all
    most     what they may do at the most, whatever was given to them
    part_of  the id of what it belongs to itself, None if it stands alone
    """

    @property
    def active(self) -> bool: ...  # noqa: D102 - as above

    @property
    def most(self) -> tuple[Grant, ...]: ...  # noqa: D102

    @property
    def part_of(self) -> str | None: ...  # noqa: D102


def within(grants: Iterable[Grant], most: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return what of some grants others allow too."""
    bounds = tuple(most)
    found = (_meet(grant, bound) for grant in grants for bound in bounds)
    return tuple(dict.fromkeys(grant for grant in found if grant is not None))


def bounded(principal: "Principal", bounds: Iterable[object]) -> "Principal | None":
    """Return a principal with at most the rights of those it belongs to (its team, its user); None if one of them is inactive.

    Objects in `bounds` that are no `Bounds` are ignored.
    """
    there = [it for it in bounds if isinstance(it, Bounds)]
    if not all(it.active for it in there):
        return None
    grants = principal.grants
    for bound in there:
        grants = within(grants, bound.most)
    return principal if grants == principal.grants else principal.with_grants(grants)


def operator(id: str) -> Principal:
    """Make a principal that may do everything but `use` models: who has the machine, or a plugin on its own behalf."""
    return Principal(id, "operator", name=id, grants=(EVERYTHING,))


OWN_IDS = frozenset({"admin-key", "cli", "first-run"})
"""Ids of the gateway's own operators. No resource whose ids become those of principals may have one."""


def _acts(held: str, wanted: str) -> bool:
    return held == USE if wanted == USE else _covers(held, wanted)


def _covers(held: str, wanted: str) -> bool:
    """Say whether a pattern matches all that another one, or a name, stands for."""
    return wanted.startswith(held[:-1]) if held.endswith("*") else held == wanted


def _meet(one: Grant, other: Grant) -> Grant | None:
    """Return what two grants both allow, None if that is nothing."""
    if (one.action == USE) != (other.action == USE):
        return None
    action, kind = _narrower(one.action, other.action), _narrower(one.kind, other.kind)
    pairs = (_narrower(this, that) for this in one.ids for that in other.ids)
    ids = tuple(dict.fromkeys(id for id in pairs if id is not None))
    return Grant(action, kind, ids) if action is not None and kind is not None and ids else None


def _narrower(one: str, other: str) -> str | None:
    """Return the pattern for what two patterns both match, None if there is nothing."""
    return one if _covers(other, one) else other if _covers(one, other) else None


class Credentials:
    """What a request brought to prove who sent it.

    headers  by lower-case name
    method   `GET`, `POST` … of an admin request; None where a call is made, and whenever it is not known
    token    that of `x-switchgear-key`, `Authorization: Bearer`, `x-api-key` or `api-key`; None if there is none
    peer     the address of whoever is connected, None if that is not known: a proxy's, where there is one
    """

    __slots__ = ("_cookies", "headers", "method", "peer", "token")

    def __init__(self, headers: Mapping[bytes, bytes], peer: str | None = None, method: str | None = None) -> None:
        self.headers = headers
        self.token = _token(headers)
        self.peer = peer
        self.method = method
        self._cookies: Mapping[str, str] | None = None

    def own(self) -> Secret | None:
        """Return what the client has of its own at a provider: what it says elsewhere where `x-switchgear-key` is there.

        The fields are `api_key`, and `auth_token` as well where it is a bearer's token.
        """
        if KEY_HEADER not in self.headers:
            return None
        token = _token({name: value for name, value in self.headers.items() if name != KEY_HEADER})
        if token is None:
            return None
        is_bearer = b"authorization" in self.headers
        return Secret({"api_key": token, **({"auth_token": token} if is_bearer else {})})

    @property
    def cookies(self) -> Mapping[str, str]:
        """Cookies by name, as they were sent (RFC 6265); of several with one name the first."""
        if self._cookies is None:
            self._cookies = _read_cookies(self.headers.get(b"cookie", b""))
        return self._cookies


KEY_HEADER = b"x-switchgear-key"
"""The header for a key of the gateway's where the usual ones hold what the client has of its own at a provider."""


def _token(headers: Mapping[bytes, bytes]) -> str | None:
    value = headers.get(KEY_HEADER)
    if value:
        return value.decode("latin-1")
    value = headers.get(b"authorization")
    if value is not None:
        scheme, _, token = value.partition(b" ")
        if token and scheme.lower() == b"bearer":
            return token.strip().decode("latin-1")
    value = headers.get(b"x-api-key") or headers.get(b"api-key")
    return value.decode("latin-1") if value else None


def _read_cookies(header: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for pair in header.decode("latin-1").split(";"):
        name, sign, value = pair.partition("=")
        if sign and name.strip():
            found.setdefault(name.strip(), value.strip().strip('"'))
    return MappingProxyType(found)


Found: TypeAlias = Principal | Awaitable[Principal | None] | None


class Authenticator(Protocol):
    """Turns credentials into a principal.

    Authenticators are asked in plugin order until one answers. No I/O for a token seen before. When what a principal may do
    changes, its plugin calls `context.principals_changed`, which ends what could not begin any more.
    """

    def authenticate(self, credentials: Credentials) -> Found:
        """Return the principal, an awaitable of it if it must be looked up, None if these credentials are not good.

        Unknown, revoked, expired and malformed are the same None.
        """
        ...


class Known(Struct, frozen=True):
    """A principal as it is now. `refused` is why its credentials are not good, in a word that says of what sort it is
    (`key_suspended`), None if they are.
    """

    principal: Principal
    refused: str | None = None


@runtime_checkable
class Directory(Protocol):
    """An authenticator that also knows its principals by id, so that operators can be told what one may do. No request asks."""

    async def principal(self, id: str) -> Known | None:
        """Return a principal and whether it is good, None if there is none of this id here."""
        ...


class Scope(Struct, frozen=True):
    """Whether something is allowed, and within what.

    filter  fields of those that a kind calls its `scope`, and the values each may have: resources with another one look as if
            they did not exist, and none can be written; None: no such bounds. What cannot be bounded so is then refused
    """

    allowed: bool
    filter: Mapping[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        if any(isinstance(values, str) for values in (self.filter or {}).values()):
            raise TypeError("each field of a filter has a tuple of values, not one string")

    def covers(self, scope: Collection[str], resource: Mapping[str, Any]) -> bool:
        """Say whether a resource is within, `id` among its fields; `scope` are those that its kind says it is bounded by."""
        if self.filter is None:
            return self.allowed
        within = all(field in scope and resource.get(field) in values for field, values in self.filter.items())
        return self.allowed and within


ALLOWED = Scope(allowed=True)
DENIED = Scope(allowed=False)


class Authorizer(Protocol):
    """Decides who may do what, on both planes.

    One that has an attribute `principals` is asked about principals of those kinds alone.
    Authorizers are asked in plugin order, and the first opinion counts. Without one the principal's grants decide; without a
    grant it is denied. Asked for each request, so no I/O for what was asked before.
    """

    def authorize(
        self, principal: Principal, action: str, kind: str, id: str | None
    ) -> Scope | Awaitable[Scope | None] | None:
        """Return whether this is allowed, None for no opinion.

        `action` and `kind` are what the route declares (`list`, `read`, `create`, `replace`, `patch`, `delete`, `restore`, an
        action of the kind), or `use` and `models` for a name in a call. `id` is None where the route names no resource.
        """
        ...
