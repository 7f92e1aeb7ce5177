from functools import partial
from typing import TYPE_CHECKING, Any

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed
from switchgear.contracts.principal import Authenticator, Principal
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.api_keys.authenticator import ApiKeyAuthenticator
from switchgear_plugins.api_keys.live import LiveKey
from switchgear_plugins.api_keys.resources import INDEX, KIND, api_keys

if TYPE_CHECKING:
    import click


class ApiKeysPlugin(Plugin[NoSettings]):
    """API keys: the resource kind, the authenticator that knows principals by them, and the command `keys`."""

    api = 1
    requires = ("store",)

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `api-keys`."""
        return [api_keys(self.context.ambient)]

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
        return ApiKeyAuthenticator(resources.cache(KIND, INDEX), self.context.ambient, partial(resources.get, KIND))

    def _changed(self, id: str, live: LiveKey | None) -> None:
        now_us = self.context.ambient.now_us()

        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != "key":
                return principal
            return None if live is None else live.now(principal, now_us)

        self.context.principals_changed(is_good, id=id)
