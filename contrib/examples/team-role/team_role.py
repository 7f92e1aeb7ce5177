"""Users who sign in with a cookie or a token, and may only see and keep the API keys of their own team."""

from collections.abc import Awaitable
from hmac import compare_digest
from typing import Literal

import msgspec

from switchgear import Offer, Plugin
from switchgear.contracts.principal import USE, Authenticator, Authorizer, Credentials, Grant, Principal, Scope

_READ = frozenset({"list", "read"})
_KEEP = _READ | {"create", "patch", "suspend", "activate", "revoke", "rotate"}


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody. A `reader` sees keys; a `lead` makes them too, for models that are among `models`."""

    id: str
    token: str
    team: str
    role: Literal["reader", "lead"] = "reader"
    models: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.team_role]."""

    users: tuple[User, ...] = ()


class Users:
    """Knows users by their token, or by the cookie `session` that holds it."""

    def __init__(self) -> None:
        self.known: tuple[tuple[str, Principal], ...] = ()

    def read(self, users: tuple[User, ...]) -> None:
        """Take these for all there are."""
        self.known = tuple((user.token, _principal(user)) for user in users)

    def authenticate(self, credentials: Credentials) -> Principal | Awaitable[Principal | None] | None:
        """Compare with every token, whichever it is."""
        token = credentials.token or credentials.cookies.get("session")
        if token is None:
            return None
        found = [who for known, who in self.known if compare_digest(known.encode(), token.encode())]
        return found[0] if found else None


class Roles:
    """Has an opinion on users alone: their own team's keys, and nothing else of the admin API."""

    def authorize(self, principal: Principal, action: str, kind: str, id: str | None) -> Scope | None:
        """Bound users to their team; calls are decided by their grants."""
        team = principal.labels.get("team")
        if principal.kind != "user" or team is None or action == USE:
            return None
        allowed = kind == "api-keys" and action in (_KEEP if principal.facts.get("role") == "lead" else _READ)
        return Scope(allowed=allowed, filter={"team_id": (team,)})


class TeamRole(Plugin[Settings]):
    """The plugin. New settings are in force upon SIGHUP; calls of users who are gone then end."""

    api = 1
    settings_type = Settings
    live = True

    def __init__(self, settings: Settings, context: object) -> None:
        super().__init__(settings, context)  # type: ignore[arg-type]
        self.users = Users()
        self.users.read(settings.users)

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the users."""
        return [Offer("team_role", lambda: self.users)]

    def switchgear_authorizers(self) -> list[Offer[Authorizer]]:
        """Offer the roles."""
        return [Offer("team_role", Roles)]

    def reconfigure(self, settings: Settings) -> None:
        """Take the new users, and end what those who are gone or narrowed may no longer do."""
        super().reconfigure(settings)
        self.users.read(settings.users)
        now = {(who.id, who.session): who for _, who in self.users.known}
        self.context.principals_changed(lambda it: now.get((it.id, it.session)) if it.kind == "user" else it)


def _principal(user: User) -> Principal:
    return Principal(
        user.id,
        "user",
        name=user.id,
        labels={"user": user.id, "team": user.team},
        grants=(Grant(USE, "models", user.models),),
        facts={"role": user.role},
    )
