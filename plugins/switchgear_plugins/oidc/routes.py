"""`/admin/v1/auth/oidc/…`: the way to a provider, the way back, and what the provider itself tells."""

import base64
import binascii
import contextlib
import hmac
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from switchgear.ambient import Ambient
from switchgear.contracts.sessions import SessionKeeper
from switchgear.errors import NotFound, PermissionDenied, UnsupportedMedia
from switchgear_plugins.oidc.provider import Flow, Provider

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

AnyRequest = Request[Any, Any, Any]
BASE = "/admin/v1/auth/oidc"
_COOKIE = "switchgear_oidc"
_OPEN = {"action": "enter", "resource": "auth", "public": True}
_TAGS = ["auth"]
_GOOD_S = 600
_MICROS = 1_000_000
_MOST_USED = 4096
_LONGEST_COOKIE = 4096
_WHERE = re.compile(r"/ui/[A-Za-z0-9._~/?=&%-]{0,500}")
_FIRST = "/ui/"
_FORM = "application/x-www-form-urlencoded"


class House(Protocol):
    """What the routes need of the plugin."""

    @property
    def url(self) -> str:
        """Where browsers reach the gateway."""
        ...

    @property
    def ambient(self) -> Ambient:
        """Time and chance."""
        ...

    @property
    def keeper(self) -> SessionKeeper:
        """Who knows users."""
        ...

    def provider(self, name: str) -> Provider | None:
        """Return a provider."""
        ...


class Doors:
    """The ways out and back of browsers. A state is good once."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._used: OrderedDict[str, None] = OrderedDict()
        self.secure = house.url.startswith("https:")
        self._path = f"{urlsplit(house.url).path}{BASE}"

    def provider(self, name: str) -> Provider:
        """Return a provider. Raises `NotFound`."""
        found = self._house.provider(name)
        if found is None:
            raise NotFound("There is no such provider here.", code="provider_not_found")
        return found

    def cookie(self, value: str, seconds: int) -> Cookie:
        """Return the cookie that ties the way back to the browser that went out."""
        return Cookie(_COOKIE, self._path, value, max_age=seconds, httponly=True, samesite="lax", secure=self.secure)

    def begin(self, name: str, where: str) -> Flow:
        """Return a new way."""
        state, nonce, verifier = (
            base64.urlsafe_b64encode(self._house.ambient.token(32)).decode().rstrip("=") for _ in range(3)
        )
        return Flow(name, state, nonce, verifier, _within(where), self._now_s() + _GOOD_S)

    def end(self, name: str, cookie: str, state: str) -> Flow:
        """Return the way that a browser comes back from. Raises `PermissionDenied` unless it went out on it, once."""
        flow = _read_flow(cookie)
        is_ours = (
            flow is not None
            and flow.provider == name
            and flow.until_s > self._now_s()
            and flow.state not in self._used
            and hmac.compare_digest(flow.state.encode(), state.encode())
        )
        if flow is None or not is_ours:
            raise PermissionDenied(
                "This browser did not begin to sign in here, or too long ago. Begin again.", code="sign_in_expired"
            )
        self._used[flow.state] = None
        if len(self._used) > _MOST_USED:
            self._used.popitem(last=False)
        return flow

    def _now_s(self) -> float:
        return self._house.ambient.now_us() / _MICROS


def handlers(house: House) -> "list[HTTPRouteHandler]":
    """Make the routes."""
    doors = Doors(house)

    @get(f"{BASE}/{{name:str}}/login", opt=_OPEN, summary="Sign in at a provider", tags=_TAGS)
    async def login(request: AnyRequest, name: FromPath[str]) -> Response[None]:
        found = doors.provider(name)
        flow = doors.begin(name, request.query_params.get("next", _FIRST))
        cookie = base64.urlsafe_b64encode(msgspec.json.encode(flow)).decode()
        return _to(await found.way_to(flow), doors.cookie(cookie, _GOOD_S))

    @get(f"{BASE}/{{name:str}}/callback", opt=_OPEN, summary="Come back from a provider", tags=_TAGS)
    async def callback(request: AnyRequest, name: FromPath[str]) -> Response[None]:
        found, said = doors.provider(name), {key: str(value) for key, value in request.query_params.items()}
        flow = doors.end(name, request.cookies.get(_COOKIE, ""), said.get("state", ""))
        person = await found.person(flow, said)
        id = await house.keeper.admit(person, create=found.settings.create)
        begun = house.keeper.begin(id, in_cookie=True, secure=doors.secure)
        return _to(f"{house.url}{_within(flow.next)}", doors.cookie("", 0), {"set-cookie": str(begun.set_cookie)})

    @post(
        f"{BASE}/{{name:str}}/backchannel-logout",
        opt=_OPEN,
        status_code=200,
        summary="Hear from a provider that somebody is logged out there",
        tags=_TAGS,
    )
    async def logout(request: AnyRequest, name: FromPath[str]) -> Response[None]:
        found = doors.provider(name)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise UnsupportedMedia(f"A logout token comes as {_FORM}.", code="unsupported_media_type")
        form = dict(parse_qsl((await request.body()).decode("latin-1"), max_num_fields=20))
        person = await found.logged_out(form.get("logout_token", ""))
        with contextlib.suppress(PermissionDenied):  # nobody who could have a session
            await house.keeper.end(await house.keeper.admit(person, create=False))
        return Response(None, status_code=200, headers={"cache-control": "no-store"})

    return [login, callback, logout]


def _within(where: str) -> str:
    """Return a path of the console, whatever was asked for: nobody is sent elsewhere from here."""
    return where if _WHERE.fullmatch(where) and ".." not in where else _FIRST


def _read_flow(cookie: str) -> Flow | None:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie[:_LONGEST_COOKIE]), type=Flow)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return None


def _to(url: str, cookie: Cookie, headers: dict[str, str] | None = None) -> Response[None]:
    more = {"location": url, "cache-control": "no-store", "referrer-policy": "no-referrer", **(headers or {})}
    return Response(None, status_code=303, headers=more, cookies=[cookie])
