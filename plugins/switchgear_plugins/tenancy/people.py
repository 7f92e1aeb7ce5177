"""Users as requests meet them."""

from msgspec import Struct

from switchgear.contracts.principal import Grant, Principal
from switchgear_plugins.tenancy.roles import grants


class Claims(Struct, frozen=True):
    """What a token says: whose it is, of which session, of which age of the user's sessions, until when (seconds)."""

    iss: str
    aud: str
    sub: str
    sid: str
    epoch: int
    iat: int
    exp: int


class LiveUser(Struct, frozen=True, eq=False):
    """A user, and what decides whether a session is good now."""

    id: str
    username: str
    email: str | None
    name: str | None
    team_id: str
    team_name: str
    role: str
    active: bool
    password_hash: str | None
    epoch: int
    ended: frozenset[str]
    granted: tuple[Grant, ...]

    def is_good(self, session: str | None, epoch: int) -> bool:
        """Say whether a session has not been ended."""
        return self.active and epoch == self.epoch and session not in self.ended

    def principal(self, session: str | None = None, expires_us: int | None = None) -> Principal:
        """Return who it is in a session."""
        return Principal(
            self.id,
            "user",
            name=self.username,
            labels={"user": self.id, "team": self.team_id},
            grants=(*grants(self.team_id, self.role), *self.granted),
            facts={"role": self.role, "epoch": self.epoch},
            session=session,
            expires_us=expires_us,
        )
