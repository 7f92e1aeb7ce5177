"""What is stored of an API key, and what its permissions grant."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

from switchgear.contracts.principal import EVERYTHING, USE, Grant
from switchgear.contracts.resource import Problem

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Tags = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(max_length=50)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=100)], Annotated[str, Meta(max_length=1000)]], Meta(max_length=50)
]
OwnSecret = Annotated[str, Meta(min_length=20, max_length=512, pattern=r"^[\x21-\x7e]*$")]
_UNREAD = frozenset("?[]")
"""What stands for other characters elsewhere, and here for itself: no name has it."""
AtLeastOne = Annotated[int, Meta(ge=1)]


class Permissions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a key may use, by kind: `["*"]` is everything, `["provider/*"]` what begins so, `[]` nothing, else the ids listed.

    `admin` opens the admin API, and with it every resource; it lets no model be used.
    """

    models: tuple[str, ...] = ()
    knowledge_bases: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    admin: bool = False

    def used(self) -> dict[str, Grant]:
        """Return what may be used, by the field that says so."""
        found = {name: getattr(self, name) for name in self.__struct_fields__ if name != "admin"}
        return {name: Grant(USE, name.replace("_", "-"), ids) for name, ids in found.items() if ids}

    def grants(self) -> tuple[Grant, ...]:
        """Return what all of it comes to."""
        return (*self.used().values(), EVERYTHING) if self.admin else tuple(self.used().values())

    def problems(self) -> Sequence[Problem]:
        """Find ids that could never match anything."""
        wrong = "is `*`, a name, or what names begin with and a `*` behind it"
        return [
            Problem(f"/permissions/{name}/{index}", wrong)
            for name, grant in self.used().items()
            for index, id in enumerate(grant.ids)
            if not id or "*" in id[:-1] or not _UNREAD.isdisjoint(id)
        ]


class Limits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a key may ask for at once and over time. None: no limit of that sort.

    `burst` requests may come at once where there are so many per second. `outage` says what becomes of requests while shared
    counters are away: they are refused (`closed`), or each process counts its share alone (`local`).
    """

    requests_per_minute: AtLeastOne | None = None
    tokens_per_minute: AtLeastOne | None = None
    concurrent_requests: AtLeastOne | None = None
    requests_per_second: AtLeastOne | None = None
    burst: AtLeastOne | None = None
    requests_per_hour: AtLeastOne | None = None
    requests_per_day: AtLeastOne | None = None
    outage: Literal["closed", "local"] | None = None


class ApiKeyInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client may write.

    Without `permissions` a key may do nothing; it never may more than its team and the user who owns it. `key` brings a secret of
    one's own (20 to 512 printable ASCII characters) and `test` makes a `sg_test_` key, which may use models for tests alone;
    both only when the key is created. `expires_at` is RFC 3339 with a zone.
    """

    name: Name
    team_id: str | None = None
    owner_id: str | None = None
    permissions: Permissions = Permissions()
    limits: Limits = Limits()
    tags: Tags = ()
    metadata: Metadata = {}
    expires_at: Moment | None = None
    key: OwnSecret | None = None
    test: bool | None = None


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that a client calls with, as it is stored. `hash` is the SHA-256 of the whole secret in hex; `prefix` and `last4`
    let people tell keys apart.

    The status `expired` is shown, never stored: it is what `expires_at` comes to. `previous_hash` is that of the secret before
    the last rotation, good until `previous_until`.
    """

    name: str
    prefix: str
    hash: str
    last4: str
    team_id: str | None = None
    owner_id: str | None = None
    permissions: Permissions = Permissions()
    limits: Limits = Limits()
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    expires_at: Moment | None = None
    status: Literal["active", "suspended", "revoked", "expired"] = "active"
    live: bool = True
    previous_hash: str | None = None
    previous_until: Moment | None = None


class Rotate(Struct, frozen=True, forbid_unknown_fields=True):
    """The old secret stays good for `overlap_seconds` beside the new one; without, it is dead at once."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 0


def micros(moment: datetime | None) -> int | None:
    """Return a moment as microseconds since the epoch."""
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
