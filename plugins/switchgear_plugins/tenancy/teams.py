"""The resource kind `teams`: the unit of ownership. Every user and key belongs to one."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.principal import EVERYTHING, USE, Grant, Principal
from switchgear.contracts.resource import Prepared, Resource, ResourceKind, View
from switchgear.errors import ValidationFailed
from switchgear_plugins.tenancy.people import ADMINISTRATORS, LiveTeam

KIND = "teams"
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=100)], Annotated[str, Meta(max_length=1000)]], Meta(max_length=50)
]


class TeamPermissions(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that members and keys of a team may use: `["*"]` is everything, `["provider/*"]` what begins so, `[]` nothing."""

    models: tuple[str, ...] = ("*",)
    knowledge_bases: tuple[str, ...] = ("*",)
    prompts: tuple[str, ...] = ("*",)
    chains: tuple[str, ...] = ("*",)
    workflows: tuple[str, ...] = ("*",)

    def grants(self) -> tuple[Grant, ...]:
        """Return what may be used."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return tuple(Grant(USE, name.replace("_", "-"), ids) for name, ids in found.items() if ids)


class TeamInput(Struct, frozen=True, forbid_unknown_fields=True):
    """Users and keys that belong together. A suspended one refuses them.

    `members_may_create_keys` lets members make keys of their own, of which `keys_per_member` at most are not revoked.
    """

    name: Name
    permissions: TeamPermissions = TeamPermissions()
    members_may_create_keys: bool = True
    keys_per_member: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    status: Literal["active", "suspended"] = "active"
    metadata: Metadata = {}


class Team(TeamInput, frozen=True, forbid_unknown_fields=True):
    """Users and keys that belong together. A suspended one refuses them."""

    last_left: str | None = None


_OF_OPERATORS = ("permissions", "status", "keys_per_member")
"""What an owner of the team may not widen."""


def teams() -> ResourceKind[Team, LiveTeam]:
    """Declare the kind."""
    return ResourceKind(
        name=KIND,
        title="team",
        group="Access",
        spec=Team,
        input=TeamInput,
        hidden=("last_left",),
        prepare=_prepare,
        compile=_compile,
        refuse_delete=_refuse_delete,
        scope=("id",),
    )


def _prepare(new: TeamInput, previous: Team | None, by: Principal) -> Prepared[Team]:
    if not by.holds(EVERYTHING):
        before = previous or Team(name="")
        errors = [
            (f"/{field}", "is for administrators to change")
            for field in _OF_OPERATORS
            if getattr(new, field) != getattr(before, field)
        ]
        if errors:
            raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in errors), errors)
    last_left = None if previous is None else previous.last_left
    return Prepared(Team(**msgspec.structs.asdict(new), last_left=last_left))


def _compile(resource: Resource[Team], view: View) -> LiveTeam:  # noqa: ARG001 - the shape of ResourceKind.compile
    team = resource.spec
    if resource.id == ADMINISTRATORS and team.status != "active":
        raise ValueError("the administrators cannot be suspended: nobody could undo it")
    return LiveTeam(
        resource.id,
        team.name,
        team.status == "active",
        team.permissions.grants(),
        team.members_may_create_keys,
        team.keys_per_member,
        team.last_left,
    )


def _refuse_delete(resource: Resource[Any], by: Principal) -> str | None:  # noqa: ARG001 - the shape of ResourceKind.refuse_delete
    return "the team of the administrators is the gateway's own and stays" if resource.id == ADMINISTRATORS else None
