"""The gateway's own token at Vault: got when first needed, renewed before its lease ends, got anew when it is refused.

Facts from https://developer.hashicorp.com/vault/api-docs (index, auth/approle, auth/kubernetes, auth/token).
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.errors import EgressDenied, SecretUnavailable, UpstreamError
from switchgear_plugins.vault.settings import VaultSettings

if TYPE_CHECKING:
    import httpx

OK, DENIED = 200, 403
_RENEW_AT = 2 / 3
_REFUSED_LOGIN = frozenset({400, 401, 403, 404})
_FAILED = 500
_UNWELL: Mapping[int, str] = MappingProxyType(
    {
        412: "has not yet what was written last (status 412); it is tried again",
        429: "limits the rate of requests (status 429): raise the gateway's quota; it is tried again",
        503: "is sealed or down for maintenance (status 503): unseal it",
    }
)
"""Answers that say nothing of the request itself."""


class Token(Struct, frozen=True, eq=False):
    """A token and its lease: `lease_s` seconds from `got` on the monotonic clock, 0 where it has no end that is known."""

    value: str
    got: float
    lease_s: float = 0
    renewable: bool = False

    def __repr__(self) -> str:
        return "Token(***)"

    def ended(self, now: float) -> bool:
        """Say whether its lease is over."""
        return self.lease_s > 0 and now >= self.got + self.lease_s

    def due(self, now: float) -> bool:
        """Say whether it is time to renew it."""
        return self.renewable and self.lease_s > 0 and now >= self.got + self.lease_s * _RENEW_AT


class _Auth(Struct, frozen=True):
    client_token: str = ""
    lease_duration: float = 0
    renewable: bool = False


class _Lookup(Struct, frozen=True):
    ttl: float = 0
    renewable: bool = False


class _Answer(Struct, frozen=True):
    auth: _Auth | None = None
    data: _Lookup | None = None


class VaultSession:
    """Sends requests with a token that is good. `client` makes the HTTP client, once, at `connect` or the first request.

    Every method raises `SecretUnavailable` when Vault cannot be reached, is sealed or refuses the login.
    """

    def __init__(self, settings: VaultSettings, client: Callable[[], "httpx.AsyncClient"], ambient: Ambient) -> None:
        self._settings = settings
        self._make_client = client
        self._client: httpx.AsyncClient | None = None
        self._ambient = ambient
        self._base = settings.url.rstrip("/") + "/v1/"
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    def connect(self) -> "httpx.AsyncClient":
        """Return the client, making it if there is none yet."""
        if self._client is None:
            self._client = self._make_client()
        return self._client

    async def read(self, path: str, query: str = "", namespace: str | None = None) -> "httpx.Response":
        """GET. A 403 because of the token, and not of its policies, is answered by logging in and asking once more."""
        token = await self._usable()
        answer = await self._send("GET", path, query, namespace=namespace, token=token)
        if answer.status_code == DENIED and (await self._look_up(token)).status_code == DENIED:
            token = await self._usable(refused=token)
            answer = await self._send("GET", path, query, namespace=namespace, token=token)
        return answer

    async def keep(self) -> None:
        """Renew the token if it is time, so that it also outlives a night without requests."""
        if self._token is not None:
            await self._usable()

    async def _usable(self, refused: Token | None = None) -> Token:
        async with self._lock:  # whoever comes meanwhile gets the token of this login
            token, now = self._token, self._ambient.monotonic()
            if token is not None and (token is refused or token.ended(now)):
                token = None
            if token is not None and token.due(now):
                token = await self._renew(token)
            self._token = token or await self._log_in()
            return self._token

    async def _renew(self, token: Token) -> Token | None:
        """Return the token with its new lease; None if it cannot be renewed."""
        answer = await self._send("POST", "auth/token/renew-self", token=token, body={})
        if answer.status_code != OK:
            return None
        auth = _decode(answer).auth or _Auth()
        return Token(token.value, self._ambient.monotonic(), auth.lease_duration, auth.renewable)

    async def _log_in(self) -> Token:
        settings = self._settings
        if settings.auth == "token":
            return await self._adopt(settings.token or await _read("token_file", settings.token_file))
        if settings.auth == "approle":
            body: dict[str, str | None] = {"role_id": settings.role_id}
            if settings.secret_id is not None or settings.secret_id_file is not None:
                body["secret_id"] = settings.secret_id or await _read("secret_id_file", settings.secret_id_file)
        else:
            body = {"role": settings.role, "jwt": await _read("jwt_file", settings.jwt_file)}
        mount = quote(settings.auth_mount or settings.auth)
        answer = await self._send("POST", f"auth/{mount}/login", body=body)
        if answer.status_code in _REFUSED_LOGIN:
            raise SecretUnavailable(
                f"Vault refuses the login by {settings.auth} (status {answer.status_code}): check what [plugins.vault] in "
                "plugins.toml says of it, `auth_mount` and `namespace` included, and the role in Vault"
            )
        auth = _decode(answer).auth
        if auth is None or not auth.client_token:
            raise SecretUnavailable(
                f"Vault's answer to the login by {settings.auth} (status {answer.status_code}) has no token"
            )
        return Token(auth.client_token, self._ambient.monotonic(), auth.lease_duration, auth.renewable)

    async def _adopt(self, value: str) -> Token:
        """Return a token that was given, with the lease that Vault says it has, if it may ask."""
        token = Token(value, self._ambient.monotonic())
        answer = await self._look_up(token)
        if answer.status_code != OK:
            return token
        lease = _decode(answer).data or _Lookup()
        return Token(value, token.got, lease.ttl, lease.renewable)

    async def _look_up(self, token: Token) -> "httpx.Response":
        return await self._send("GET", "auth/token/lookup-self", token=token)

    async def _send(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        token: Token | None = None,
        namespace: str | None = None,
        body: Any = None,
    ) -> "httpx.Response":
        """Send one request. `path` is encoded already. What says nothing of the request itself is raised."""
        headers = {"x-vault-request": "true"}
        if (namespace := namespace or self._settings.namespace) is not None:
            headers["x-vault-namespace"] = namespace
        if token is not None:
            headers["x-vault-token"] = token.value
        client = self.connect()
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = await client.request(method, self._base + path + query, headers=headers, content=content)
        except Exception as error:
            cause = error.__cause__
            if not isinstance(cause, (UpstreamError, TimeoutError)):
                raise
            why = (
                str(cause)
                if isinstance(cause, EgressDenied)
                else f"{type(cause).__name__}; check `url` and that it is up"
            )
            raise SecretUnavailable(f"Vault at {self._settings.url} cannot be reached: {why}") from error
        if answer.is_redirect:
            raise SecretUnavailable("Vault answered with a redirect: name the active node in `url` of [plugins.vault]")
        if (unwell := _UNWELL.get(answer.status_code)) is not None:
            raise SecretUnavailable(f"Vault {unwell}")
        if answer.status_code >= _FAILED:
            raise SecretUnavailable(f"Vault failed with status {answer.status_code}; its log says why")
        return answer


def _decode(answer: "httpx.Response") -> _Answer:
    try:
        return msgspec.json.decode(answer.content, type=_Answer)
    except msgspec.DecodeError as error:
        raise SecretUnavailable(
            f"what answers at `url` of [plugins.vault] does not speak like Vault (status {answer.status_code}): check the address"
        ) from error


async def _read(setting: str, file: str | None) -> str:
    try:
        text = (await asyncio.to_thread(Path(file or "").read_text)).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
        raise SecretUnavailable(f"`{setting}` of [plugins.vault], {file}, cannot be read: {why}") from None
    if not text:
        raise SecretUnavailable(f"`{setting}` of [plugins.vault], {file}, is empty")
    return text
