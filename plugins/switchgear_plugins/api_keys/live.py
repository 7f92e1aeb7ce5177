from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from switchgear.contracts.caller import Caller, Limits

if TYPE_CHECKING:
    from switchgear_plugins.api_keys.resources import ApiKey

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LIMITS = Limits()
_TOKEN_ID_LENGTH = 16


class LiveKey:
    """A key as requests meet it: a caller for each of its secrets, and what decides whether a secret is good now."""

    __slots__ = ("_active", "_hash", "_previous", "caller")

    def __init__(self, id: str, key: "ApiKey") -> None:
        expires_us = _micros(key.expires_at)
        self.caller = _caller(id, key, key.hash, expires_us)
        self._hash = key.hash
        self._active = key.status == "active"
        self._previous: Caller | None = None
        until_us = _micros(key.previous_until)
        if key.previous_hash is not None and until_us is not None:
            ends_us = until_us if expires_us is None else min(until_us, expires_us)
            self._previous = _caller(id, key, key.previous_hash, ends_us)

    def admit(self, hash: str, now_us: int) -> Caller | None:
        """Return the caller if the secret with this hash, under which the key was found, is good at this time."""
        caller = self.caller if hash == self._hash else self._previous
        if caller is None or not self._active or (caller.expires_us is not None and now_us >= caller.expires_us):
            return None
        return caller

    def callers(self, now_us: int) -> tuple[Caller, ...]:
        """Return the callers of all secrets that are good at this time."""
        both = (self.caller, self._previous) if self._active else ()
        return tuple(one for one in both if one and (one.expires_us is None or now_us < one.expires_us))


def _caller(id: str, key: "ApiKey", hash: str, expires_us: int | None) -> Caller:
    return Caller(
        id,
        name=key.name,
        permissions=key.permissions,
        limits=None if key.limits == _NO_LIMITS else key.limits,
        team_id=key.team_id,
        tags=key.tags,
        expires_us=expires_us,
        token_id=hash[:_TOKEN_ID_LENGTH],
    )


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return (moment - EPOCH) // timedelta(microseconds=1)
