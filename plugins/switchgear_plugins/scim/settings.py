from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

SHORTEST = 32
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Role = Literal["owner", "admin", "member", "viewer"]


class GroupSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What members of a group are: the first of the list that has somebody counts."""

    group: Text
    team: Text
    role: Role = "member"


class ScimSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.scim].

    token    what the identity provider sends as its bearer token, 32 characters or more
    issuer   whose users they are: the `issuer` of the provider that signs them in, whose id of a user is SCIM's `externalId`
    team, role   what users are whom no group says more of
    groups   what members of groups are, by the groups' display names
    """

    token: str | None = None
    issuer: str | None = None
    team: str | None = None
    role: Role = "member"
    groups: tuple[GroupSettings, ...] = ()

    variables: ClassVar[Mapping[str, str]] = {"SCIM_TOKEN": "token"}

    def __post_init__(self) -> None:
        if len(self.token or "") < SHORTEST:
            raise ValueError(
                f"`token` (SCIM_TOKEN) has less than {SHORTEST} characters; `openssl rand -hex 32` makes one"
            )
        if not self.issuer or not self.team:
            raise ValueError("`issuer` and `team` say whose users are made, and what they belong to; set both")
