from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchgear import Offer, OfferKind, Plugin
from switchgear.contracts.kernel import Migrations, Notice, Seed, Serving, Task
from switchgear.contracts.principal import Authenticator, Authorizer, Principal
from switchgear.contracts.resource import ResourceKind
from switchgear.contracts.sessions import SessionKeeper, Way, WaysIn
from switchgear_plugins.tenancy.front_door import FrontDoor
from switchgear_plugins.tenancy.passwords import Passwords
from switchgear_plugins.tenancy.people import ADMINISTRATORS, LiveTeam, LiveUser
from switchgear_plugins.tenancy.roles import Roles
from switchgear_plugins.tenancy.sessions import Sessions
from switchgear_plugins.tenancy.settings import TenancySettings
from switchgear_plugins.tenancy.setup import FIRST, TEAM, Setup, first_user
from switchgear_plugins.tenancy.teams import KIND as TEAMS
from switchgear_plugins.tenancy.teams import teams
from switchgear_plugins.tenancy.throttle import Throttle
from switchgear_plugins.tenancy.users import KIND as USERS
from switchgear_plugins.tenancy.users import Users

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

_MOST_KEYS = 100_000
_ENSURE_S = 3600.0


class TenancyPlugin(Plugin[TenancySettings]):
    """Teams and users: who signs in, what their role lets them do, and the sessions they have."""

    api = 1
    settings_type = TenancySettings
    requires = ("store", "counters")
    defines = (
        OfferKind("sessions", SessionKeeper, "Sessions of people whom another plugin signs in"),
        OfferKind("ways_in", WaysIn, "Ways to sign in that begin with a page"),
    )

    async def start(self) -> None:
        """Read the keys of sessions."""
        from switchgear_plugins.tenancy.signing import load  # noqa: PLC0415 - takes long to import

        self._ring = load(self.settings, self.context.data_dir, self.context.ambient)

    async def stop(self) -> None:
        """Let the threads end."""
        self.passwords.close()

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `teams` and `users`."""
        longest_us = round(max(self.settings.refresh_minutes, self.settings.cookie_minutes) * 60_000_000)
        administrators = partial(self._team, ADMINISTRATORS)
        users = Users(self.context.ambient, self.passwords, self._everybody, administrators, longest_us)
        return [teams(), users.kind()]

    def switchgear_first_run(self) -> list[Seed]:
        """Make the team of administrators, and the first of them where the environment has a password."""
        password = self.settings.admin_password
        return [
            Seed(TEAMS, TEAM, order=-2),
            *([] if password is None else [Seed(USERS, first_user(FIRST, password), order=-1)]),
        ]

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the sessions."""
        return [Offer("sessions", self._authenticator, summary="Users who have signed in")]

    def switchgear_authorizers(self) -> list[Offer[Authorizer]]:
        """Offer the roles."""
        return [Offer("roles", lambda: Roles(self._team, self._keys_of), summary="What users may do, by their roles")]

    def switchgear_offers(self) -> list[Offer[Any]]:
        """Offer sessions to plugins that sign people in."""
        return [Offer("tenancy", lambda _: self._keeper(self.door), kind="sessions", summary="Sessions of users")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring `/admin/v1/auth/…`."""
        from switchgear_plugins.tenancy.routes import auth_handlers  # noqa: PLC0415 - Litestar takes long to import

        return auth_handlers(self)

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear users`."""
        from switchgear_plugins.tenancy.commands import users  # noqa: PLC0415 - a gateway that serves has no use for it

        return [users]

    def switchgear_notices(self) -> list[Notice]:
        """Tell of the setup link while there is no administrator."""
        return [Notice(self._tell)]

    async def _tell(self, serving: Serving) -> str | None:
        return await self.setup.tell(serving)

    def switchgear_tasks(self) -> list[Task]:
        """See to it that there are administrators."""
        return [Task("administrators", _ENSURE_S, self._ensure)]

    @cached_property
    def passwords(self) -> Passwords:
        """What hashes them."""
        return Passwords(self.settings.hashes)

    @cached_property
    def sessions(self) -> Sessions:
        """What knows sessions, once the plugin has started."""
        return Sessions(self._ring, self.settings, self.context.ambient, self._user)

    @cached_property
    def door(self) -> FrontDoor:
        """What signs in and out."""
        from switchgear_plugins.tenancy.keeper import Outside, client_options  # noqa: PLC0415 - takes long to import

        door = FrontDoor(self.sessions, self.passwords, Throttle(self.context), self.context.resources)
        if self.settings.login_url is not None:
            client = self.context.http(**client_options())
            door.outside = Outside(self.settings.login_url, client, self._keeper(door), self.context.log).login
        return door

    def _keeper(self, door: FrontDoor) -> SessionKeeper:
        from switchgear_plugins.tenancy.keeper import Keeper  # noqa: PLC0415 - likewise

        return Keeper(self.context, self.settings, self.sessions, door)

    @cached_property
    def setup(self) -> Setup:
        """What makes the first administrator."""
        return Setup(self.context)

    def ways(self) -> Sequence[Way]:
        """Return the ways to sign in that other plugins bring."""
        return [way for offered in self.context.offers("ways_in").values() for way in offered.make().ways()]

    def _authenticator(self) -> Sessions:
        self.context.resources.on_change(USERS, self._changed)
        return self.sessions

    def _everybody(self) -> Mapping[str, LiveUser]:
        return self.context.resources.snapshot.all(USERS)

    def _user(self, id: str) -> LiveUser | None:
        user: LiveUser | None = self.context.resources.snapshot.live(USERS, id)
        return user

    def _team(self, id: str) -> LiveTeam | None:
        team: LiveTeam | None = self.context.resources.snapshot.live(TEAMS, id)
        return team

    async def _keys_of(self, id: str, most: int) -> int:
        """Count the keys of a user that are not revoked, up to a bound."""
        count = 0
        for kind, key in await self.context.store.references_to(USERS, id, limit=_MOST_KEYS):
            resource = await self.context.resources.get(kind, key) if kind == "api-keys" else None
            count += resource is not None and resource.spec.status != "revoked"
            if count >= most:
                break
        return count

    def _changed(self, id: str, live: LiveUser | None) -> None:
        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != "user":
                return principal
            if live is None or not live.is_good(principal.session, int(principal.facts["epoch"])):
                return None
            return live.principal(principal.session, principal.expires_us)

        self.context.principals_changed(is_good, id=id)

    async def _ensure(self) -> None:
        await self.setup.ensure_team()
        if self.settings.admin_password is not None and not self._everybody():
            await self.setup.make(FIRST, self.settings.admin_password)
