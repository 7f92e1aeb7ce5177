import contextlib
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchgear import Offer, Plugin
from switchgear.contracts.kernel import Migrations, Seed, Task
from switchgear.contracts.principal import Authenticator, Bounds, Principal, within
from switchgear.contracts.resource import ResourceKind
from switchgear.errors import NotFound, StoreError
from switchgear_plugins.api_keys.authenticator import ApiKeyAuthenticator
from switchgear_plugins.api_keys.live import LiveKey
from switchgear_plugins.api_keys.resources import INDEX, KIND, TEAMS, USERS, api_keys
from switchgear_plugins.api_keys.settings import ApiKeysSettings
from switchgear_plugins.api_keys.uses import EVERY_S, Uses

if TYPE_CHECKING:
    import click


class ApiKeysPlugin(Plugin[ApiKeysSettings]):
    """API keys: the resource kind, the authenticator that knows principals by them, and the command `keys`."""

    api = 1
    settings_type = ApiKeysSettings
    requires = ("store",)

    async def stop(self) -> None:
        """Write down the last uses of keys."""
        with contextlib.suppress(StoreError):
            await self.uses.write()

    @cached_property
    def uses(self) -> Uses:
        """When keys were last used."""
        return Uses(self.context)

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the table of uses."""
        return [Migrations(Path(__file__).parent / "migrations", optional=True)]

    def switchgear_tasks(self) -> list[Task]:
        """Write down when keys were used."""
        return [Task("uses", EVERY_S, self.uses.write)]

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `api-keys`."""
        return [api_keys(self.context.ambient, self.settings.test_models, self.uses.read)]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a first key, for every model."""
        return [Seed(KIND, {"name": "first", "permissions": {"models": ["*"]}}, order=2)]

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the authenticator `api_keys`."""
        return [Offer("api_keys", self._authenticator, summary="API keys kept by the gateway")]

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear keys`."""
        from switchgear_plugins.api_keys.commands import keys  # noqa: PLC0415 - a gateway that serves has no use for it

        return [keys]

    def _authenticator(self) -> ApiKeyAuthenticator:
        resources = self.context.resources
        resources.on_change(KIND, self._changed)
        for kind, label in ((TEAMS, "team"), (USERS, "user")):
            with contextlib.suppress(NotFound):  # no enabled plugin brings it
                resources.on_change(kind, partial(self._bounded, label))
        cache, read = resources.cache(KIND, INDEX), partial(resources.get, KIND)
        return ApiKeyAuthenticator(cache, self.context.ambient, read, self.uses.note)

    def _bounded(self, label: str, id: str, live: Any | None) -> None:
        """Go by what has become of those whom keys belong to. Keys themselves are read anew by whoever comes next."""

        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != "key" or principal.labels.get(label) != id:
                return principal
            if not isinstance(live, Bounds) or not live.active:
                return None
            if label == "user" and live.part_of != principal.labels.get("team"):
                return None
            return principal.with_grants(within(principal.grants, live.most))

        self.context.principals_changed(is_good)

    def _changed(self, id: str, live: LiveKey | None) -> None:
        now_us = self.context.ambient.now_us()
        if live is None:
            self.uses.forget(id)

        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != "key":
                return principal
            return None if live is None else live.now(principal, now_us)

        self.context.principals_changed(is_good, id=id)
