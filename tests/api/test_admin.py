import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.conftest import AUTHORITY, undeclared
from kernel.resources.toys import KINDS
from switchgear.admin.admin import create_admin_app
from switchgear.ambient import Ambient
from switchgear.contracts.credential import MASK
from switchgear.contracts.principal import operator
from switchgear.resources import ResourceEngine, Terms

CREDENTIALS = "/admin/v1/credentials"
MODELS = "/admin/v1/models"
TICKETS = "/admin/v1/tickets"
CANARY = "sk-canary-0123456789-tail"
SEALED = {"backend": "sealed", "values": {"api_key": CANARY}}
VAULT = {"backend": "vault", "path": "p"}
MODEL = {"id": "gpt", "credential_id": "main", "upstream": "gpt-4o"}


async def with_model(client: httpx.AsyncClient) -> None:
    assert (await client.post(CREDENTIALS, json={"id": "main", "source": SEALED})).status_code == 201
    assert (await client.post(MODELS, json=MODEL)).status_code == 201


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert (status, "application/problem+json") == (response.status_code, response.headers["content-type"])
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:switchgear:problem:")
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_a_resource_lives_from_post_to_delete(client: httpx.AsyncClient) -> None:
    await with_model(client)
    created = await client.post(MODELS, json={**MODEL, "id": "two"})
    assert (201, f"{MODELS}/two", '"1"') == (created.status_code, created.headers["location"], created.headers["etag"])
    read = await client.get(created.headers["location"])
    assert created.json() == read.json()
    assert read.json()["created_at"].endswith("Z")
    patched = await client.patch(
        f"{MODELS}/two", content=b'{"weight": 5}', headers={"content-type": "application/merge-patch+json"}
    )
    assert (patched.status_code, patched.headers["etag"], patched.json()["weight"]) == (200, '"2"', 5)
    replaced = await client.put(f"{MODELS}/two", json={**patched.json(), "upstream": "other"})
    assert (
        replaced.status_code,
        replaced.json()["upstream"],
        replaced.json()["weight"],
        replaced.json()["version"],
    ) == (200, "other", 5, 3)
    versions = (await client.get(f"{MODELS}/two/versions", params={"limit": 2})).json()
    assert ([it["version"] for it in versions["data"]], versions["next_cursor"]) == ([3, 2], "2")
    older = (await client.get(f"{MODELS}/two/versions", params={"cursor": "2"})).json()
    assert ([it["version"] for it in older["data"]], older["next_cursor"]) == ([1], None)
    assert (await client.get(f"{MODELS}/two/versions/1")).json()["actor"] == "root"
    restored = await client.post(f"{MODELS}/two/restore", json={"version": 1})
    assert (restored.status_code, restored.json()["upstream"], restored.json()["version"]) == (200, "gpt-4o", 4)
    gone = await client.delete(f"{MODELS}/two")
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await client.get(f"{MODELS}/two"), 404)
    problem(await client.delete(f"{MODELS}/two"), 404)
    assert (await client.post(f"{MODELS}/two/restore", json={"version": 1})).status_code == 200


async def test_every_bad_field_is_named_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post(MODELS, json={"id": "a/b", "upstream": 1, "colour": "red", "price": {"input": "x"}})
    errors = problem(answer, 422)["errors"]
    assert [it["pointer"] for it in errors] == ["/id", "/credential_id", "/upstream", "/price/input", "/colour"]


async def test_a_credential_in_use_is_not_deleted_and_its_users_are_named(client: httpx.AsyncClient) -> None:
    await with_model(client)
    found = problem(await client.delete(f"{CREDENTIALS}/main"), 409)
    assert (found["type"], "models/gpt" in found["detail"]) == ("urn:switchgear:problem:in_use", True)


async def test_conditions_are_honoured(client: httpx.AsyncClient) -> None:
    await with_model(client)
    url = f"{MODELS}/gpt"
    assert (await client.get(url, headers={"if-none-match": '"0", W/"1"'})).status_code == 304
    assert (await client.get(url, headers={"if-none-match": '"9"'})).status_code == 200
    for stale in ('"9"', 'W/"1"', '"x"'):
        problem(await client.put(url, json=MODEL, headers={"if-match": stale}), 412)
        problem(await client.delete(url, headers={"if-match": stale}), 412)
    problem(await client.delete(url, headers={"if-match": "1"}), 400)
    assert (await client.patch(url, json={"weight": 2}, headers={"if-match": '"7", "1"'})).status_code == 200
    assert (await client.delete(url, headers={"if-match": "*"})).status_code == 204


async def test_every_error_is_problem_details(client: httpx.AsyncClient) -> None:
    await with_model(client)
    problem(await client.get("/admin/v1/nothing"), 404)
    problem(await client.get("/admin"), 404)
    problem(wrong_method := await client.put(MODELS, json={}), 405)
    assert "GET" in wrong_method.headers["allow"]
    problem(
        await client.post(MODELS, content=b"id=x", headers={"content-type": "application/x-www-form-urlencoded"}), 415
    )
    problem(await client.post(MODELS, content=b"{}"), 415)
    problem(
        await client.post(MODELS, content=b" " * (1024 * 1024 + 1), headers={"content-type": "application/json"}), 413
    )
    for raw in (
        b"",
        b"{",
        b"\xff\xfe{\x00",
        b"\xef\xbb\xbf{}",
        b'{"id":"a","id":"b"}',
        b'{"weight":NaN}',
        b'{"weight":1e999}',
        b'{"weight":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ):
        problem(await client.post(MODELS, content=raw, headers={"content-type": "application/json"}), 400)
    for raw in (
        b"[]",
        b"null",
        b'"x"',
        b'{"id":"\\ud800"}',
        b'{"\\u0000":1}',
        b'{"\\udfff":1}',
        b'{"weight":99999999999999999999}',
    ):
        problem(await client.post(MODELS, content=raw, headers={"content-type": "application/json"}), 422)
    for query in (
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=%C2%B2",
        "cursor=x",
        "colour=red",
        "token=x",
        "limit=1&limit=2",
    ):
        problem(await client.get(f"{MODELS}?{query}"), 400)
    for id in ("..%2fcredentials%2fmain", "%00", "%ff", "a%20b", "x" * 300, "%2e%2e%2f"):
        problem(await client.get(f"{MODELS}/{id}"), 404)
    problem(await client.post(f"{MODELS}/gpt/explode", json={}), 404)
    problem(await client.get(f"{MODELS}/gpt/versions/99999999999999999999999"), 404)
    problem(await client.get("/admin/v1/weather?limit=cold"), 400)
    problem(await client.get("/admin/v1/weather?limit=0"), 500)


async def test_callers_are_checked_before_anything_is_read(client: httpx.AsyncClient) -> None:
    refused = await client.post(MODELS, content=b"{", headers={"authorization": "Bearer nobody"})
    problem(refused, 401)
    assert refused.headers["www-authenticate"] == "Bearer"
    reader = {"authorization": "Bearer reader"}
    assert (await client.get(MODELS, headers=reader)).status_code == 200
    problem(await client.post(MODELS, json=MODEL, headers=reader), 403)
    problem(await client.get("/admin/v1/undeclared"), 403)


async def test_every_handler_declares_action_and_resource(engine: ResourceEngine) -> None:
    def without_declaration(app: Any) -> set[str]:
        return {
            route.path
            for route in app.routes
            for handler in route.route_handlers
            if handler.http_methods != {"OPTIONS"}
            and not (isinstance(handler.opt.get("action"), str) and isinstance(handler.opt.get("resource"), str))
        }

    assert without_declaration(create_admin_app(engine, authority=AUTHORITY)) == set()
    assert without_declaration(create_admin_app(engine, authority=AUTHORITY, extra_handlers=[undeclared])) == {
        "/admin/v1/undeclared"
    }


async def test_what_is_open_to_everybody_is_the_description_alone(engine: ResourceEngine) -> None:
    app = create_admin_app(engine, authority=AUTHORITY)
    public = {route.path for route in app.routes for handler in route.route_handlers if handler.opt.get("public")}
    described = {
        "/openapi.json",
        "/docs",
        "/docs/rapidoc-min.js",
        "/redoc",
        "/admin/v1/kinds",
        "/admin/v1/kinds/{name:str}",
    }
    assert public == described


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "PROPFIND"])
async def test_other_methods_tell_nothing(client: httpx.AsyncClient, method: str) -> None:
    await with_model(client)
    answer = await client.request(method, f"{MODELS}/gpt", headers={"authorization": ""})
    assert answer.status_code in {204, 401, 403, 405}
    assert "gpt-4o" not in answer.text


async def test_an_idempotent_create_has_one_effect_and_one_answer(client: httpx.AsyncClient) -> None:
    send = {"json": {"name": "ci"}, "headers": {"idempotency-key": "k1"}}
    first, again = await client.post(TICKETS, **send), await client.post(TICKETS, **send)
    assert (201, first.content) == (again.status_code, again.content)
    assert first.json()["key"].startswith("tk_")
    assert (first.headers["etag"], first.headers["location"]) == (again.headers["etag"], again.headers["location"])
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await client.get(TICKETS)).json()["data"]) == 1
    found = problem(await client.post(TICKETS, json={"name": "other"}, headers={"idempotency-key": "k1"}), 409)
    assert found["type"] == "urn:switchgear:problem:idempotency_key_reused"
    ann = await client.post(
        TICKETS, json={"name": "ci"}, headers={"idempotency-key": "k1", "authorization": "Bearer ann"}
    )
    assert ann.json()["id"] != first.json()["id"]
    problem(await client.post(TICKETS, json={}, headers={"idempotency-key": "a b"}), 400)


async def test_every_write_can_be_repeated_safely(client: httpx.AsyncClient) -> None:
    await with_model(client)
    url = f"{MODELS}/gpt"
    merge = {"content-type": "application/merge-patch+json"}
    for number, (method, path, body, headers) in enumerate(
        [
            ("PATCH", url, {"weight": 2}, {**merge, "if-match": '"1"'}),
            ("PATCH", url, {"weight": 2}, merge),
            ("PUT", url, {**MODEL, "weight": 3}, {"if-match": '"2"'}),
            ("POST", f"{url}/restore", {"version": 1}, {}),
            ("DELETE", url, None, {"if-match": '"4"'}),
            ("POST", MODELS, MODEL, {}),
        ]
    ):
        with_key = {**headers, "idempotency-key": f"key-{number}"}
        first = await client.request(method, path, json=body, headers=with_key)
        again = await client.request(method, path, json=body, headers=with_key)
        assert first.status_code in {200, 201, 204}, first.text
        assert (first.status_code, first.content, first.headers.get("etag")) == (
            again.status_code,
            again.content,
            again.headers.get("etag"),
        )
    assert (await client.get(url)).json()["version"] == 6
    failing = {"json": {"id": "x"}, "headers": {"idempotency-key": "fails"}}
    problem(await client.post(MODELS, **failing), 422)
    problem(await client.post(MODELS, **failing), 422)


async def test_twins_of_one_request_get_one_answer(client: httpx.AsyncClient) -> None:
    send = {"json": {"id": "twin", "source": VAULT}, "headers": {"idempotency-key": "twin"}}
    answers = await asyncio.gather(*(client.post(CREDENTIALS, **send) for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}


async def test_two_hundred_racing_creates_make_one(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(CREDENTIALS, json={"id": "one", "source": VAULT}) for _ in range(200)))
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (1, 199)


class TestWithoutSealer:
    @pytest.fixture
    def sealer(self) -> Any:
        return None

    async def test_a_replayed_answer_omits_the_key_and_says_so(self, client: httpx.AsyncClient) -> None:
        send = {"json": {"name": "ci"}, "headers": {"idempotency-key": "k1"}}
        first, again = (await client.post(TICKETS, **send)), (await client.post(TICKETS, **send))
        shown = first.json()
        del shown["key"]
        assert (shown, "key") == (again.json(), again.headers["idempotency-omitted"])

    async def test_a_secret_cannot_be_stored(self, client: httpx.AsyncClient) -> None:
        errors = problem(await client.post(CREDENTIALS, json={"id": "x", "source": SEALED}), 422)["errors"]
        assert errors[0]["pointer"] == "/source/values/api_key"


async def test_secrets_and_hidden_fields_appear_nowhere(
    client: httpx.AsyncClient, engine: ResourceEngine, tmp_path: Path
) -> None:
    await with_model(client)
    key = (await client.post(TICKETS, json={}, headers={"idempotency-key": "k"})).json()["key"]
    await client.patch(f"{MODELS}/gpt", json={"token": "token-canary-0123456789"})
    await client.patch(f"{CREDENTIALS}/main", json={"note": "x"})
    outputs = [
        await client.get(path)
        for path in (
            CREDENTIALS,
            f"{CREDENTIALS}/main",
            f"{CREDENTIALS}/main/versions",
            f"{CREDENTIALS}/main/versions/1",
            MODELS,
            f"{MODELS}/gpt/versions",
            TICKETS,
            "/openapi.json",
        )
    ]
    outputs.append(await client.put(f"{CREDENTIALS}/main", json={"source": {**SEALED, "x": 1}}))
    outputs.append(await client.post(CREDENTIALS, json={"id": "main", "source": SEALED}))
    text = "\n".join(output.text + str(output.headers) for output in outputs)
    assert f"{MASK}tail" in text
    for canary in (CANARY, "token-canary", key, '"hash":"'):
        assert canary not in text, canary
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240 - the database is small
    for canary in (CANARY, "token-canary", key):
        assert canary.encode() not in stored


async def test_a_body_sent_back_as_shown_changes_nothing(client: httpx.AsyncClient) -> None:
    await with_model(client)
    await client.post(TICKETS, json={})
    for listing in (CREDENTIALS, MODELS, TICKETS):
        for shown in (await client.get(listing)).json()["data"]:
            answer = await client.put(f"{listing}/{shown['id']}", json=shown)
            assert (200, shown) == (answer.status_code, answer.json())


async def test_the_store_going_away_is_a_503_and_the_snapshot_stays(
    client: httpx.AsyncClient, engine: ResourceEngine, store: Any
) -> None:
    await with_model(client)
    await store.close()
    answer = await client.get(MODELS)
    assert (problem(answer, 503)["type"], "1") == (
        "urn:switchgear:problem:store_unavailable",
        answer.headers["retry-after"],
    )
    assert engine.snapshot.callable("gpt") is not None


async def test_reading_goes_on_while_configuration_is_swapped(
    client: httpx.AsyncClient, engine: ResourceEngine
) -> None:
    await with_model(client)
    other = ResourceEngine(engine._store, KINDS, Ambient(), engine.vault.sealer)
    await other.start()
    done = False

    async def read() -> set[int]:
        seen = set()
        while not done:
            live = engine.snapshot.callable("gpt")
            assert live.credential is engine.snapshot.live("credentials", "main")
            seen.add(live.spec.weight)
            await asyncio.sleep(0)
        return seen

    reader = asyncio.create_task(read())
    follower = asyncio.create_task(engine.follow())
    for weight in range(1, 40):
        assert (await client.patch(f"{MODELS}/gpt", json={"weight": weight})).status_code == 200
        await other.patch("credentials", "main", {"note": str(weight)}, Terms(operator("x")))
    while engine.snapshot.live("credentials", "main").spec.note != "39":  # noqa: ASYNC110 - found by polling, as in life
        await asyncio.sleep(0.005)
    done = True
    assert len(await reader) > 10
    follower.cancel()
