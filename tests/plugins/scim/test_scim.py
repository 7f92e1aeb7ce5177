"""An identity provider that makes, changes and ends users, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx

from switchgear.testing.context import PluginContext
from switchgear.testing.dialect_suite import DialectSuite
from switchgear.testing.gateway import Running, eventually, running
from switchgear_plugins.scim.dialect import ScimDialect
from switchgear_plugins.scim.people import People
from switchgear_plugins.scim.settings import ScimSettings

TOKEN = "canary-scim-token-of-thirty-two-characters"
ISSUER = "https://idp.example"
SAYS: dict[str, Any] = {
    "token": TOKEN, "issuer": ISSUER, "team": "red",
    "groups": [{"group": "Leads", "team": "red", "role": "admin"}, {"group": "Blues", "team": "blue"}],
}  # fmt: skip
JSON = {"content-type": "application/scim+json"}


class TestScimDialect(DialectSuite):
    bodies: ClassVar = {}

    def make(self) -> ScimDialect:
        settings = ScimSettings(TOKEN, ISSUER, "red")
        return ScimDialect(People(PluginContext("scim", Path()), settings))


class House:
    """A gateway, and the identity provider's client."""

    def __init__(self, run: Running, client: httpx.AsyncClient) -> None:
        self.run = run
        self.client = client

    async def ask(self, method: str, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = await self.client.request(method, path, json=body or None, headers=JSON if body else {})
        assert status == answer.status_code, answer.text
        return answer.json() if answer.content else {}

    async def user(self, username: str, **more: Any) -> str:
        made = await self.ask(
            "POST", "/Users", 201, userName=username, externalId=f"id-{username}", active=True, **more
        )
        return str(made["id"])

    async def patch(self, path: str, *operations: dict[str, Any]) -> dict[str, Any]:
        return await self.ask("PATCH", path, Operations=[{"op": "replace", **it} for it in operations])

    async def stands(self, id: str) -> tuple[str, str]:
        shown = (await self.run.admin.get(f"/users/{id}")).json()
        return shown["team_id"], shown["role"]


@asynccontextmanager
async def housing(directory: Path) -> AsyncIterator[House]:
    async with running(directory, plugins={"scim": SAYS}) as run:
        for team in ("red", "blue"):
            await run.create("teams", id=team, name=team.title())
        bearer = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=f"{run.url}/scim/v2", headers=bearer, timeout=60) as client:
            yield House(run, client)


async def test_users_are_made_found_changed_and_deleted(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        id = await house.user("ann", name={"givenName": "Ann", "familyName": "Lee"}, emails=[{"value": "ann@x.org"}])
        shown = await house.ask("GET", f"/Users/{id}")
        assert ("ann", "id-ann", True, "Ann Lee", "ann@x.org") == (
            shown["userName"], shown["externalId"], shown["active"], shown["name"]["formatted"], shown["emails"][0]["value"],
        )  # fmt: skip
        stored = (await house.run.admin.get(f"/users/{id}")).json()
        assert (ISSUER, "id-ann", "red", "member") == tuple(
            stored[it] for it in ("issuer", "subject", "team_id", "role")
        )
        for wanted, found in (('userName eq "ANN"', 1), ('userName eq "bob"', 0), ('externalId eq "id-ann"', 1)):
            assert found == (await house.ask("GET", f"/Users?filter={wanted}"))["totalResults"]
        await house.ask("POST", "/Users", 409, userName="ann")
        changed = await house.patch(f"/Users/{id}", {"op": "Replace", "path": "displayName", "value": "Annie"})
        assert "Annie" == changed["displayName"]
        replaced = await house.ask("PUT", f"/Users/{id}", userName="anna", externalId="id-ann")
        assert ("anna", None) == (replaced["userName"], replaced.get("displayName"))
        await house.ask("DELETE", f"/Users/{id}", 204)
        assert "404" == (await house.ask("GET", f"/Users/{id}", 404))["status"]
        assert id != await house.user("ann")


async def test_a_user_who_is_deactivated_loses_sessions_and_keys(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        id = await house.user("ann")
        plugin = next(it.plugin for it in house.run.gateway.kernel.plugins if it.installed.name == "tenancy")
        session = plugin.context.offers("sessions")["tenancy"].make().begin(id, in_cookie=False, secure=False)
        _, key = await house.run.new_key(team_id="red", owner_id=id)

        async def status(token: str | None) -> int:
            body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
            bearer = {"authorization": f"Bearer {token}"}
            return (await house.run.http.post("/v1/chat/completions", json=body, headers=bearer)).status_code

        async def both(wanted: int) -> bool:
            return [wanted] * 2 == [await status(it) for it in (session.access_token, key)]

        assert await both(200)
        shown = await house.patch(f"/Users/{id}", {"op": "Replace", "value": {"active": "False"}})
        assert shown["active"] is False
        await eventually(lambda: both(401), within=1.0)
        await house.patch(f"/Users/{id}", {"path": "active", "value": True})
        assert [401, 200] == [await status(it) for it in (session.access_token, key)]
        await house.ask("DELETE", f"/Users/{id}", 204)
        await eventually(lambda: both(401), within=1.0)


async def test_groups_say_team_and_role(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        ann, bob = await house.user("ann"), await house.user("bob")
        leads = (await house.ask("POST", "/Groups", 201, displayName="Leads", members=[{"value": ann}]))["id"]
        blues = (await house.ask("POST", "/Groups", 201, displayName="Blues", externalId="g-2"))["id"]
        await house.ask("POST", "/Groups", 409, displayName="leads")
        assert ("red", "admin") == await house.stands(ann)
        members = [{"value": ann}, {"value": bob}]
        await house.patch(f"/Groups/{blues}", {"op": "Add", "path": "members", "value": members})
        assert [("red", "admin"), ("blue", "member")] == [await house.stands(it) for it in (ann, bob)]
        await house.patch(f"/Groups/{leads}", {"op": "remove", "path": f'members[value eq "{ann}"]'})
        assert ("blue", "member") == await house.stands(ann)
        shown = await house.ask("GET", f"/Groups/{blues}")
        assert ({ann, bob}, "g-2") == ({it["value"] for it in shown["members"]}, shown["externalId"])
        assert blues == (await house.ask("GET", f"/Users/{bob}"))["groups"][0]["value"]
        await house.patch(f"/Groups/{blues}", {"path": "displayName", "value": "Others"})
        assert ("red", "member") == await house.stands(bob)
        [found] = (await house.ask("GET", '/Groups?filter=displayName eq "Others"&excludedAttributes=members'))[
            "Resources"
        ]
        assert (blues, False) == (found["id"], "members" in found)
        await house.ask("DELETE", f"/Groups/{leads}", 204)
        await house.ask("DELETE", f"/Users/{ann}", 204)
        assert [bob] == [it["value"] for it in (await house.ask("GET", f"/Groups/{blues}"))["members"]]


async def test_members_who_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        ids = [await house.user(f"u{number}") for number in range(12)]
        blues = (await house.ask("POST", "/Groups", 201, displayName="Blues"))["id"]
        adds = ({"op": "add", "path": "members", "value": [{"value": id}]} for id in ids)
        await asyncio.gather(*(house.patch(f"/Groups/{blues}", it) for it in adds))
        shown = await house.ask("GET", f"/Groups/{blues}")
        assert set(ids) == {it["value"] for it in shown["members"]}
        assert {("blue", "member")} == {await house.stands(id) for id in ids}


async def test_the_last_administrator_stays_and_the_others_move(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        ann = await house.user("ann")
        await house.run.patch(f"/users/{ann}", team_id="administrators", role="owner")
        bob = await house.user("bob")
        blues = (await house.ask("POST", "/Groups", 201, displayName="Blues"))["id"]
        members = [{"value": ann}, {"value": bob}]
        body = [{"op": "add", "path": "members", "value": members}]
        await house.ask("PATCH", f"/Groups/{blues}", 409, Operations=body)
        assert [("administrators", "owner"), ("blue", "member")] == [await house.stands(it) for it in (ann, bob)]
        await house.ask("DELETE", f"/Users/{ann}", 409)
        assert (await house.ask("GET", f"/Users/{ann}"))["active"] is True


async def test_the_token_opens_this_alone_and_nothing_else_opens_it(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        for headers in ({}, house.run.auth, {"authorization": "Bearer x"}):
            refused = await house.run.http.get("/scim/v2/Users", headers=headers)
            assert refused.status_code in (401, 403)
            assert ["urn:ietf:params:scim:api:messages:2.0:Error"] == refused.json()["schemas"]
        mine = dict(house.client.headers)
        assert 403 == (await house.run.http.get("/admin/v1/users", headers=mine)).status_code
        body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
        assert 404 == (await house.run.http.post("/v1/chat/completions", json=body, headers=mine)).status_code


async def test_users_of_others_are_not_there(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        made = await house.run.create("users", username="ada", password="correct horse", team_id="red")
        assert 0 == (await house.ask("GET", "/Users"))["totalResults"]
        for method in ("GET", "DELETE"):
            await house.ask(method, f"/Users/{made['id']}", 404)
        await house.ask(
            "PATCH", f"/Users/{made['id']}", 404, Operations=[{"op": "replace", "path": "active", "value": False}]
        )
        await house.ask("POST", "/Users", 409, userName="ada")


async def test_what_is_no_scim_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        id = await house.user("ann")
        for wanted in (
            "userName",
            'userName co "a"',
            'password eq "x"',
            "userName eq",
            'userName eq "a" or active eq true',
        ):
            assert "invalidFilter" == (await house.ask("GET", f"/Users?filter={wanted}", 400))["scimType"]
        wrong: list[dict[str, Any]] = [
            {"op": "replace", "path": "active", "value": "perhaps"}, {"op": "drop", "path": "active"},
            {"op": "replace", "value": 1},
            {"op": "remove", "path": "userName"}, {"op": "replace", "path": "displayName", "value": {"a": 1}},
        ]  # fmt: skip
        for it in wrong:
            await house.ask("PATCH", f"/Users/{id}", 400, Operations=[it])
        for body in ({"displayName": "x"}, {"userName": 5}, {"userName": "a b"}, {"userName": "x" * 300}):
            assert (await house.client.post("/Users", json=body)).status_code in (400, 422)
        assert (
            415 == (await house.client.post("/Users", content=b"x", headers={"content-type": "text/plain"})).status_code
        )
        assert (await house.ask("GET", f"/Users/{id}"))["active"] is True


async def test_clients_are_told_what_there_is(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        assert (await house.ask("GET", "/ServiceProviderConfig"))["patch"]["supported"]
        assert 2 == (await house.ask("GET", "/Schemas"))["totalResults"]
        assert "/Users" == (await house.ask("GET", "/ResourceTypes/User"))["endpoint"]
        assert "User" == (await house.ask("GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User"))["name"]
        for number in range(3):
            await house.user(f"u{number}")
        page = await house.ask("GET", "/Users?startIndex=2&count=1")
        assert (3, 2, 1) == (page["totalResults"], page["startIndex"], page["itemsPerPage"])
