"""The first administrator: by a link that works once, or with the password that the environment has."""

import hashlib
import os
from pathlib import Path
from typing import Any, cast

from switchgear import Context
from switchgear.contracts.kernel import Serving
from switchgear.contracts.resource import Resources
from switchgear.errors import AuthenticationFailed, Conflict
from switchgear_plugins.tenancy import passwords
from switchgear_plugins.tenancy.front_door import BY
from switchgear_plugins.tenancy.people import ADMINISTRATORS, LiveUser
from switchgear_plugins.tenancy.roles import administers
from switchgear_plugins.tenancy.teams import KIND as TEAMS
from switchgear_plugins.tenancy.throttle import Throttle
from switchgear_plugins.tenancy.users import KIND as USERS

GOOD_US = 24 * 3600 * 1_000_000
"""For how long a setup link is good."""
FIRST = "admin"
"""The username of who is made with the password of the environment."""
TEAM: dict[str, Any] = {"id": ADMINISTRATORS, "name": "Administrators"}
_NAME = "setup"


class Setup:
    """Whether there is an administrator, and making the first one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._throttle = Throttle(context)

    @property
    def _resources(self) -> Resources:
        return self._context.resources

    def is_needed(self) -> bool:
        """Say whether nobody administers the gateway."""
        everybody = self._resources.snapshot.all(USERS).values()
        return not any(user.active and administers(user.team_id, user.role) for user in everybody)

    async def ensure_team(self) -> None:
        """Make the team of administrators if it is not there."""
        if self._resources.snapshot.live(TEAMS, ADMINISTRATORS) is None:
            try:
                await self._resources.create(TEAMS, None, TEAM, by=BY)
            except Conflict as error:
                if error.code != "already_exists":  # another replica may have been faster
                    raise

    async def make(self, username: str, password: str) -> LiveUser:
        """Make an owner of the administrators."""
        await self.ensure_team()
        made = await self._resources.create(USERS, None, first_user(username, password), by=BY)
        return cast("LiveUser", self._resources.snapshot.live(USERS, made["id"]))

    async def offer(self) -> str:
        """Make a token that makes the first administrator, once."""
        token = self._context.ambient.token(24).hex()
        async with self._context.tables.transaction() as t:
            await t.execute("offer_setup", digest=_digest(token), made_us=self._context.ambient.now_us())
        return token

    async def tell(self, serving: Serving) -> str | None:
        """Say where the setup link is, a new one with each start, while there is no administrator."""
        file = link_file(self._context)
        if not self.is_needed():
            file.unlink(missing_ok=True)
            return None
        link = f"{serving.url}/ui/#/setup-link?token={await self.offer()}"
        if serving.terminal:
            return f"Nobody administers this gateway yet. This link makes the first administrator, once, within a day:\n  {link}"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(f"{link}\n")
        return f"Nobody administers this gateway yet. The link that makes the first administrator is in {file}"

    async def use(self, token: str, username: str, password: str, peer: str | None) -> LiveUser:
        """Make the first administrator. Raises `AuthenticationFailed` for a token that is not good, or not any more."""
        passwords.check(password)
        named: dict[str, Any] = {"digest": _digest(token), "since_us": self._context.ambient.now_us() - GOOD_US}
        async with self._throttle.attempt(peer, _NAME):
            if not await self._context.tables.query("setup_offered", **named) or not self.is_needed():
                raise AuthenticationFailed(
                    "This setup link is not good any more; start the gateway again.", code="setup_over"
                )
        user = await self._taking(named, username, password)
        link_file(self._context).unlink(missing_ok=True)
        return user

    async def _taking(self, named: dict[str, Any], username: str, password: str) -> LiveUser:
        """Take the token before anybody is made, so that of two who have it one wins; give it back where nobody was made."""
        async with self._context.tables.transaction() as t:
            taken = await t.execute("take_setup", **named)
        if not taken:
            raise AuthenticationFailed("This setup link has just been used.", code="setup_over")
        try:
            user = await self.make(username, password)
        except BaseException:
            async with self._context.tables.transaction() as t:
                await t.execute("offer_setup", digest=named["digest"], made_us=self._context.ambient.now_us())
            raise
        async with self._context.tables.transaction() as t:
            await t.execute("end_setup")
        return user


LINK_FILE = "setup-link"
"""The file in the plugin's directory with a link that was not shown on a terminal."""


def first_user(username: str, password: str) -> dict[str, Any]:
    """Return the body of an owner of the administrators."""
    return {"username": username, "password": password, "team_id": ADMINISTRATORS, "role": "owner"}


def link_file(context: Context) -> Path:
    """Return where the link is kept."""
    return context.data_dir / LINK_FILE


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
