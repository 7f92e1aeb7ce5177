"""Users whom another system identifies: the `SessionKeeper` for other plugins, and signing in at an outside address."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.datastructures import Cookie
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.sessions import Begun, Person, SessionKeeper
from switchgear.errors import ApiError, Conflict, PermissionDenied, Unavailable, UpstreamError
from switchgear_plugins.tenancy.front_door import BY, FrontDoor
from switchgear_plugins.tenancy.people import LiveUser
from switchgear_plugins.tenancy.sessions import COOKIE, Sessions
from switchgear_plugins.tenancy.settings import TenancySettings
from switchgear_plugins.tenancy.users import KIND as USERS

if TYPE_CHECKING:
    import httpx

_LONGEST_ANSWER = 64 * 1024
_WITHIN_S = 10.0


class Keeper:
    """The `SessionKeeper`."""

    def __init__(self, context: Context, settings: TenancySettings, sessions: Sessions, door: FrontDoor) -> None:
        self._context = context
        self._settings = settings
        self._sessions = sessions
        self._door = door

    async def admit(self, person: Person, *, create: bool = True) -> str:
        """Return the id of the user whom this is."""
        user = self._find(person)
        if user is None:
            if not create:
                raise PermissionDenied("There is no user here for whom you are elsewhere.", code="no_such_user")
            user = await self._made(person)
        if not user.active:
            raise PermissionDenied("This user is disabled.", code="user_disabled")
        said = {"email": person.email, "name": person.name, "team_id": person.part_of, "role": person.role}
        changed = {field: value for field, value in said.items() if value is not None and value != getattr(user, field)}
        if changed:
            await self._context.resources.update(USERS, user.id, changed, by=BY)
        return user.id

    def begin(self, id: str, *, in_cookie: bool, secure: bool) -> Begun:
        """Begin a session of a user."""
        user = self._sessions.user(id)
        if user is None or not user.active:
            raise PermissionDenied("This user is disabled.", code="user_disabled")
        made = self._door.begin(user, in_cookie=in_cookie)
        if made.refresh is not None:
            return Begun(
                made.session,
                made.token.expires_in,
                access_token=made.token.value,
                refresh_token=made.refresh.value,
            )
        cookie = cookie_of(made.token.value, made.token.expires_in, secure=secure)
        return Begun(
            made.session,
            made.token.expires_in,
            set_cookie=cookie.to_header(header=""),
            csrf_token=self._sessions.csrf_token(made.session),
        )

    async def end(self, id: str, session: str | None = None) -> None:
        """End a session of a user, or all of them."""
        await self._context.resources.act(USERS, id, "sign-out", {"session": session}, by=BY)

    def _find(self, person: Person) -> LiveUser | None:
        everybody: Mapping[str, LiveUser] = self._context.resources.snapshot.all(USERS)
        known = (it for it in everybody.values() if (it.issuer, it.subject) == (person.issuer, person.subject))
        return next(known, None)

    async def _made(self, person: Person) -> LiveUser:
        body = {
            "username": person.username,
            "email": person.email,
            "name": person.name,
            "team_id": person.part_of or self._settings.outside_team,
            "role": person.role or self._settings.outside_role,
            "issuer": person.issuer,
            "subject": person.subject,
        }
        if body["team_id"] is None:
            raise PermissionDenied("You are known, and belong to no team here.", code="no_team")
        try:
            await self._context.resources.create(USERS, None, body, by=BY)
        except Conflict as error:  # another process may have been faster; else the name is somebody else's
            if self._find(person) is None:
                message = f"There is another user `{person.username[:80]}` here already."
                raise PermissionDenied(message, code="username_taken") from error
        user = self._find(person)
        assert user is not None
        return user


class OutsideAnswer(Struct, frozen=True):
    """What an outside address says of whoever signs in there. Members it has besides are not read."""

    staff: bool = False
    subject: str | None = None
    username: str | None = None
    email: str | None = None
    name: str | None = None
    team_id: str | None = None
    role: str | None = None


class Outside:
    """Signing in by name and password at an address elsewhere (`login_url`)."""

    def __init__(self, url: str, client: "httpx.AsyncClient", keeper: SessionKeeper, log: Any) -> None:
        self._url = url
        self._client = client
        self._keeper = keeper
        self._log = log

    async def login(self, username: str, password: str) -> str | None:
        """Return the id of the user, None where the name or the password is wrong there.

        Raises `PermissionDenied` for whoever is not marked as staff, and `Unavailable`.
        """
        said = _read(await self._ask(username, password))
        if said is None:
            return None
        if not said.staff:
            raise PermissionDenied("Only staff sign in here.", code="not_staff")
        person = Person(
            self._url,
            said.subject or said.username or username,
            said.username or username,
            said.email,
            said.name,
            said.team_id,
            said.role,
        )
        try:
            return await self._keeper.admit(person)
        except ApiError as error:
            self._log.warning("a user of the login_url was not let in", reason=str(error))
            raise

    async def _ask(self, username: str, password: str) -> tuple[int, bytes]:
        """Return the status and the text of the answer. Raises `Unavailable`."""
        text = b""
        body = {"username": username, "password": password}
        try:
            async with self._client.stream("POST", self._url, json=body) as answer:
                async for piece in answer.aiter_bytes():
                    text += piece
                    if len(text) > _LONGEST_ANSWER:
                        break
        except Exception as error:
            if not isinstance(error.__cause__, (UpstreamError, TimeoutError)):
                raise
            self._log.warning("the login_url cannot be used", error=type(error.__cause__).__name__)
            raise _away("it cannot be reached") from error
        return answer.status_code, text


def _read(answer: tuple[int, bytes]) -> OutsideAnswer | None:
    """Return what is said of somebody, None where the name or the password is wrong. Raises `Unavailable`."""
    status, text = answer
    if status in (400, 401, 403, 404):
        return None
    if status != 200 or len(text) > _LONGEST_ANSWER:  # noqa: PLR2004 - a redirect would take the password elsewhere
        raise _away(f"it answered {status} and {len(text)} bytes")
    try:
        return msgspec.json.decode(text, type=OutsideAnswer)
    except msgspec.DecodeError as error:
        raise _away("it answered what cannot be read") from error


def cookie_of(value: str, max_age: int, *, secure: bool) -> Cookie:
    """Return the cookie that holds a session."""
    return Cookie(COOKIE, "/", value, max_age=max_age, httponly=True, samesite="strict", secure=secure)


def client_options() -> dict[str, Any]:
    """Return what the client of the outside address is made with."""
    return {"timeout": _WITHIN_S, "follow_redirects": False}


def _away(why: str) -> Unavailable:
    return Unavailable(
        f"Who you are is told elsewhere, and {why}; try again shortly.", code="login_unavailable", retry_after=5
    )
