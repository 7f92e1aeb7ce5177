"""Users and roles of a third party's plugin, over the builtin keys: nobody sees, does or gives more than is theirs."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.distributions import installed
from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from support.talk import Talk

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXAMPLE = Path(__file__).parents[2] / "contrib" / "examples" / "team-role"
# Closes the table of the plugin `memory`, which the support opens.
USERS = """ }
team_role = { enabled = true, users = [
  { id = "rita", token = "rita-token", team = "red" },
  { id = "lea", token = "lea-token", team = "red", role = "lead", models = ["m", "ec*"] },
  { id = "bob", token = "bob-token", team = "blue", role = "lead", models = ["*"] },
]"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("endless", Script(chunks=500, chunk_delay_ms=20))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["switchgear.plugins"]
    with installed(tmp_path_factory.mktemp("site")) as site:
        site.add("team_role", {"team_role": points["team_role"]}, (EXAMPLE / "team_role.py").read_text())
        async with running(tmp_path_factory.mktemp("gateway"), upstream, memory=USERS) as run:
            await run.create("models", id="endless", provider_id="p", provider_model="fault-endless")
            yield run


def as_user(gateway: Running, name: str) -> httpx.AsyncClient:
    """Make a client of the admin API."""
    return httpx.AsyncClient(base_url=f"{gateway.url}/admin/v1", headers={"authorization": f"Bearer {name}-token"})


async def key_of(gateway: Running, team: str | None, **members: Any) -> dict[str, Any]:
    return await gateway.create("api-keys", name="k", team_id=team, **members)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return the status of a refusal, and its word."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def plain(answer: httpx.Response) -> dict[str, Any]:
    """Return an error without what is different each time."""
    shown: dict[str, Any] = answer.json()
    return {name: value for name, value in shown.items() if name not in ("request_id", "instance")}


async def test_a_list_shows_what_is_within_bounds(gateway: Running) -> None:
    red, blue, none = [await key_of(gateway, team) for team in ("red", "blue", None)]
    async with as_user(gateway, "rita") as rita:
        seen: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await rita.get("/api-keys", params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
            seen += page["data"]
            cursor = page["next_cursor"]
        assert {"red"} == {key["team_id"] for key in seen}
        assert red["id"] in {key["id"] for key in seen}
        assert [] == (await rita.get("/api-keys", params={"team_id": "blue"})).json()["data"]
    everyone = {key["id"] for key in (await gateway.admin.get("/api-keys")).json()["data"]}
    assert {red["id"], blue["id"], none["id"]} <= everyone


async def test_what_is_not_yours_looks_like_what_is_not_there(gateway: Running) -> None:
    blue = (await key_of(gateway, "blue"))["id"]
    merge = {"content-type": "application/merge-patch+json"}
    async with as_user(gateway, "lea") as lea:

        async def answers(id: str) -> list[Any]:
            path = f"/api-keys/{id}"
            replies = [
                await lea.get(path),
                await lea.get(f"{path}/versions"),
                await lea.get(f"{path}/versions/1"),
                await lea.patch(path, json={"name": "mine"}, headers=merge),
                await lea.post(f"{path}/suspend"),
                await lea.post(f"{path}/rotate"),
                await lea.patch(path, json={"name": "mine"}, headers={**merge, "if-match": '"7"'}),
            ]
            return [(it.status_code, str(plain(it)).replace(id, "ID")) for it in replies]

        theirs = await answers(blue)
        assert theirs == await answers("key_0123")
        assert {404} == {status for status, _ in theirs}
    assert "k" == (await gateway.admin.get(f"/api-keys/{blue}")).json()["name"]


async def test_within_bounds_a_lead_keeps_keys_and_a_reader_reads_them(gateway: Running) -> None:
    async with as_user(gateway, "lea") as lea, as_user(gateway, "rita") as rita:
        made = await lea.post("/api-keys", json={"name": "n", "team_id": "red", "permissions": {"models": ["echo"]}})
        assert 201 == made.status_code, made.text
        id = made.json()["id"]
        assert 200 == (await rita.get(f"/api-keys/{id}")).status_code
        assert ["lea"] == [it["actor"] for it in (await rita.get(f"/api-keys/{id}/versions")).json()["data"]]
        for refused in (await rita.post("/api-keys", json={"name": "n", "team_id": "red"}), await rita.get("/models")):
            assert (403, "not_permitted") == problem(refused)
        assert 403 == (await lea.delete(f"/api-keys/{id}")).status_code, "a lead may do what the role says"
        assert 403 == (await lea.get("/usage")).status_code, "a route that knows no bounds is closed to who has some"


@pytest.mark.parametrize("team", ["blue", None])
async def test_nothing_is_written_out_of_bounds(gateway: Running, team: str | None) -> None:
    red = (await key_of(gateway, "red"))["id"]
    async with as_user(gateway, "lea") as lea:
        made = await lea.post("/api-keys", json={"name": "n", "team_id": team})
        moved = await lea.patch(
            f"/api-keys/{red}", json={"team_id": team}, headers={"content-type": "application/merge-patch+json"}
        )
    for answer in (made, moved):
        assert (422, ["/team_id"]) == (answer.status_code, [it["pointer"] for it in answer.json()["errors"]])


@pytest.mark.parametrize(
    ("permissions", "wrong"),
    [
        ({"models": ["m", "echo", "ec*", "eclipse"]}, []),
        ({"models": ["*"]}, ["/permissions/models"]),
        ({"models": ["e*"]}, ["/permissions/models"]),
        ({"models": ["m", "endless"]}, ["/permissions/models"]),
        ({"prompts": ["p"]}, ["/permissions/prompts"]),
        ({"admin": True, "models": ["m"]}, ["/permissions/admin"]),
    ],
)
async def test_nobody_gives_more_than_they_have(
    gateway: Running, permissions: dict[str, Any], wrong: list[str]
) -> None:
    body = {"name": "n", "team_id": "red", "permissions": permissions}
    modest = (await key_of(gateway, "red"))["id"]
    async with as_user(gateway, "lea") as lea:
        for answer in (
            await lea.post("/api-keys", json=body),
            await lea.patch(f"/api-keys/{modest}", json=body, headers={"content-type": "application/merge-patch+json"}),
        ):
            if not wrong:
                assert answer.status_code in (200, 201), answer.text
            else:
                assert (422, wrong) == (answer.status_code, [it["pointer"] for it in answer.json()["errors"]])


async def test_nobody_gets_a_secret_of_a_key_that_may_do_more(gateway: Running) -> None:
    mighty = await key_of(gateway, "red", permissions={"models": ["*"]})
    async with as_user(gateway, "lea") as lea:
        refused = await lea.post(f"/api-keys/{mighty['id']}/rotate")
        assert (403, "not_permitted") == problem(refused)
        renamed = await lea.patch(
            f"/api-keys/{mighty['id']}", json={"name": "x"}, headers={"content-type": "application/merge-patch+json"}
        )
        assert 200 == renamed.status_code, "what is not about authority may be changed"


async def test_what_is_in_the_way_of_a_write_is_not_named_to_who_may_not_see_it(gateway: Running) -> None:
    secret = "a-secret-that-another-team-has-already"
    theirs = await key_of(gateway, "blue", key=secret)
    async with as_user(gateway, "lea") as lea:
        answer = await lea.post("/api-keys", json={"name": "n", "team_id": "red", "key": secret})
    assert (409, "key_taken") == problem(answer)
    assert theirs["id"] not in answer.text


async def test_an_admin_key_may_configure_everything_and_use_nothing(gateway: Running) -> None:
    _, gateway.key = await gateway.new_key(permissions={"admin": True})
    assert 404 == (await gateway.chat(model="echo")).status_code
    assert [] == (await gateway.http.get("/v1/models", headers=gateway.auth)).json()["data"]
    given = await gateway.http.post(
        "/admin/v1/api-keys", json={"name": "n", "permissions": {"models": ["*"]}}, headers=gateway.auth
    )
    assert 201 == given.status_code, given.text
    gateway.key = given.json()["key"]
    assert 200 == (await gateway.chat(model="echo")).status_code
    denied = await gateway.http.get("/admin/v1/api-keys", headers=gateway.auth)
    assert (403, "not_permitted") == problem(denied)


async def test_a_key_cannot_be_called_like_the_gateways_own(gateway: Running) -> None:
    for id in ("admin-key", "cli", "first-run"):
        answer = await gateway.admin.post("/api-keys", json={"id": id, "name": "n"})
        assert (422, ["/id"]) == (answer.status_code, [it["pointer"] for it in answer.json()["errors"]])


async def test_a_user_calls_models_by_grants_also_with_a_cookie(gateway: Running) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for headers in ({"authorization": "Bearer lea-token"}, {"cookie": "a=b; session=lea-token"}):
        for model, status in (("echo", 200), ("endless", 404)):
            answer = await gateway.http.post("/v1/chat/completions", json={**body, "model": model}, headers=headers)
            assert status == answer.status_code, answer.text
    listed = await gateway.http.get("/v1/models", headers={"authorization": "Bearer lea-token"})
    assert ["echo", "m"] == [it["id"] for it in listed.json()["data"]]
    assert 401 == (await gateway.http.get("/v1/models", headers={"cookie": "session=nobody"})).status_code


async def test_a_user_who_is_gone_is_cut_off(gateway: Running) -> None:
    plugin = next(it.plugin for it in gateway.gateway.kernel.plugins if it.installed.name == "team_role")
    with await Talk.begin(gateway.port, "bob-token", model="endless") as bob:
        await bob.begun()
        before: Any = plugin.settings
        plugin.reconfigure(type(before)(tuple(it for it in before.users if it.id != "bob")))
        await bob.end(within=1.0)
        assert "invalid_api_key" == bob.error["code"]
        assert "policy_stop" == (await gateway.usage_of(bob.request_id))["outcome"]
        plugin.reconfigure(before)


async def test_a_stream_ends_when_its_key_expires(gateway: Running) -> None:
    ends = asyncio.get_running_loop().time() + 1.0
    expires_at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    _, secret = await gateway.new_key(expires_at=expires_at)
    with await Talk.begin(gateway.port, secret, model="endless") as talk:
        await talk.begun()
        await talk.end(within=2.0)
        assert "invalid_api_key" == talk.error["code"]
    assert asyncio.get_running_loop().time() >= ends - 0.05
