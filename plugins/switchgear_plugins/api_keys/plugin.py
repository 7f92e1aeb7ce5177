from functools import partial
from typing import Any

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.caller import Authenticator
from switchgear.contracts.kernel import Seed
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.api_keys.authenticator import ApiKeyAuthenticator
from switchgear_plugins.api_keys.live import LiveKey
from switchgear_plugins.api_keys.resources import INDEX, KIND, api_keys


class ApiKeysPlugin(Plugin[NoSettings]):
    """API keys: the resource kind, and the authenticator that knows callers by them."""

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

    def _authenticator(self) -> ApiKeyAuthenticator:
        resources = self.context.resources
        resources.on_change(KIND, self._changed)
        return ApiKeyAuthenticator(resources.cache(KIND, INDEX), self.context.ambient, partial(resources.get, KIND))

    def _changed(self, id: str, live: LiveKey | None) -> None:
        now = () if live is None else live.callers(self.context.ambient.now_us())
        self.context.callers_changed(id, now)
