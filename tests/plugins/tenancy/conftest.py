"""A gateway with teams and users, and people who have signed in to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from switchgear.ambient import Ambient
from switchgear.testing.gateway import Running, eventually, running

PASSWORD = "correct horse battery"


class House:
    """A running gateway, and what tests of users do with it."""

    def __init__(self, run: Running) -> None:
        self.run = run

    async def team(self, id: str, **members: Any) -> dict[str, Any]:
        """Make a team."""
        return await self.run.create("teams", id=id, name=id.title(), **members)

    async def user(self, username: str, team_id: str, role: str = "member", **members: Any) -> dict[str, Any]:
        """Make a user with the usual password."""
        return await self.run.create(
            "users", **{"username": username, "team_id": team_id, "role": role, "password": PASSWORD, **members}
        )

    async def login(self, username: str, password: str = PASSWORD, **members: Any) -> httpx.Response:
        """Try to sign in."""
        body = {"username": username, "password": password, **members}
        return await self.run.http.post("/admin/v1/auth/login", json=body)

    async def signed_in(self, username: str) -> httpx.AsyncClient:
        """Return a client of the admin API that sends the access token of a new session."""
        answer = await self.login(username)
        assert 200 == answer.status_code, answer.text
        return self.client(authorization=f"Bearer {answer.json()['access_token']}")

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client of the admin API."""
        return httpx.AsyncClient(base_url=f"{self.run.url}/admin/v1", headers=headers, timeout=60)

    async def in_a_browser(self, username: str) -> tuple[httpx.AsyncClient, str]:
        """Return a client with the session in a cookie, and its CSRF token."""
        client = self.client()
        answer = await client.post("/auth/login", json={"username": username, "password": PASSWORD, "cookie": True})
        assert 200 == answer.status_code, answer.text
        return client, answer.json()["csrf_token"]


@asynccontextmanager
async def housing(directory: Path, *, ambient: Ambient | None = None, **environ: str) -> AsyncIterator[House]:
    """Serve a gateway with the administrator `ada`, and the teams `red` and `blue`."""
    async with running(directory, ambient=ambient, environ=environ) as run:
        house = House(run)

        async def has_team() -> bool:
            return (await run.admin.get("/teams/administrators")).status_code == 200

        await eventually(has_team)
        await house.user("ada", "administrators", "owner")
        for team in ("red", "blue"):
            await house.team(team)
        yield house
