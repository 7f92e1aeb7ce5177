from collections.abc import Awaitable
from hashlib import sha256

from switchgear.ambient import Ambient
from switchgear.contracts.caller import Caller
from switchgear.contracts.resource import MISSING, LiveCache
from switchgear_plugins.api_keys.live import LiveKey


class ApiKeyAuthenticator:
    """Knows callers by the SHA-256 of the whole token; status and expiry are looked at on every use.

    What is not a key is hashed and looked up like what is, so that nothing tells malformed, unknown and revoked apart.
    """

    def __init__(self, cache: LiveCache, ambient: Ambient) -> None:
        self._peek = cache.peek
        self._load = cache.load
        self._now_us = ambient.now_us

    def authenticate(self, token: str) -> Caller | Awaitable[Caller | None] | None:
        """Return the caller at once if the token was seen lately, else an awaitable that reads it from the store."""
        hash = sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        live = self._peek(hash)
        if live is MISSING:
            return self._look_up(hash)
        return None if live is None else live.admit(hash, self._now_us())

    async def _look_up(self, hash: str) -> Caller | None:
        live: LiveKey | None = await self._load(hash)
        return None if live is None else live.admit(hash, self._now_us())
