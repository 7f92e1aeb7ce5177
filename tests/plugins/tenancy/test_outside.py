"""Users whom another system identifies: at a `login_url`, and by plugins that sign people in."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.tenancy.conftest import PASSWORD, House
from switchgear.contracts.sessions import Person, SessionKeeper
from switchgear.errors import PermissionDenied
from switchgear.testing.gateway import running
from switchgear.testing.upstream import Script, ScriptedUpstream

STAFF = {"staff": True, "subject": "7", "username": "otto", "email": "otto@example.com", "unread": [1]}


def says(**members: Any) -> Script:
    return Script(body=msgspec.json.encode(members).decode())


@pytest.fixture
async def upstream():
    async with ScriptedUpstream() as up:
        yield up


def settings(upstream: ScriptedUpstream, **members: Any) -> dict[str, Any]:
    return {"tenancy": {"login_url": f"{upstream.url}/login", "outside_team": "red", **members}}


async def test_staff_of_elsewhere_signs_in_and_nobody_else(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with running(tmp_path, plugins=settings(upstream)) as run:
        house = House(run)
        await house.team("red")
        upstream.script(says(**STAFF))
        answer = await house.login("otto", "their password")
        assert (200, "red", "member") == (
            answer.status_code, answer.json()["user"]["team_id"], answer.json()["user"]["role"],
        )  # fmt: skip
        upstream.script(says(**STAFF, name="Otto", role="owner"))
        again = (await house.login("otto", "their password")).json()["user"]
        assert (answer.json()["user"]["id"], "Otto", "owner") == (again["id"], again["name"], again["role"])
        upstream.script(says(**{**STAFF, "subject": "8", "username": "guest", "staff": False}))
        assert (403, "urn:switchgear:problem:not_staff") == (
            (it := await house.login("guest", "their password")).status_code, it.json()["type"],
        )  # fmt: skip
        asked = [entry.body for entry in await upstream.ledger.settled()]
        assert {"username": "otto", "password": "their password"} == msgspec.json.decode(asked[0])


async def test_who_is_somebody_else_here_is_not_taken_over(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with running(tmp_path, plugins=settings(upstream)) as run:
        house = House(run)
        await house.team("red")
        await house.user("ann", "red")
        upstream.script(says(staff=True, username="ann"))
        assert 401 == (await house.login("ann", "their password")).status_code
        assert 0 == len(upstream.ledger), "a user with a password here is asked for nowhere else"
        upstream.script(says(staff=True, subject="9", username="ann"))
        assert 403 == (await house.login("other-ann", "their password")).status_code


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (Script(status=401, body="{}"), 401),
        (Script(body="no json"), 503),
        (Script(body='{"staff": "yes"}'), 503),
        (Script(body="{" + " " * 100_000 + "}"), 503),
        (Script(status=302, body="{}"), 503),
        (Script(status=500, body="{}"), 503),
    ],
)
async def test_what_is_no_answer_lets_nobody_in(
    tmp_path: Path, upstream: ScriptedUpstream, script: Script, status: int
) -> None:
    async with running(tmp_path, plugins=settings(upstream)) as run:
        upstream.script(script)
        assert status == (await House(run).login("otto", "x")).status_code


async def test_the_outside_address_is_no_private_one_unless_it_is_allowed(tmp_path: Path) -> None:
    private = {"tenancy": {"login_url": "http://10.0.0.1/login"}}
    async with running(tmp_path, plugins=private) as run:
        assert 503 == (await House(run).login("otto", "x")).status_code


async def test_other_plugins_begin_and_end_sessions(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        house = House(run)
        await house.team("red")
        await house.user("ann", "red")
        plugin = next(it.plugin for it in run.gateway.kernel.plugins if it.installed.name == "tenancy")
        [offered] = plugin.context.offers("sessions").values()
        keeper: SessionKeeper = offered.make()
        person = Person("https://idp.example", "s-1", "otto", part_of="red", role="admin")
        id = await keeper.admit(person)
        assert id == await keeper.admit(Person("https://idp.example", "s-1", "otto renamed", name="Otto"))
        shown = (await run.admin.get(f"/users/{id}")).json()
        assert ("otto", "Otto", "admin") == (shown["username"], shown["name"], shown["role"])
        tokens = keeper.begin(id, in_cookie=False, secure=False)
        begun = keeper.begin(id, in_cookie=True, secure=True)
        assert begun.set_cookie is not None
        assert "Secure" in begun.set_cookie
        by_token = house.client(authorization=f"Bearer {tokens.access_token}")
        by_cookie = house.client(cookie=begun.set_cookie.partition(";")[0])
        assert [200, 200] == [(await it.get("/auth/me")).status_code for it in (by_token, by_cookie)]
        await keeper.end(id, tokens.session)
        assert [401, 200] == [(await it.get("/auth/me")).status_code for it in (by_token, by_cookie)]
        await keeper.end(id)
        assert 401 == (await by_cookie.get("/auth/me")).status_code
        with pytest.raises(PermissionDenied) as taken:
            await keeper.admit(Person("https://idp.example", "s-2", "ann", part_of="red"))
        assert "username_taken" == taken.value.code
        with pytest.raises(PermissionDenied):
            await keeper.admit(Person("https://idp.example", "s-3", "x"), create=False)
        await run.patch(f"/users/{id}", status="disabled")
        with pytest.raises(PermissionDenied):
            await keeper.admit(person)
        assert 401 == (await house.login("otto", PASSWORD)).status_code
