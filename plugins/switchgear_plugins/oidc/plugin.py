from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from switchgear import Offer, Plugin
from switchgear.ambient import Ambient
from switchgear.contracts.sessions import SessionKeeper, Way
from switchgear_plugins.oidc.settings import OidcSettings

if TYPE_CHECKING:
    import httpx
    from litestar.handlers import HTTPRouteHandler

    from switchgear_plugins.oidc.provider import Provider

_LARGEST = 256 * 1024
_WITHIN_S = 10.0
_BASE = "/admin/v1/auth/oidc"


class OidcPlugin(Plugin[OidcSettings]):
    """Signing in with OpenID providers."""

    api = 1
    settings_type = OidcSettings
    requires = ("store", "sessions")

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring `/admin/v1/auth/oidc/…`."""
        from switchgear_plugins.oidc.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self)

    def switchgear_offers(self) -> list[Offer[Any]]:
        """Tell the sign-in page of the providers."""
        return [Offer("oidc", lambda _: self, kind="ways_in", summary="OpenID providers")]

    def ways(self) -> Sequence[Way]:
        """Return the providers."""
        return [
            Way(name, says.title or name.title(), f"{_BASE}/{name}/login")
            for name, says in self.settings.providers.items()
        ]

    @property
    def url(self) -> str:
        """Where browsers reach the gateway."""
        return self.settings.url or ""

    @property
    def ambient(self) -> Ambient:
        """Time and chance."""
        return self.context.ambient

    @cached_property
    def keeper(self) -> SessionKeeper:
        """Who knows users."""
        keeper: SessionKeeper = next(iter(self.context.offers("sessions").values())).make()
        return keeper

    def provider(self, name: str) -> "Provider | None":
        """Return a provider by its name."""
        from switchgear_plugins.oidc.provider import Provider  # noqa: PLC0415 - only who signs in so needs it

        if name not in self._providers and (says := self.settings.providers.get(name)) is not None:
            at = f"{self.url}{_BASE}/{name}/callback"
            self._providers[name] = Provider(name, says, at, self._client, self.context.ambient, self.context.log)
        return self._providers.get(name)

    @cached_property
    def _providers(self) -> "dict[str, Provider]":
        return {}

    def _client(self) -> "httpx.AsyncClient":
        return self._http

    @cached_property
    def _http(self) -> "httpx.AsyncClient":
        return self.context.http(timeout=_WITHIN_S, follow_redirects=False, max_body=_LARGEST)
