"""`/admin/v1/auth/…`: signing in and out, one's own session, and the first administrator."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from msgspec import Meta, Struct

from switchgear.admin.bodies import read
from switchgear.contracts.principal import Credentials, Principal
from switchgear.contracts.sessions import Way
from switchgear.errors import PermissionDenied
from switchgear_plugins.tenancy.front_door import FrontDoor, SignedIn
from switchgear_plugins.tenancy.keeper import cookie_of
from switchgear_plugins.tenancy.people import LiveUser
from switchgear_plugins.tenancy.roles import SESSION
from switchgear_plugins.tenancy.sessions import Sessions
from switchgear_plugins.tenancy.settings import LONGEST, TenancySettings
from switchgear_plugins.tenancy.setup import Setup

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

AnyRequest = Request[Any, Any, Any]
_BASE = "/admin/v1/auth"
_TAGS = ["auth"]
_OPEN = {"action": "enter", "resource": SESSION, "public": True}
Said = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
TokenText = Annotated[str, Meta(min_length=1, max_length=8192)]


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs in. With `cookie` the session is in a cookie (HttpOnly, SameSite=Strict) instead of in tokens."""

    username: Said
    password: Said
    cookie: bool = False


class Refresh(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token; without one the session in the cookie goes on."""

    refresh_token: TokenText | None = None


class Logout(Struct, frozen=True, forbid_unknown_fields=True):
    """`everywhere` ends all sessions of the user, not this one alone."""

    everywhere: bool = False


class NewPassword(Struct, frozen=True, forbid_unknown_fields=True):
    """The password that is, and the one that shall be. All sessions end, and a new one begins."""

    current_password: Said
    new_password: Said


class FirstAdministrator(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the setup link, and who the first administrator is."""

    token: Said
    username: Said
    password: Said
    cookie: bool = False


class Person(Struct, frozen=True):
    """A user, as signing in shows it."""

    id: str
    username: str
    name: str | None
    email: str | None
    team_id: str
    team_name: str
    role: str


class Session(Struct, frozen=True):
    """A session that has begun.

    Send `access_token` as `Authorization: Bearer`; before it expires, `refresh_token` to /auth/refresh. With a session in a
    cookie both are null, and `csrf_token` goes along in the header x-csrf-token with every request that is not GET.
    """

    user: Person
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750's word
    access_token: str | None = None
    refresh_token: str | None = None
    refresh_expires_in: int | None = None
    csrf_token: str | None = None


class Me(Struct, frozen=True):
    """Who asks. `user` is null for a key and for the operator, `csrf_token` for whoever has no session in a cookie."""

    kind: str
    id: str
    name: str
    user: Person | None = None
    expires_at_us: int | None = None
    csrf_token: str | None = None


class Valid(Struct, frozen=True):
    """That the credentials are good, whose they are, and until when."""

    kind: str
    id: str
    expires_at_us: int | None
    valid: bool = True


class Ways(Struct, frozen=True):
    """How somebody may sign in here. `setup` says that there is no administrator yet, and a setup link makes one; `providers` are
    those elsewhere, each with the path of the page where it begins.
    """

    password: bool
    setup: bool
    providers: list[Way] = []


class House(Protocol):
    """What the routes need of the plugin, which has it once it has started."""

    settings: TenancySettings

    def ways(self) -> Sequence[Way]:
        """Return the ways to sign in that other plugins bring."""
        ...

    @property
    def door(self) -> FrontDoor:
        """What signs in and out."""
        ...

    @property
    def sessions(self) -> Sessions:
        """What knows sessions."""
        ...

    @property
    def setup(self) -> Setup:
        """What makes the first administrator."""
        ...


def auth_handlers(house: House) -> "list[HTTPRouteHandler]":
    """Make the routes."""
    return [*_ways_in(house), *_within(house)]


def _ways_in(house: House) -> "list[HTTPRouteHandler]":
    """Make those that take no session."""

    @get(f"{_BASE}/ways", opt=_OPEN, sync_to_thread=False, summary="How somebody may sign in", tags=_TAGS)
    def ways() -> Ways:
        return Ways(password=True, setup=house.setup.is_needed(), providers=list(house.ways()))

    @post(f"{_BASE}/login", opt={**_OPEN, "body": Login}, status_code=200, summary="Sign in", tags=_TAGS)
    async def login(request: AnyRequest) -> Response[Session]:
        body = await read(request, Login)
        return _begun(
            house, request, await house.door.login(body.username, body.password, _peer(request), in_cookie=body.cookie)
        )

    @post(
        f"{_BASE}/setup",
        opt={**_OPEN, "body": FirstAdministrator},
        status_code=200,
        summary="Make the first administrator, by the setup link",
        tags=_TAGS,
    )
    async def first(request: AnyRequest) -> Response[Session]:
        body = await read(request, FirstAdministrator)
        user = await house.setup.use(body.token, body.username, body.password, _peer(request))
        return _begun(house, request, house.door.begin(user, in_cookie=body.cookie))

    @post(
        f"{_BASE}/refresh", opt={**_OPEN, "body": Refresh}, status_code=200, summary="Go on with a session", tags=_TAGS
    )
    async def refresh(request: AnyRequest) -> Response[Session]:
        body = await read(request, Refresh)
        return _begun(house, request, house.door.refresh(body.refresh_token, _credentials(request)))

    return [ways, login, first, refresh]


def _within(house: House) -> "list[HTTPRouteHandler]":
    """Make those of a session that has begun."""

    @post(
        f"{_BASE}/logout",
        opt={"action": "end", "resource": SESSION, "body": Logout},
        status_code=204,
        summary="End the session",
        tags=_TAGS,
    )
    async def logout(request: AnyRequest) -> Response[None]:
        body = await read(request, Logout) if await request.body() else Logout()
        await house.door.logout(_user(request), everywhere=body.everywhere)
        return Response(None, status_code=204, cookies=[_cookie(request, "", 0, secure=house.settings.secure_cookies)])

    @post(
        f"{_BASE}/password",
        opt={"action": "patch", "resource": SESSION, "body": NewPassword},
        status_code=200,
        summary="Change one's own password",
        tags=_TAGS,
    )
    async def password(request: AnyRequest) -> Response[Session]:
        body = await read(request, NewPassword)
        in_cookie = _credentials(request).token is None
        made = await house.door.change_password(
            _user(request), body.current_password, body.new_password, _peer(request), in_cookie=in_cookie
        )
        return _begun(house, request, made)

    @get(
        f"{_BASE}/me", opt={"action": "read", "resource": SESSION}, sync_to_thread=False, summary="Who asks", tags=_TAGS
    )
    def me(request: AnyRequest) -> Me:
        who: Principal = request.state.principal
        user = house.sessions.user(who.id) if who.kind == "user" else None
        in_cookie = user is not None and _credentials(request).token is None
        return Me(
            who.kind,
            who.id,
            who.name,
            None if user is None else person(user),
            who.expires_us,
            house.sessions.csrf_token(str(who.session)) if in_cookie else None,
        )

    @get(
        f"{_BASE}/validate",
        opt={"action": "read", "resource": SESSION},
        sync_to_thread=False,
        summary="Whether the credentials are good",
        tags=_TAGS,
    )
    def validate(request: AnyRequest) -> Valid:
        who: Principal = request.state.principal
        return Valid(who.kind, who.id, who.expires_us)

    return [logout, password, me, validate]


def _begun(house: House, request: AnyRequest, made: SignedIn) -> Response[Session]:
    user, token, refresh = person(made.user), made.token, made.refresh
    if refresh is None:
        csrf = house.sessions.csrf_token(made.session)
        cookie = _cookie(request, token.value, token.expires_in, secure=house.settings.secure_cookies)
        return Response(Session(user, token.expires_in, csrf_token=csrf), status_code=200, cookies=[cookie])
    answer = Session(
        user,
        token.expires_in,
        access_token=token.value,
        refresh_token=refresh.value,
        refresh_expires_in=refresh.expires_in,
    )
    return Response(answer, status_code=200)


def person(user: LiveUser) -> Person:
    """Return a user as it is shown."""
    return Person(user.id, user.username, user.name, user.email, user.team_id, user.team_name, user.role)


def _cookie(request: AnyRequest, value: str, max_age: int, *, secure: bool | None) -> Cookie:
    return cookie_of(value, max_age, secure=request.scope["scheme"] == "https" if secure is None else secure)


def _user(request: AnyRequest) -> Principal:
    principal: Principal = request.state.principal
    if principal.kind != "user":
        raise PermissionDenied("Only a user has a session; these credentials are none of a user.", code="no_session")
    return principal


def _peer(request: AnyRequest) -> str | None:
    client = request.scope["client"]
    return None if client is None else client[0]


def _credentials(request: AnyRequest) -> Credentials:
    return Credentials(dict(request.scope["headers"]), _peer(request), request.method)
