from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from switchgear.ambient import Ambient
from switchgear.contracts.principal import Credentials, Known, Principal
from switchgear.contracts.resource import MISSING, LiveCache, Resource
from switchgear_plugins.api_keys.live import NOBODY, LiveKey


class ApiKeyAuthenticator:
    """Knows principals by the SHA-256 of the whole token; status and expiry are looked at on every use.

    What is not a key is hashed and looked up like what is, so that nothing tells malformed, unknown and revoked apart.
    `read` returns a key as it is stored, by id; `note` is told which key was good, and when (microseconds since the epoch).
    """

    def __init__(
        self,
        cache: LiveCache,
        ambient: Ambient,
        read: Callable[[str], Awaitable[Resource[Any] | None]],
        note: Callable[[str, int], None],
    ) -> None:
        self._read = read
        self._note = note
        self._peek = cache.peek
        self._load = cache.load
        self._now_us = ambient.now_us

    def authenticate(self, credentials: Credentials) -> Principal | Awaitable[Principal | None] | None:
        """Return the principal at once if the token was seen lately, else an awaitable that reads it from the store."""
        token = credentials.token
        if token is None:
            return None
        hash = sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        live = self._peek(hash)
        if live is MISSING:
            return self._look_up(hash)
        now_us = self._now_us()
        principal: Principal | None = (NOBODY if live is None else live).admit(hash, now_us)
        if principal is not None:
            self._note(principal.id, now_us)
        return principal

    async def principal(self, id: str) -> Known | None:
        """Read a key from the store and say how it stands."""
        resource = await self._read(id)
        if resource is None:
            return None
        principal, status = LiveKey(resource.id, resource.spec).principal, resource.spec.status
        if status != "active":
            return Known(principal, f"key_{status}")
        is_over = principal.expires_us is not None and self._now_us() >= principal.expires_us
        return Known(principal, "key_expired" if is_over else None)

    async def _look_up(self, hash: str) -> Principal | None:
        live: LiveKey | None = await self._load(hash)
        now_us = self._now_us()
        principal = None if live is None else live.admit(hash, now_us)
        if principal is not None:
            self._note(principal.id, now_us)
        return principal
