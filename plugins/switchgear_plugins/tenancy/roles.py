"""What each role may do, as data: one table that decides every admin route for users."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from switchgear.contracts.principal import DENIED, EVERYTHING, USE, Grant, Principal, Scope
from switchgear.errors import PermissionDenied
from switchgear_plugins.tenancy.people import ADMINISTRATORS, LiveTeam

Role: TypeAlias = Literal["owner", "admin", "member", "viewer"]
SESSION = "auth"
"""What the routes of one's own session are about."""
_ONES_OWN = frozenset({SESSION, "kinds", "pages", "search"})
"""What tells everybody of no more than they may see anyway."""
RANK: Mapping[str, int] = MappingProxyType({"viewer": 0, "member": 1, "admin": 2, "owner": 3})

_READ = frozenset({"list", "read"})
_KEEP_KEYS = _READ | {"create", "replace", "patch", "delete", "suspend", "activate", "revoke", "rotate"}
_KEEP_OWN_KEYS = _READ | {"create", "replace", "patch", "delete", "revoke", "rotate"}
_KEEP_USERS = _READ | {"create", "replace", "patch", "delete", "sign-out"}
_KEEP = _READ | {"create", "replace", "patch", "delete", "restore"}
_KEEP_TEAM = _READ | {"replace", "patch"}

OWN, TEAM = "own", "team"
"""How far a right reaches: what is one's own, or all of the team."""

TABLE: Mapping[str, Mapping[str, tuple[frozenset[str], str]]] = MappingProxyType(
    {
        "owner": {
            "teams": (_KEEP_TEAM, TEAM),
            "users": (_KEEP_USERS, TEAM),
            "api-keys": (_KEEP_KEYS, TEAM),
            "prompts": (_KEEP, TEAM),
            "usage": (_READ, TEAM),
        },
        "admin": {
            "teams": (_READ, TEAM),
            "users": (_KEEP_USERS, TEAM),
            "api-keys": (_KEEP_KEYS, TEAM),
            "prompts": (_KEEP, TEAM),
            "usage": (_READ, TEAM),
        },
        "member": {
            "teams": (_READ, TEAM),
            "users": (_READ, TEAM),
            "api-keys": (_KEEP_OWN_KEYS, OWN),
            "prompts": (_READ, TEAM),
            "usage": (_READ, OWN),
        },
        "viewer": {
            "teams": (_READ, TEAM),
            "users": (_READ, TEAM),
            "api-keys": (_READ, TEAM),
            "prompts": (_READ, TEAM),
            "usage": (_READ, TEAM),
        },
    }
)
"""By role and kind of resource: the actions, and how far they reach. What is not here is denied."""

_FIELDS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "teams": {TEAM: ("id",)},
        "users": {TEAM: ("team_id",)},
        "api-keys": {TEAM: ("team_id",), OWN: ("team_id", "owner_id")},
        "prompts": {TEAM: ("team_id",)},
        "usage": {TEAM: ("team_id",), OWN: ("team_id", "user_id")},
    }
)
"""The fields that say whose something is."""

_OF_TEAM = frozenset({"id", "team_id"})
_ALLOWED = Scope(allowed=True)


def administers(team_id: str, role: str) -> bool:
    """Say whether somebody may do everything on the admin side."""
    return team_id == ADMINISTRATORS and RANK[role] >= RANK["admin"]


def grants(team_id: str, role: str) -> tuple[Grant, ...]:
    """Return what comes with a role besides the use of models."""
    return (EVERYTHING,) if administers(team_id, role) else ()


class Roles:
    """The authorizer: has an opinion on users alone. What they may use is left to their grants."""

    principals = frozenset({"user"})

    def __init__(self, team: Callable[[str], LiveTeam | None], keys_of: Callable[[str, int], Awaitable[int]]) -> None:
        """`team` returns one by id, `keys_of` counts a user's keys that are good, as far as a bound."""
        self._team = team
        self._keys_of = keys_of

    def authorize(
        self,
        principal: Principal,
        action: str,
        kind: str,
        id: str | None,  # noqa: ARG002 - the shape of Authorizer
    ) -> Scope | Awaitable[Scope | None] | None:
        """Decide by the table, and new keys by what the team lets its members do."""
        if action == USE or principal.kind != "user":
            return None
        role, team = str(principal.facts.get("role")), principal.labels.get("team")
        if role not in TABLE or team is None:
            return DENIED
        if kind in _ONES_OWN:
            return _ALLOWED
        if team == ADMINISTRATORS and (RANK[role] >= RANK["admin"] or action in _READ):
            return _ALLOWED
        actions, reach = TABLE[role].get(kind, (frozenset(), TEAM))
        if action not in actions:
            return DENIED
        values = {field: (team if field in _OF_TEAM else principal.id,) for field in _FIELDS[kind][reach]}
        scope = Scope(allowed=True, filter=values)
        return (
            self._another_key(principal, team, scope) if (kind, action, reach) == ("api-keys", "create", OWN) else scope
        )

    def _another_key(self, principal: Principal, team_id: str, scope: Scope) -> Scope | Awaitable[Scope | None]:
        team = self._team(team_id)
        if team is None or not team.members_may_create_keys:
            return DENIED
        return scope if team.keys_per_member is None else self._up_to(team.keys_per_member, principal, scope)

    async def _up_to(self, most: int, principal: Principal, scope: Scope) -> Scope:
        if await self._keys_of(principal.id, most) >= most:
            raise PermissionDenied(f"Your team lets a member have {most} keys; revoke one first.", code="too_many_keys")
        return scope
