"""Teams and users as requests meet them."""

from msgspec import Struct

from switchgear.contracts.principal import EVERYTHING, Grant, Principal

ADMINISTRATORS = "administrators"
"""The team whose members see to the gateway itself."""
WIDENS = frozenset({"owner", "admin"})
"""Roles that may let a key do more than it was made for."""


class Claims(Struct, frozen=True):
    """What a token says: whose it is, of which session, of which age of the user's sessions, until when (seconds)."""

    iss: str
    aud: str
    sub: str
    sid: str
    epoch: int
    iat: int
    exp: int


class LiveTeam(Struct, frozen=True):
    """A team as its users and keys meet it."""

    id: str
    name: str
    active: bool
    usable: tuple[Grant, ...]
    members_may_create_keys: bool
    keys_per_member: int | None
    last_left: str | None = None
    part_of: str | None = None

    @property
    def most(self) -> tuple[Grant, ...]:
        """What keys of the team are held to."""
        return (EVERYTHING, *self.usable) if self.id == ADMINISTRATORS else self.usable


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
    issuer: str | None
    subject: str | None
    password_hash: str | None
    epoch: int
    ended: frozenset[str]
    most: tuple[Grant, ...]

    @property
    def part_of(self) -> str:
        """The user's team: this and the other members of `Bounds` are what the user's keys are held to."""
        return self.team_id

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
            grants=self.most,
            facts={"role": self.role, "epoch": self.epoch, "resource": "users", "widens": self.role in WIDENS},
            session=session,
            expires_us=expires_us,
        )
