"""Users and groups, as the identity provider has them and as they are here."""

from collections.abc import Collection, Mapping
from typing import Any

from switchgear import Context
from switchgear.contracts.principal import operator
from switchgear.contracts.resource import Resource
from switchgear.contracts.sessions import User
from switchgear.errors import ApiError, NotFound
from switchgear_plugins.scim.resources import KIND as GROUPS
from switchgear_plugins.scim.resources import Group
from switchgear_plugins.scim.settings import ScimSettings

BY = operator("scim")
USERS, KEYS = "users", "api-keys"
_MOST_KEYS = 100_000


class People:
    """Those of one identity provider. Other users are not there: it neither sees nor changes them."""

    def __init__(self, context: Context, settings: ScimSettings) -> None:
        self._context = context
        self._settings = settings

    def users(self) -> list[User]:
        """Return the users."""
        everybody: Mapping[str, User] = self._context.resources.snapshot.all(USERS)
        return [it for it in everybody.values() if it.issuer == self._settings.issuer]

    def find(self, id: str) -> User | None:
        """Return one of them, None if it is none."""
        found: User | None = self._context.resources.snapshot.live(USERS, id)
        return None if found is None or found.issuer != self._settings.issuer else found

    def user(self, id: str) -> User:
        """Return one. Raises `NotFound`."""
        found = self.find(id)
        if found is None:
            raise NotFound("There is no such user.", code="not_found")
        return found

    async def create(self, said: Mapping[str, Any]) -> User:
        """Make a user."""
        more = {"team_id": self._settings.team, "role": self._settings.role, "issuer": self._settings.issuer}
        subject = said.get("subject") or said.get("username")
        made = await self._context.resources.create(USERS, None, {**said, **more, "subject": subject}, by=BY)
        return self.user(str(made["id"]))

    async def change(self, id: str, said: Mapping[str, Any]) -> User:
        """Change some fields of a user. A disabled one loses sessions and keys at once."""
        user = self.user(id)
        if said.get("subject", "") is None:
            said = {**said, "subject": said.get("username") or user.username}
        if said:
            await self._context.resources.update(USERS, id, said, by=BY)
        return self.user(id)

    async def delete(self, id: str) -> None:
        """End a user, their sessions and their keys."""
        self.user(id)
        resources = self._context.resources
        await resources.update(USERS, id, {"status": "disabled"}, by=BY)
        for kind, key in await self._context.store.references_to(USERS, id, limit=_MOST_KEYS):
            if kind == KEYS:
                await resources.delete(kind, key, by=BY)
        await resources.delete(USERS, id, by=BY)
        for group in self.groups():
            if id in group.spec.members:
                await resources.act(GROUPS, group.id, "change", {"remove": [id]}, by=BY)

    def groups(self) -> list[Resource[Group]]:
        """Return the groups."""
        return list(self._context.resources.snapshot.all(GROUPS).values())

    def group(self, id: str) -> Resource[Group]:
        """Return one. Raises `NotFound`."""
        found: Resource[Group] | None = self._context.resources.snapshot.live(GROUPS, id)
        if found is None:
            raise NotFound("There is no such group.", code="not_found")
        return found

    def groups_of(self, ids: Collection[str]) -> Mapping[str, list[Resource[Group]]]:
        """Return those that each of some users is in."""
        found: dict[str, list[Resource[Group]]] = {id: [] for id in ids}
        for group in self.groups():
            for id in group.spec.members:
                if id in found:
                    found[id].append(group)
        return found

    async def create_group(self, said: Mapping[str, Any]) -> Resource[Group]:
        """Make a group."""
        made = await self._context.resources.create(GROUPS, None, said, by=BY)
        group = self.group(str(made["id"]))
        await self._follow(group.spec.members)
        return group

    async def change_group(self, id: str, said: Mapping[str, Any]) -> Resource[Group]:
        """Change a group, and what its members are."""
        before = self.group(id).spec
        await self._context.resources.act(GROUPS, id, "change", said, by=BY)
        group = self.group(id)
        await self._follow(dict.fromkeys((*before.members, *group.spec.members)))
        return group

    async def delete_group(self, id: str) -> None:
        """Forget a group."""
        members = self.group(id).spec.members
        await self._context.resources.delete(GROUPS, id, by=BY)
        await self._follow(members)

    async def _follow(self, ids: Collection[str]) -> None:
        """Give users the team and role that their groups say. Raises what one of them ran into, once all have been seen to."""
        if not self._settings.groups:
            return
        members = {it.spec.display_name: frozenset(it.spec.members) for it in self.groups()}
        failed: ApiError | None = None
        for user in filter(None, map(self.find, ids)):
            rules = (it for it in self._settings.groups if user.id in members.get(it.group, ()))
            rule = next(rules, None)
            team, role = (self._settings.team, self._settings.role) if rule is None else (rule.team, rule.role)
            if (user.part_of, user.role) == (team, role):
                continue
            try:
                await self._context.resources.update(USERS, user.id, {"team_id": team, "role": role}, by=BY)
            except ApiError as error:
                failed = error
        if failed is not None:
            raise failed
