from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from switchgear.contracts.caller import Caller, Limits

if TYPE_CHECKING:
    from switchgear_plugins.api_keys.resources import ApiKey

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LIMITS = Limits()


class LiveKey:
    """A key as requests meet it: its caller, and what decides whether a secret of it is good now."""

    __slots__ = ("_active", "_expires_us", "_hash", "_previous_until_us", "caller")

    def __init__(self, id: str, key: "ApiKey") -> None:
        self.caller = Caller(
            id,
            name=key.name,
            permissions=key.permissions,
            limits=None if key.limits == _NO_LIMITS else key.limits,
            team_id=key.team_id,
            tags=key.tags,
            expires_us=_micros(key.expires_at),
        )
        self._hash = key.hash
        self._active = key.status == "active"
        self._expires_us = self.caller.expires_us
        self._previous_until_us = _micros(key.previous_until) or 0

    def admit(self, hash: str, now_us: int) -> Caller | None:
        """Return the caller if the secret with this hash, under which the key was found, is good at this time."""
        if not self._active or (self._expires_us is not None and now_us >= self._expires_us):
            return None
        if hash != self._hash and now_us >= self._previous_until_us:
            return None
        return self.caller


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return (moment - EPOCH) // timedelta(microseconds=1)
