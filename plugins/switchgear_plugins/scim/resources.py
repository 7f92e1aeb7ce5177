"""The resource kind `scim-groups`: groups as the identity provider has them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Prepared, Resource, ResourceAction, ResourceKind

KIND = "scim-groups"
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=500)]


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """A group of an identity provider, and the ids of the users in it."""

    display_name: Name
    external_id: Annotated[str, Meta(max_length=500)] | None = None
    members: Annotated[tuple[Id, ...], Meta(max_length=50_000)] = ()


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a group: `members` stand in for those that are there, then some are added and others removed."""

    display_name: Name | None = None
    external_id: Annotated[str, Meta(max_length=500)] | None = None
    members: tuple[Id, ...] | None = None
    add: tuple[Id, ...] = ()
    remove: tuple[Id, ...] = ()


def groups() -> ResourceKind[Group, Resource[Group]]:
    """Declare the kind."""
    return ResourceKind(
        name=KIND,
        title="SCIM group",
        group="Access",
        spec=Group,
        keys=lambda group: [("scim-group-name", group.display_name.casefold())],
        id_prefix="grp_",
        restorable=False,
        actions=(ResourceAction(name="change", summary="Change a group", apply=_change, input=Change),),
    )


def _change(resource: Resource[Group], wanted: Change, by: Principal) -> Prepared[Group]:  # noqa: ARG001 - the shape of ResourceAction.apply
    group = resource.spec
    members = dict.fromkeys(group.members if wanted.members is None else wanted.members)
    members |= dict.fromkeys(wanted.add)
    for id in wanted.remove:
        members.pop(id, None)
    changed: dict[str, Any] = {"members": tuple(members)}
    changed |= {
        field: value for field in ("display_name", "external_id") if (value := getattr(wanted, field)) is not None
    }
    return Prepared(msgspec.structs.replace(group, **changed))
