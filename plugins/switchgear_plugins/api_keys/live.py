from collections.abc import Sequence
from datetime import UTC, datetime

from switchgear.contracts.principal import Bounds, Grant, Principal, within
from switchgear_plugins.api_keys.spec import ApiKey, micros

_SESSION_LENGTH = 16


class LiveKey:
    """A key as requests meet it: a principal for each of its secrets, and what decides whether a secret is good now.

    `bounds` are whose it is: what they may not do, the key may not do either, and it is no better than they are. A test key
    may use the models `tests` alone.
    """

    __slots__ = ("_active", "_hash", "_previous", "principal")

    def __init__(self, id: str, key: ApiKey, bounds: Sequence[Bounds] = (), tests: tuple[Grant, ...] = ()) -> None:
        expires_us = micros(key.expires_at)
        grants = key.permissions.grants()
        for most in (*(it.most for it in bounds), *(() if key.live else (tests,))):
            grants = within(grants, most)
        self.principal = _principal(id, key, key.hash, expires_us, grants)
        self._hash = key.hash
        self._active = key.status == "active" and all(it.active for it in bounds)
        self._previous: Principal | None = None
        until_us = micros(key.previous_until)
        if key.previous_hash is not None and until_us is not None:
            ends_us = until_us if expires_us is None else min(until_us, expires_us)
            self._previous = _principal(id, key, key.previous_hash, ends_us, grants)

    def admit(self, hash: str, now_us: int) -> Principal | None:
        """Return the principal if the secret with this hash, under which the key was found, is good at this time."""
        principal = self.principal if hash == self._hash else self._previous
        if (
            principal is None
            or not self._active
            or (principal.expires_us is not None and now_us >= principal.expires_us)
        ):
            return None
        return principal

    def now(self, principal: Principal, now_us: int) -> Principal | None:
        """Return what a principal made of this key before has become, None if its secret is not good any more."""
        both = (self.principal, self._previous) if self._active else ()
        found = (it for it in both if it is not None and it.session == principal.session)
        return next((it for it in found if it.expires_us is None or now_us < it.expires_us), None)


def _principal(id: str, key: ApiKey, hash: str, expires_us: int | None, grants: tuple[Grant, ...]) -> Principal:
    limits = {name: most for name in key.limits.__struct_fields__ if (most := getattr(key.limits, name)) is not None}
    return Principal(
        id,
        "key",
        name=key.name,
        labels={
            "key": id,
            **{name: of for name, of in (("team", key.team_id), ("user", key.owner_id)) if of is not None},
        },
        tags=key.tags,
        grants=grants,
        facts={"limits": limits} if limits else None,
        session=hash[:_SESSION_LENGTH],
        expires_us=expires_us,
    )


NOBODY = LiveKey(
    "", ApiKey("", "", "", "", status="revoked", previous_hash="", previous_until=datetime.max.replace(tzinfo=UTC))
)
"""What a token that is no key is held against, so that who holds one that was revoked cannot tell by the time it takes."""
