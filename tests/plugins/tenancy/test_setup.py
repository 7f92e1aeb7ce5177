"""The first administrator."""

import asyncio
from pathlib import Path

import httpx

from plugins.tenancy.conftest import PASSWORD, House
from switchgear.contracts.kernel import Serving
from switchgear.testing.gateway import Running, eventually, running

NEW = {"username": "root", "password": PASSWORD}


async def link(run: Running, *, terminal: bool = True) -> str:
    """Return what `switchgear serve` tells."""
    told = [text async for text in run.gateway.notices(Serving(run.url, terminal))]
    return "".join(told)


def token(text: str) -> str:
    return text.strip().rpartition("token=")[2]


async def use(run: Running, given: str, **members: object) -> httpx.Response:
    return await run.http.post("/admin/v1/auth/setup", json={"token": given, **NEW, **members})


async def test_a_setup_link_makes_the_first_administrator_once(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert {"password": True, "setup": True, "providers": []} == (await run.http.get("/admin/v1/auth/ways")).json()
        given = token(await link(run))
        for wrong in ("", "x", given[:-1], f"{given}0"):
            assert (await use(run, wrong)).status_code in (401, 422)
        assert 422 == (await use(run, given, password="short")).status_code
        made = await use(run, given)
        assert (200, "administrators", "owner") == (
            made.status_code, made.json()["user"]["team_id"], made.json()["user"]["role"],
        )  # fmt: skip
        assert 401 == (await use(run, given, username="second")).status_code
        assert not (await run.http.get("/admin/v1/auth/ways")).json()["setup"]
        assert "" == await link(run)
        assert 200 == (await House(run).login("root")).status_code


async def test_of_two_who_have_the_link_one_wins(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        given = token(await link(run))
        both = await asyncio.gather(*(use(run, given, username=name) for name in ("one", "two")))
        assert [200, 401] == sorted(answer.status_code for answer in both)
        assert 1 == len((await run.admin.get("/users")).json()["data"])


async def test_a_link_that_nobody_could_be_made_with_is_still_good(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.create("teams", id="red", name="Red")
        await run.create("users", username="root", team_id="red")
        given = token(await link(run))
        assert 409 == (await use(run, given)).status_code
        assert 200 == (await use(run, given, username="another")).status_code


async def test_without_a_terminal_the_link_is_in_a_file_of_this_user_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        said = await link(run, terminal=False)
        file = tmp_path / "data" / "tenancy" / "setup-link"
        assert str(file) in said
        assert token(file.read_text()) not in said
        assert 0o600 == file.stat().st_mode & 0o777
        assert 200 == (await use(run, token(file.read_text()))).status_code
        assert not file.exists()


async def test_the_password_of_the_environment_makes_the_user_admin(tmp_path: Path) -> None:
    async with running(tmp_path, environ={"ADMIN_DEFAULT_PASSWORD": PASSWORD}) as run:
        house = House(run)

        async def signed_in() -> bool:
            return (await house.login("admin")).status_code == 200

        await eventually(signed_in)
        assert 200 == (await (await house.signed_in("admin")).get("/models")).status_code
        assert "" == await link(run)
