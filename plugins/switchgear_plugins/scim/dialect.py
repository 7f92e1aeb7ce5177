"""`/scim/v2`: the routes, and how users and groups look there."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from switchgear.contracts.dialect import InferenceEndpoint, Route, RouteReply, RouteRequest, WebSocketRoute
from switchgear.contracts.resource import Resource
from switchgear.contracts.sessions import User
from switchgear.errors import ApiError, InvalidRequest
from switchgear_plugins.scim import described, messages
from switchgear_plugins.scim.messages import (
    GROUP,
    MEDIA_TYPE,
    USER,
    Patch,
    listed,
    operations,
    reply,
    text,
    truth,
    wanted,
)
from switchgear_plugins.scim.people import People
from switchgear_plugins.scim.resources import Group

BASE = "/scim/v2"
KIND = "scim"
_TYPES = (MEDIA_TYPE, "application/json")
_ONE_MEMBER = re.compile(r'members\[value eq "([^"]{1,200})"\]')
_USER_PATHS = {
    "username": "username", "externalid": "subject", "displayname": "name", "name": "name", "name.formatted": "name",
    "emails": "email", 'emails[type eq "work"].value': "email", "emails.value": "email", "active": "status",
}  # fmt: skip
_FILTERS: Mapping[str, Callable[[User], str | None]] = {
    "id": lambda it: it.id,
    "username": lambda it: it.username.casefold(),
    "externalid": lambda it: it.subject,
    "displayname": lambda it: it.name,
    "emails.value": lambda it: it.email,
    'emails[type eq "work"].value': lambda it: it.email,
    "active": lambda it: str(it.active).lower(),
}
"""What users are found by."""
Handler: TypeAlias = Callable[[RouteRequest], Awaitable[RouteReply]]


class ScimDialect:
    """The routes and the shape of their errors. `people` is asked for once there are resources."""

    name = "scim"
    request_id_header: bytes | None = None
    retry_count_header = b""
    inference: tuple[InferenceEndpoint, ...] = ()

    def __init__(self, people: People) -> None:
        self._people = people
        self.routes: tuple[Route | WebSocketRoute, ...] = (
            *(Route("GET", f"{BASE}/{path}", _says(body), action="list", kind=KIND, gives=(MEDIA_TYPE,))
              for path, body in described.DOCUMENTS.items()),
            *_routes("Users", (self.list_users, self.make_user, self.read_user, self.put_user, self.patch_user, self.drop_user)),
            *_routes(
                "Groups",
                (self.list_groups, self.make_group, self.read_group, self.put_group, self.patch_group, self.drop_group),
            ),
        )  # fmt: skip

    def error(self, error: ApiError, request_id: str) -> bytes:  # noqa: ARG002 - the shape of Dialect
        """Encode an error."""
        return messages.error(error)

    async def list_users(self, request: RouteRequest) -> RouteReply:
        """List users."""
        found, only = self._people.users(), wanted(request)
        if only is not None:
            attribute, value = only
            read = _FILTERS.get(attribute)
            if read is None:
                raise InvalidRequest(f"Users are not found by `{attribute}`.", code="invalidFilter", param="filter")
            found = [it for it in found if read(it) == (value.casefold() if attribute == "username" else value)]
        return listed(request, sorted(found, key=lambda it: it.id), self._users)

    async def make_user(self, request: RouteRequest) -> RouteReply:
        """Make a user."""
        user = await self._people.create(_user_fields(await request.json(dict[str, Any])))
        return reply(self._user(user), 201, f"{BASE}/Users/{user.id}")

    async def read_user(self, request: RouteRequest) -> RouteReply:
        """Show a user."""
        return reply(self._user(self._people.user(request.params["id"])))

    async def put_user(self, request: RouteRequest) -> RouteReply:
        """Replace a user."""
        said = {"name": None, "email": None, "subject": None} | _user_fields(await request.json(dict[str, Any]))
        return reply(self._user(await self._people.change(request.params["id"], said)))

    async def patch_user(self, request: RouteRequest) -> RouteReply:
        """Change a user."""
        said: dict[str, Any] = {}
        for verb, path, value in operations(await request.json(Patch)):
            if (field := _USER_PATHS.get(path)) is not None:
                said |= _field(field, path, None if verb == "remove" else value)
        return reply(self._user(await self._people.change(request.params["id"], said)))

    async def drop_user(self, request: RouteRequest) -> RouteReply:
        """Delete a user."""
        await self._people.delete(request.params["id"])
        return RouteReply(status=204)

    async def list_groups(self, request: RouteRequest) -> RouteReply:
        """List groups."""
        found, only = self._people.groups(), wanted(request)
        if only is not None:
            attribute, value = only
            if attribute not in ("id", "displayname", "externalid"):
                raise InvalidRequest(f"Groups are not found by `{attribute}`.", code="invalidFilter", param="filter")
            found = [
                it for it in found
                if value == {"id": it.id, "displayname": it.spec.display_name, "externalid": it.spec.external_id}[attribute]
            ]  # fmt: skip
        bare = "members" in request.query.get("excludedAttributes", "").split(",")
        return listed(
            request, sorted(found, key=lambda it: it.id), lambda page: [self._group(it, bare=bare) for it in page]
        )

    async def make_group(self, request: RouteRequest) -> RouteReply:
        """Make a group."""
        group = await self._people.create_group(_group_fields(await request.json(dict[str, Any])))
        return reply(self._group(group), 201, f"{BASE}/Groups/{group.id}")

    async def read_group(self, request: RouteRequest) -> RouteReply:
        """Show a group."""
        return reply(self._group(self._people.group(request.params["id"])))

    async def put_group(self, request: RouteRequest) -> RouteReply:
        """Replace a group."""
        said = {"members": []} | _group_fields(await request.json(dict[str, Any]))
        return reply(self._group(await self._people.change_group(request.params["id"], said)))

    async def patch_group(self, request: RouteRequest) -> RouteReply:
        """Change a group."""
        group = self._people.group(request.params["id"])
        for verb, path, value in operations(await request.json(Patch)):
            group = await self._people.change_group(group.id, _group_change(verb, path, value))
        return reply(self._group(group))

    async def drop_group(self, request: RouteRequest) -> RouteReply:
        """Delete a group."""
        await self._people.delete_group(request.params["id"])
        return RouteReply(status=204)

    def _user(self, user: User) -> dict[str, Any]:
        [shown] = self._users([user])
        return shown

    def _users(self, users: Sequence[User]) -> list[dict[str, Any]]:
        groups = self._people.groups_of([it.id for it in users])
        return [_shown(it, groups[it.id]) for it in users]

    def _group(self, group: Resource[Group], *, bare: bool = False) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "schemas": [GROUP], "id": group.id, "displayName": group.spec.display_name,
            "meta": {"resourceType": "Group", "location": f"{BASE}/Groups/{group.id}"},
        }  # fmt: skip
        if group.spec.external_id is not None:
            shown["externalId"] = group.spec.external_id
        if not bare:
            users = filter(None, map(self._people.find, group.spec.members))
            shown["members"] = [{"value": it.id, "display": it.username} for it in users]
        return shown


def _routes(name: str, handlers: Sequence[Handler]) -> list[Route]:
    """Return the routes of a type of resource: list, create, read, replace, patch, delete."""
    every, one = f"{BASE}/{name}", f"{BASE}/{name}/{{id}}"
    verbs = (
        ("GET", every, "list"), ("POST", every, "create"), ("GET", one, "read"), ("PUT", one, "replace"), ("PATCH", one, "patch"),
        ("DELETE", one, "delete"),
    )  # fmt: skip
    return [
        Route(
            method,
            path,
            handler,
            action=action,
            kind=KIND,
            takes=_TYPES if method[0] == "P" else (),
            gives=(MEDIA_TYPE,),
        )
        for (method, path, action), handler in zip(verbs, handlers, strict=True)
    ]


def _shown(user: User, groups: Sequence[Resource[Group]]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "schemas": [USER], "id": user.id, "userName": user.username, "active": user.active, "externalId": user.subject,
        "groups": [{"value": it.id, "display": it.spec.display_name} for it in groups],
        "meta": {"resourceType": "User", "location": f"{BASE}/Users/{user.id}"},
    }  # fmt: skip
    if user.name is not None:
        shown |= {"displayName": user.name, "name": {"formatted": user.name}}
    if user.email is not None:
        shown["emails"] = [{"value": user.email, "type": "work", "primary": True}]
    return shown


def _says(body: Any) -> Any:
    async def answer(request: RouteRequest) -> RouteReply:  # noqa: ARG001 - the shape of a handler
        return reply(body)

    return answer


def _user_fields(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a user that a body has."""
    found: dict[str, Any] = {}
    for name in ("name", "displayName", "userName", "externalId", "emails", "active"):
        if name in said:
            found |= _field(_USER_PATHS[name.lower()], name.lower(), said[name])
    if not found.get("username"):
        raise InvalidRequest("`userName` is missing.", code="invalidValue", param="userName")
    return found


def _field(field: str, path: str, value: Any) -> dict[str, Any]:
    """Return a field of a user as an attribute says it; nothing where the attribute does not say it."""
    if field == "status":
        return {"status": "active" if value is not None and truth(value) else "disabled"}
    if path == "name" and isinstance(value, Mapping):
        parts = (value.get("givenName"), value.get("familyName"))
        value = value.get("formatted") or " ".join(it for it in parts if isinstance(it, str) and it) or None
    if path == "emails" and isinstance(value, list):
        entries = [it for it in value if isinstance(it, Mapping)]
        value = next((it.get("value") for it in sorted(entries, key=lambda it: it.get("primary") is not True)), None)
    if field == "username" and not value:
        raise InvalidRequest("`userName` stays.", code="invalidValue", param="userName")
    return {field: text(value, path)}


def _group_fields(said: Mapping[str, Any]) -> dict[str, Any]:
    name = text(said.get("displayName"), "displayName")
    if name is None:
        raise InvalidRequest("`displayName` is missing.", code="invalidValue", param="displayName")
    found: dict[str, Any] = {"display_name": name, "members": _ids(said.get("members") or [])}
    if (external := text(said.get("externalId"), "externalId")) is not None:
        found["external_id"] = external
    return found


def _group_change(verb: str, path: str, value: Any) -> dict[str, Any]:
    """Return what an operation changes of a group."""
    if path == "displayname" and verb != "remove":
        return {"display_name": text(value, path)}
    if path == "externalid" and verb != "remove":
        return {"external_id": text(value, path)}
    if path == "members":
        if verb == "remove" and value is None:
            return {"members": []}
        return {{"add": "add", "remove": "remove", "replace": "members"}[verb]: _ids(value)}
    if verb == "remove" and (one := _ONE_MEMBER.fullmatch(path)) is not None:
        return {"remove": [one[1]]}
    return {}


def _ids(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    ids = [it.get("value") if isinstance(it, Mapping) else None for it in entries]
    if not all(isinstance(it, str) for it in ids):
        raise InvalidRequest('`members` are `[{"value": "ID"}]`.', code="invalidValue", param="members")
    return [it for it in ids if isinstance(it, str)]
