"""Signing in and out over HTTP, with tokens and with a cookie."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from plugins.tenancy.conftest import PASSWORD, House, housing

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = {"content-type": "application/merge-patch+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with housing(tmp_path_factory.mktemp("house")) as made:
        yield made


async def test_whoever_signs_in_is_known_on_both_planes(house: House) -> None:
    await house.user("ann", "red", email="ann@example.com")
    answer = (await house.login("Ann")).json()
    assert ("Bearer", 900, None) == (answer["token_type"], answer["expires_in"], answer["csrf_token"])
    assert ("ann", "red", "Red", "member") == tuple(
        answer["user"][it] for it in ("username", "team_id", "team_name", "role")
    )
    ann = {"authorization": f"Bearer {answer['access_token']}"}
    me = (await house.run.http.get("/admin/v1/auth/me", headers=ann)).json()
    assert ("user", answer["user"]) == (me["kind"], me["user"])
    valid = (await house.run.http.get("/admin/v1/auth/validate", headers=ann)).json()
    assert (True, me["id"]) == (valid["valid"], valid["id"])
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    assert 200 == (await house.run.http.post("/v1/chat/completions", json=body, headers=ann)).status_code
    [record] = await house.run.usage(user_id=me["id"])
    assert "red" == record["team_id"]


async def test_who_is_unknown_and_who_has_another_password_get_the_same_answer(house: House) -> None:
    await house.user("bob", "red", status="disabled")
    answers = [await house.login(*who) for who in (("nobody", "x"), ("ada", "wrong password"), ("bob", PASSWORD))]
    seen = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [401] * 3 == [answer.status_code for answer in answers]
    assert seen[0] == seen[1] == seen[2]


async def test_a_password_is_nowhere_but_in_a_hash(house: House) -> None:
    made = await house.user("carl", "red")
    shown = (await house.run.admin.get(f"/users/{made['id']}")).text
    assert "hash" not in shown
    assert PASSWORD not in shown
    stored = await house.run.gateway.resources.document("users", made["id"])
    assert b"$argon2id$" in stored.spec
    assert PASSWORD.encode() not in stored.spec


async def test_a_refresh_token_goes_on_with_the_session_and_opens_nothing_itself(house: House) -> None:
    await house.user("dora", "red")
    first = (await house.login("dora")).json()
    refused = await house.client(authorization=f"Bearer {first['refresh_token']}").get("/auth/me")
    assert 401 == refused.status_code
    again = await house.run.http.post("/admin/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (
        200 == (await house.client(authorization=f"Bearer {again.json()['access_token']}").get("/auth/me")).status_code
    )
    wrong = await house.run.http.post("/admin/v1/auth/refresh", json={"refresh_token": first["access_token"]})
    assert (401, "urn:switchgear:problem:session_ended") == (wrong.status_code, wrong.json()["type"])
    access = {"authorization": f"Bearer {first['access_token']}"}
    prolonged = await house.run.http.post("/admin/v1/auth/refresh", json={}, headers=access)
    assert 401 == prolonged.status_code


async def test_logging_out_ends_this_session_and_no_other(house: House) -> None:
    await house.user("emil", "red")
    tokens = (await house.login("emil")).json()
    one, other = house.client(authorization=f"Bearer {tokens['access_token']}"), await house.signed_in("emil")
    assert 204 == (await one.post("/auth/logout")).status_code
    assert [401, 200] == [(await it.get("/auth/me")).status_code for it in (one, other)]
    refused = await house.run.http.post("/admin/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert 401 == refused.status_code
    third = await house.signed_in("emil")
    assert 204 == (await third.post("/auth/logout", json={"everywhere": True})).status_code
    assert [401, 401] == [(await it.get("/auth/me")).status_code for it in (other, third)]


async def test_a_new_password_ends_every_session_but_the_one_it_begins(house: House) -> None:
    await house.user("fred", "red")
    fred, other = await house.signed_in("fred"), await house.signed_in("fred")
    short = await fred.post("/auth/password", json={"current_password": PASSWORD, "new_password": "short"})
    assert (422, "/new_password") == (short.status_code, short.json()["errors"][0]["pointer"])
    wrong = await fred.post("/auth/password", json={"current_password": "not it", "new_password": "another one!"})
    assert 401 == wrong.status_code
    answer = await fred.post("/auth/password", json={"current_password": PASSWORD, "new_password": "another one!"})
    assert 200 == answer.status_code
    now = house.client(authorization=f"Bearer {answer.json()['access_token']}")
    assert [401, 401, 200] == [(await it.get("/auth/me")).status_code for it in (fred, other, now)]
    assert [401, 200] == [(await house.login("fred", it)).status_code for it in (PASSWORD, "another one!")]


async def test_of_several_new_passwords_at_once_one_is_set(house: House) -> None:
    await house.user("gus", "red")
    gus = await house.signed_in("gus")
    new = [f"new password {n}" for n in range(4)]
    bodies = [{"current_password": PASSWORD, "new_password": it} for it in new]
    answers = await asyncio.gather(*(gus.post("/auth/password", json=body) for body in bodies))
    [won] = [n for n, it in enumerate(answers) if it.status_code == 200]
    assert {409, 401} >= {it.status_code for it in answers} - {200}
    logins = [(await house.login("gus", it)).status_code for it in new]
    assert [200 if n == won else 401 for n in range(4)] == logins


@pytest.mark.parametrize(
    "change", [{"role": "viewer"}, {"status": "disabled"}, {"team_id": "blue"}, {"password": "yet another one"}]
)
async def test_what_changes_who_somebody_is_ends_their_sessions(house: House, change: dict[str, str]) -> None:
    made = await house.user(f"gina-{next(iter(change))}", "red")
    gina = await house.signed_in(made["username"])
    assert 200 == (await gina.get("/auth/me")).status_code
    assert 200 == (await house.run.admin.patch(f"/users/{made['id']}", json=change, headers=MERGE)).status_code
    assert 401 == (await gina.get("/auth/me")).status_code


async def test_a_new_name_or_address_ends_none(house: House) -> None:
    made = await house.user("hans", "red")
    hans = await house.signed_in("hans")
    await house.run.patch(f"/users/{made['id']}", name="Hans", email="hans@example.com")
    assert "Hans" == (await hans.get("/auth/me")).json()["user"]["name"]


async def test_an_open_stream_ends_with_its_session(house: House) -> None:
    made = await house.user("ida", "red")
    token = (await house.login("ida")).json()["access_token"]
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "a " * 200_000}]}
    sent = house.run.http.stream(
        "POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}
    )
    async with sent as stream:
        pieces = stream.aiter_bytes()
        await anext(pieces)
        await house.run.act(f"/users/{made['id']}/sign-out")
        rest = b"".join([piece async for piece in pieces])
    assert b"[DONE]" not in rest
    [record] = await house.run.usage(user_id=made["id"])
    assert "policy_stop" == record["outcome"]


async def test_a_session_in_a_cookie_takes_the_token_that_other_sites_cannot_read(house: House) -> None:
    await house.user("jack", "red", "owner")
    jack, csrf = await house.in_a_browser("jack")
    [cookie] = jack.cookies.jar
    assert ("/", True, False) == (cookie.path, cookie.has_nonstandard_attr("HttpOnly"), cookie.secure)
    assert "strict" == str(cookie.get_nonstandard_attr("SameSite")).lower()
    assert csrf == (await jack.get("/auth/me")).json()["csrf_token"]
    new = {"username": "kim", "team_id": "red", "password": PASSWORD}
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "0" * len(csrf)}):
        refused = await jack.post("/users", json=new, headers=headers)
        assert (403, "urn:switchgear:problem:csrf_token") == (refused.status_code, refused.json()["type"])
    assert 201 == (await jack.post("/users", json=new, headers={"x-csrf-token": csrf})).status_code
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    calls = [
        await jack.post(f"{house.run.url}/v1/chat/completions", json=body, headers=headers)
        for headers in ({}, {"x-csrf-token": csrf})
    ]
    assert [403, 200] == [call.status_code for call in calls]


async def test_a_cookie_is_no_bearers_token_and_a_token_no_cookie(house: House) -> None:
    await house.user("lena", "red")
    lena, _ = await house.in_a_browser("lena")
    [cookie] = lena.cookies.jar
    assert 401 == (await house.client(authorization=f"Bearer {cookie.value}").get("/auth/me")).status_code
    token = (await house.login("lena")).json()["access_token"]
    assert 401 == (await house.client(cookie=f"switchgear_session={token}").get("/auth/me")).status_code


async def test_a_session_begun_before_signing_in_is_not_taken_over(house: House) -> None:
    await house.user("mia", "red")
    first, _ = await house.in_a_browser("mia")
    planted = next(iter(first.cookies.jar)).value
    again = await first.post("/auth/login", json={"username": "mia", "password": PASSWORD, "cookie": True})
    assert planted != again.cookies["switchgear_session"]


async def test_a_cookie_is_renewed_and_removed(house: House) -> None:
    await house.user("nina", "red")
    nina, csrf = await house.in_a_browser("nina")
    assert 403 == (await nina.post("/auth/refresh", json={})).status_code
    renewed = await nina.post("/auth/refresh", json={}, headers={"x-csrf-token": csrf})
    assert (200, csrf) == (renewed.status_code, renewed.json()["csrf_token"])
    assert 204 == (await nina.post("/auth/logout", headers={"x-csrf-token": csrf})).status_code
    assert [] == list(nina.cookies.jar)


async def test_a_form_of_another_site_signs_nobody_in(house: House) -> None:
    answer = await house.run.http.post("/admin/v1/auth/login", data={"username": "ada", "password": PASSWORD})
    assert 415 == answer.status_code


async def test_the_operator_has_no_session_to_end(house: House) -> None:
    assert "admin-key" == (await house.run.admin.get("/auth/me")).json()["id"]
    assert 403 == (await house.run.admin.post("/auth/logout")).status_code


async def test_signing_in_does_not_hold_up_calls(house: House) -> None:
    await house.user("olga", "red")
    logins = asyncio.gather(*(house.login("olga") for _ in range(8)))
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    call = await house.run.http.post("/v1/chat/completions", json=body, headers=house.run.auth)
    assert 200 == call.status_code
    assert not logins.done(), "hashing took the loop"
    assert {200} == {answer.status_code for answer in await logins}
