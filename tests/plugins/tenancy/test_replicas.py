"""Two gateways over one store: what ends at one ends at the other, with what streams there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from plugins.tenancy.conftest import House, housing
from switchgear.testing.gateway import Running, eventually, running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
LONG = {**CHAT, "stream": True, "messages": [{"role": "user", "content": "a " * 400_000}]}
PATIENT = {"SWITCHGEAR__GATEWAY__FAILED_CREDENTIALS": "0"}
"""Keys that have ended are tried here as often as the machine can."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def houses(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Running]]:
    directory: Path = tmp_path_factory.mktemp("two")
    async with housing(directory, **PATIENT) as here, running(directory, environ=PATIENT) as there:
        yield here, there


async def call(run: Running, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return (await run.http.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code


async def test_a_session_is_good_at_every_gateway_and_ends_at_all_of_them(houses: tuple[House, Running]) -> None:
    here, there = houses
    made = await here.user("ann", "red")
    login = {"username": "ann", "password": "correct horse battery"}

    known = (await here.login("ann")).json()["access_token"]
    await eventually(lambda: _accepted(there, known))
    assert 200 == (await there.http.post("/admin/v1/auth/login", json=login)).status_code
    endings: list[tuple[str, Any]] = [
        ("/sign-out", {}), ("/sign-out", {"session": None}),
    ]  # fmt: skip
    for path, body in endings:
        token = (await here.login("ann")).json()["access_token"]
        assert 200 == await call(there, token)
        sent = there.http.stream(
            "POST", "/v1/chat/completions", json=LONG, headers={"authorization": f"Bearer {token}"}
        )
        async with sent as stream:
            pieces = stream.aiter_bytes()
            await anext(pieces)
            await here.run.act(f"/users/{made['id']}{path}", **body)
            assert b"[DONE]" not in b"".join([piece async for piece in pieces])
        await eventually(lambda token=token: _refused(there, token))


async def _refused(run: Running, token: str) -> bool:
    return await call(run, token) == 401


async def test_logging_out_here_ends_the_session_there(houses: tuple[House, Running]) -> None:
    here, there = houses
    await here.user("bob", "red")
    tokens = (await here.login("bob")).json()
    token = tokens["access_token"]
    await eventually(lambda: _accepted(there, token))
    client: httpx.AsyncClient = here.client(authorization=f"Bearer {token}")
    assert 204 == (await client.post("/auth/logout")).status_code
    await eventually(lambda: _refused(there, token))
    refreshed = await there.http.post("/admin/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert 401 == refreshed.status_code


async def _accepted(run: Running, token: str) -> bool:
    return await call(run, token) == 200


async def test_keys_that_are_called_with_while_they_end_never_come_back(houses: tuple[House, Running]) -> None:
    here, there = houses
    for n, (kind, change) in enumerate(
        [("keys", {}), ("teams", {"status": "suspended"}), ("users", {"status": "disabled"})] * 3
    ):
        await here.team(f"t{n}")
        made = await here.user(f"u{n}", f"t{n}")
        id, key = await here.run.new_key(team_id=f"t{n}", owner_id=made["id"])
        over = asyncio.Event()
        seen: list[int] = []

        async def keep_calling(
            run: Running, key: str = key, over: asyncio.Event = over, seen: list[int] = seen
        ) -> None:
            while not over.is_set():
                seen.append(await call(run, key))

        async with asyncio.TaskGroup() as callers:
            for run in (here.run, there, there):
                callers.create_task(keep_calling(run))
            await eventually(lambda seen=seen: 200 in seen)
            if kind == "keys":
                await here.run.act(f"/api-keys/{id}/revoke")
            else:
                await here.run.patch(f"/{kind}/{f't{n}' if kind == 'teams' else made['id']}", **change)
            assert 401 == await call(here.run, key), "at once where it was done"
            await eventually(lambda key=key: _refused(there, key))
            over.set()
        assert {200, 401} >= set(seen)
        assert [401, 401] == [await call(run, key) for run in (here.run, there)]


async def test_two_administrators_who_leave_at_once_at_two_gateways_do_not_both(houses: tuple[House, Running]) -> None:
    here, there = houses
    [ada] = (await here.run.admin.get("/users", params={"team_id": "administrators"})).json()["data"]
    merge = {"content-type": "application/merge-patch+json"}
    for n in range(5):
        eve = await here.user(f"eve{n}", "administrators", "owner")
        await eventually(lambda eve=eve: _is_there(there, eve["id"]))
        answers = await asyncio.gather(
            here.run.admin.patch(f"/users/{ada['id']}", json={"role": "viewer"}, headers=merge),
            there.admin.patch(f"/users/{eve['id']}", json={"role": "viewer"}, headers=merge),
        )
        assert [200, 409] == sorted(answer.status_code for answer in answers)
        await here.run.patch(f"/users/{ada['id']}", role="owner")
        await here.run.patch(f"/users/{eve['id']}", role="viewer")


async def _is_there(run: Running, id: str) -> bool:
    return (await run.admin.get(f"/users/{id}")).status_code == 200
