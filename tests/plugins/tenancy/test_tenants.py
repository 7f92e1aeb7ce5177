"""Who may do what to whom, field by field, and what that means for keys."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from plugins.tenancy.conftest import PASSWORD, House, housing
from switchgear.testing.gateway import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = {"content-type": "application/merge-patch+json"}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
ECHO = {"models": ["echo"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with housing(tmp_path_factory.mktemp("house")) as made:
        for role in ("owner", "admin", "member", "viewer"):
            await made.user(role, "red", role)
        await made.user("bea", "blue", "owner")
        yield made


async def patch(client: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, list[str]]:
    """Lay a merge patch over something; return the status and the fields that are wrong."""
    answer = await client.patch(path, json=body, headers=MERGE)
    return answer.status_code, [it["pointer"] for it in answer.json().get("errors", [])]


async def call(house: House, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return (await house.run.http.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code


async def test_pages_and_actions_are_told_as_far_as_the_role_allows(house: House) -> None:
    kept = ["list", "read", "create", "replace", "patch", "delete", "restore"]
    for role, of_prompts in (("viewer", kept[:2]), ("member", kept[:2]), ("owner", kept)):
        asked = await house.signed_in(role)
        pages = (await asked.get("/pages")).json()["data"]
        assert {("dialogs", "dialogs"), ("prompts", "try"), ("prompts", "edit")} == {
            (it["plugin"], it["slug"]) for it in pages
        }
        assert of_prompts == (await asked.get("/kinds/prompts/allowed")).json()["actions"]
        assert [] == (await asked.get("/kinds/providers/allowed")).json()["actions"]
        assert 404 == (await asked.get("/kinds/nothings/allowed")).status_code
        found = (await asked.get("/search", params={"q": "red"})).json()["data"]
        assert ("teams", "red") in {(it["kind"], it["id"]) for it in found}
        assert {"teams", "users", "api-keys", "prompts"} >= {it["kind"] for it in found}


async def test_nobody_gives_a_role_above_their_own(house: House) -> None:
    admin = await house.signed_in("admin")
    new = {"team_id": "red", "password": PASSWORD}
    refused = await admin.post("/users", json={"username": "x1", "role": "owner", **new})
    assert (422, "/role") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    made = (await admin.post("/users", json={"username": "x1", "role": "member", **new})).json()
    assert (422, ["/role"]) == await patch(admin, f"/users/{made['id']}", role="owner")
    assert (200, []) == await patch(admin, f"/users/{made['id']}", role="viewer")


async def test_nobody_changes_who_stands_above_or_beside_them(house: House) -> None:
    users = {it["username"]: it["id"] for it in (await house.run.admin.get("/users")).json()["data"]}
    peer = await house.user("second-admin", "red", "admin")
    admin = await house.signed_in("admin")
    for id in (users["owner"], peer["id"]):
        assert 403 == (await patch(admin, f"/users/{id}", name="mine"))[0]
        assert 403 == (await patch(admin, f"/users/{id}", password="taken over now"))[0]
        assert 403 == (await admin.post(f"/users/{id}/sign-out")).status_code
        assert 409 == (await admin.delete(f"/users/{id}")).status_code
    assert 200 == (await patch(await house.signed_in("owner"), f"/users/{peer['id']}", role="member"))[0]


async def test_nobody_changes_their_own_role_team_or_status(house: House) -> None:
    me = (await (owner := await house.signed_in("owner")).get("/auth/me")).json()["id"]
    assert (422, ["/role", "/status"]) == await patch(owner, f"/users/{me}", role="viewer", status="disabled")
    assert (422, ["/password"]) == await patch(owner, f"/users/{me}", password="without the old one")
    assert (200, []) == await patch(owner, f"/users/{me}", name="The owner")
    assert 409 == (await owner.delete(f"/users/{me}")).status_code


async def test_nobody_leads_somebody_out_of_a_team_or_into_one(house: House) -> None:
    made = await house.user("traveller", "red")
    owner = await house.signed_in("owner")
    assert (422, ["/team_id"]) == await patch(owner, f"/users/{made['id']}", team_id="blue")
    new = {"username": "spy", "team_id": "blue", "password": PASSWORD}
    refused = await owner.post("/users", json=new)
    assert (422, "/team_id") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    assert (422, "/team_id") == (
        (answer := await owner.post("/users", json={**new, "team_id": "administrators"})).status_code,
        answer.json()["errors"][0]["pointer"],
    )
    assert (422, ["/issuer", "/subject"]) == await patch(owner, f"/users/{made['id']}", issuer="https://i", subject="s")


async def test_an_owner_changes_the_team_but_not_its_bounds(house: House) -> None:
    owner = await house.signed_in("owner")
    assert (422, ["/permissions"]) == await patch(owner, "/teams/red", permissions={"models": ["a"]})
    assert (422, ["/status"]) == await patch(owner, "/teams/red", status="suspended")
    assert (200, []) == await patch(owner, "/teams/red", name="The reds")


async def test_a_name_is_taken_by_one_user_whatever_its_case(house: House) -> None:
    answer = await house.run.admin.post("/users", json={"username": "OWNER", "team_id": "blue"})
    assert 409 == answer.status_code
    bea = await house.signed_in("bea")
    hidden = await bea.post("/users", json={"username": "Owner", "team_id": "blue"})
    assert 409 == hidden.status_code
    assert "usr_" not in hidden.text


async def test_the_last_administrator_stays(house: House) -> None:
    ada = next(it for it in (await house.run.admin.get("/users", params={"username": "ada"})).json()["data"])
    for change in ({"role": "member"}, {"status": "disabled"}, {"team_id": "red"}):
        answer = await house.run.admin.patch(f"/users/{ada['id']}", json=change, headers=MERGE)
        assert (409, "urn:switchgear:problem:last_administrator") == (answer.status_code, answer.json()["type"])
    assert 409 == (await house.run.admin.delete(f"/users/{ada['id']}")).status_code
    assert 409 == (await house.run.admin.delete("/teams/administrators")).status_code
    assert 422 == (await patch(house.run.admin, "/teams/administrators", status="suspended"))[0]
    second = await house.user("second", "administrators", "admin")
    both = await asyncio.gather(*(patch(house.run.admin, f"/users/{it['id']}", role="viewer") for it in (ada, second)))
    assert [200, 409] == sorted(status for status, _ in both)
    await patch(house.run.admin, f"/users/{ada['id']}", role="owner")


async def test_an_admin_of_the_administrators_makes_no_owner_of_them(house: House) -> None:
    await house.user("adjutant", "administrators", "admin")
    adjutant = await house.signed_in("adjutant")
    new = {"username": "x2", "team_id": "administrators", "role": "owner", "password": PASSWORD}
    refused = await adjutant.post("/users", json=new)
    assert (422, "/role") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    assert 201 == (await adjutant.post("/users", json={**new, "team_id": "blue"})).status_code
    me = (await adjutant.get("/auth/me")).json()["id"]
    body = {"name": "n", "team_id": "administrators", "owner_id": me, "permissions": {"admin": True}}
    key = house.client(authorization=f"Bearer {(await adjutant.post('/api-keys', json=body)).json()['key']}")
    assert 422 == (await key.post("/users", json={**new, "username": "x3"})).status_code
    [ada] = (await key.get("/users", params={"username": "ada"})).json()["data"]
    assert 403 == (await patch(key, f"/users/{ada['id']}", password="taken over now"))[0]


async def test_a_member_has_keys_of_their_own_and_sees_no_others(house: House) -> None:
    await house.run.new_key(team_id="red")
    member = await house.signed_in("member")
    made = (await member.post("/api-keys", json={"name": "mine", "permissions": ECHO})).json()
    me = (await member.get("/auth/me")).json()["id"]
    assert ("red", me) == (made["team_id"], made["owner_id"])
    assert 200 == await call(house, made["key"])
    assert [made["id"]] == [it["id"] for it in (await member.get("/api-keys")).json()["data"]]
    new = (await member.post(f"/api-keys/{made['id']}/rotate")).json()["key"]
    assert [401, 200] == [await call(house, it) for it in (made["key"], new)]
    others = {"name": "n", "owner_id": (await house.user("mate", "red"))["id"]}
    assert 422 == (await member.post("/api-keys", json=others)).status_code
    assert 200 == (await member.post(f"/api-keys/{made['id']}/revoke")).status_code
    assert 401 == await call(house, new)


async def test_a_member_does_not_widen_a_key_that_was_handed_out(house: House) -> None:
    made = await house.user("guest", "red")
    id, _ = await house.run.new_key(
        team_id="red", owner_id=made["id"], permissions=ECHO, limits={"requests_per_minute": 1}, tags=["slow"]
    )
    guest = await house.signed_in("guest")
    wider = {"permissions": {"models": ["*"]}, "limits": None, "tags": [], "expires_at": "2099-01-01T00:00:00Z"}
    for field, value in wider.items():
        assert (422, [f"/{field}"]) == await patch(guest, f"/api-keys/{id}", **{field: value})
    assert (200, []) == await patch(guest, f"/api-keys/{id}", name="renamed")
    await house.run.act(f"/api-keys/{id}/suspend")
    assert 403 == (await guest.post(f"/api-keys/{id}/activate")).status_code


async def test_a_team_says_whether_and_how_many_keys_its_members_make(house: House) -> None:
    await house.team("green", keys_per_member=2)
    await house.user("gil", "green")
    gil = await house.signed_in("gil")
    made = [(await gil.post("/api-keys", json={"name": "k"})) for _ in range(3)]
    assert [201, 201, 403] == [it.status_code for it in made]
    assert "create" in (await gil.get("/kinds/api-keys/allowed")).json()["actions"], "who tries is told why not"
    await gil.post(f"/api-keys/{made[0].json()['id']}/revoke")
    assert 201 == (await gil.post("/api-keys", json={"name": "k"})).status_code
    await house.run.patch("/teams/green", members_may_create_keys=False)
    assert 403 == (await gil.post("/api-keys", json={"name": "k"})).status_code
    assert "create" not in (await gil.get("/kinds/api-keys/allowed")).json()["actions"]
    assert 200 == (await gil.post(f"/api-keys/{made[1].json()['id']}/rotate")).status_code


async def test_a_key_may_no_more_than_its_team_whenever_that_is_narrowed(house: House) -> None:
    await house.run.create("models", id="echo2", provider_id="echo", provider_model="echo")
    await house.team("grey", permissions={"models": ["echo*"]})
    _, key = await house.run.new_key(team_id="grey")
    await house.user("gray", "grey")
    gray = await house.signed_in("gray")
    refused = await gray.post("/api-keys", json={"name": "n", "permissions": {"models": ["*"]}})
    assert (422, "/permissions/models") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    assert 200 == await call(house, key)
    await house.run.patch("/teams/grey", permissions={"models": ["echo2"]})
    assert 404 == await call(house, key)
    await house.run.patch("/teams/grey", permissions={"models": ["*"]})
    assert 200 == await call(house, key)
    await house.run.patch("/teams/grey", status="suspended")
    assert 401 == await call(house, key)
    assert 401 == (await house.login("gray")).status_code


async def test_a_key_of_a_team_opens_the_admin_side_to_administrators_alone(house: House) -> None:
    permissions = {"permissions": {"admin": True}, "name": "n"}
    refused = await house.run.admin.post("/api-keys", json={"team_id": "red", **permissions})
    assert (422, "/permissions/admin") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    _, key = await house.run.new_key(team_id="administrators", **permissions)
    assert 200 == (await house.client(authorization=f"Bearer {key}").get("/models")).status_code


async def test_a_key_falls_with_the_user_who_owns_it(house: House) -> None:
    for change in ({"role": "viewer"}, {"status": "disabled"}, {"team_id": "blue"}):
        made = await house.user(f"fall-{next(iter(change))}", "red")
        _, key = await house.run.new_key(team_id="red", owner_id=made["id"])
        assert 200 == await call(house, key)
        await house.run.patch(f"/users/{made['id']}", **change)
        assert await call(house, key) in (401, 404)


async def test_a_demoted_administrators_admin_key_opens_nothing(house: House) -> None:
    made = await house.user("fallen", "administrators", "admin")
    fallen = await house.signed_in("fallen")
    body = {"name": "n", "team_id": "administrators", "owner_id": made["id"], "permissions": {"admin": True}}
    key = house.client(authorization=f"Bearer {(await fallen.post('/api-keys', json=body)).json()['key']}")
    assert 200 == (await key.get("/models")).status_code
    await house.run.patch(f"/users/{made['id']}", role="member")
    assert 403 == (await key.get("/models")).status_code


async def test_the_stream_of_a_key_ends_when_its_team_or_owner_is_narrowed(house: House) -> None:
    for kind in ("teams", "users"):
        await house.team(f"s-{kind}")
        made = await house.user(f"s-{kind}", f"s-{kind}")
        _, key = await house.run.new_key(team_id=f"s-{kind}", owner_id=made["id"])
        body = {**CHAT, "stream": True, "messages": [{"role": "user", "content": "a " * 200_000}]}
        sent = house.run.http.stream(
            "POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        )
        async with sent as stream:
            pieces = stream.aiter_bytes()
            await anext(pieces)
            if kind == "teams":
                await house.run.patch(f"/teams/s-{kind}", permissions={"models": ["other"]})
            else:
                await house.run.patch(f"/users/{made['id']}", status="disabled")
            assert b"[DONE]" not in b"".join([piece async for piece in pieces])


async def test_a_test_key_reaches_what_is_for_tests_alone(house: House) -> None:
    await house.run.create("models", id="real", provider_id="echo", provider_model="echo")
    _, key = await house.run.new_key(test=True)
    assert key.startswith("sg_test_")
    assert 200 == await call(house, key)
    answer = await house.run.http.post(
        "/v1/chat/completions", json={**CHAT, "model": "real"}, headers={"authorization": f"Bearer {key}"}
    )
    assert 404 == answer.status_code
    listed = await house.run.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert ["echo"] == [it["id"] for it in listed.json()["data"]]


async def test_usage_is_shown_as_far_as_a_role_reaches(house: House) -> None:
    await house.team("pink")
    people = {role: (await house.user(f"pink-{role}", "pink", role))["id"] for role in ("owner", "member")}
    for owner in people.values():
        _, key = await house.run.new_key(team_id="pink", owner_id=owner)
        assert 200 == await call(house, key)
    seen = {}
    for role in people:
        client = await house.signed_in(f"pink-{role}")
        seen[role] = {it["user_id"] for it in (await client.get("/usage")).json()["data"]}
        groups = (await client.get("/usage/summary", params={"by": "user_id"})).json()["data"]
        assert seen[role] == {it["group"]["user_id"] for it in groups}
        assert [] == (await client.get("/usage", params={"team_id": "red"})).json()["data"]
        assert [] == (await client.get("/usage/summary", params={"team_id": "red"})).json()["data"]
    assert {"owner": set(people.values()), "member": {people["member"]}} == seen


async def test_a_team_in_use_is_not_deleted(house: House) -> None:
    await house.team("brown")
    made = await house.user("bruno", "brown")
    assert 409 == (await house.run.admin.delete("/teams/brown")).status_code
    id, _ = await house.run.new_key(team_id="brown", owner_id=made["id"])
    assert 409 == (await house.run.admin.delete(f"/users/{made['id']}")).status_code
    await house.run.admin.delete(f"/api-keys/{id}")
    assert 204 == (await house.run.admin.delete(f"/users/{made['id']}")).status_code
    assert 204 == (await house.run.admin.delete("/teams/brown")).status_code


async def test_a_key_of_somebody_of_another_team_is_refused(house: House) -> None:
    made = await house.user("bert", "blue")
    answer = await house.run.admin.post("/api-keys", json={"name": "n", "team_id": "red", "owner_id": made["id"]})
    assert (422, "/owner_id") == (answer.status_code, answer.json()["errors"][0]["pointer"])


async def test_nobody_in_bounds_takes_the_id_that_things_of_others_are_kept_by(house: House) -> None:
    victim = (await house.user("vic", "red"))["id"]
    bea = await house.signed_in("bea")
    for path, body in (("/api-keys", {"name": "k"}), ("/users", {"username": "vic2", "team_id": "blue"})):
        refused = await bea.post(path, json={"id": victim, **body})
        assert (422, "/id") == (refused.status_code, refused.json()["errors"][0]["pointer"])
    for path, body in (("/api-keys", {"name": "k"}), ("/users", {"username": "vic2", "team_id": "blue"})):
        taken = await house.run.admin.post(path, json={"id": victim, **body})
        assert (409, f"users/{victim}") == (
            taken.status_code,
            taken.json()["detail"].split()[-4 if path == "/api-keys" else 0],
        )


async def test_a_version_of_a_prompt_is_its_team_s_of_then(house: House) -> None:
    await house.run.create("prompts", id="moved", content="Red alone may read this.", team_id="red")
    assert 200 == (await house.run.admin.patch("/prompts/moved", json={"content": "Hi", "team_id": "blue"})).status_code
    bea, bill = await house.signed_in("bea"), (await house.run.new_key(team_id="blue", permissions=ECHO))[1]
    said = {"model": "echo", "messages": [{"role": "user", "prompt_id": "moved", "version": 1}]}
    asked = await house.run.http.post("/v1/chat/completions", json=said, headers={"authorization": f"Bearer {bill}"})
    assert "prompt_not_found" == asked.json()["error"]["code"]
    assert 404 == (await bea.post("/prompts/moved/render", json={"version": 1})).status_code
    assert 200 == (await bea.post("/prompts/moved/render", json={"version": 2})).status_code
    assert 200 == (await house.run.admin.post("/prompts/moved/render", json={"version": 1})).status_code


async def test_a_hash_of_another_system_is_brought_along(house: House) -> None:

    brought = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("brought along")
    await house.user("moved", "red", password=None, password_hash=brought)
    assert 200 == (await house.login("moved", "brought along")).status_code
    for wrong in ("$2b$12$abcdefghijklmnopqrstuv", "x", brought.replace("m=64", "m=4194304")):
        answer = await house.run.admin.post("/users", json={"username": "w", "team_id": "red", "password_hash": wrong})
        assert (422, "/password_hash") == (answer.status_code, answer.json()["errors"][0]["pointer"])


async def test_who_fails_too_often_waits_and_whoever_signed_in_before_does_not(house: House) -> None:
    await house.user("target", "red")
    assert 200 == (await house.login("target")).status_code
    failed = await eventually(lambda: fail(house, "target"))
    assert ("urn:switchgear:problem:too_many_attempts", True) == (
        failed.json()["type"],
        "retry-after" in failed.headers,
    )


async def fail(house: House, username: str) -> httpx.Response | None:
    answer = await house.login(username, "a wrong guess")
    return answer if answer.status_code == 429 else None
