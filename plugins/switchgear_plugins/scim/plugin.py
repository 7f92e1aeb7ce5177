import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from switchgear import Offer, Plugin
from switchgear.contracts.principal import Authenticator, Credentials, Grant, Principal
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.scim.resources import groups
from switchgear_plugins.scim.settings import ScimSettings

if TYPE_CHECKING:
    from switchgear.contracts.dialect import Dialect

_CLIENT = Principal("scim", "provisioner", name="scim", grants=(Grant("*", "scim"),))
"""The identity provider: it may do everything here, and nothing else."""


class _Tokens:
    """Knows the identity provider by its token."""

    def __init__(self, token: str) -> None:
        self._digest = hashlib.sha256(token.encode()).digest()

    def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the identity provider if this is its token."""
        if credentials.token is None:
            return None
        sent = hashlib.sha256(credentials.token.encode("utf-8", "surrogatepass")).digest()
        return _CLIENT if hmac.compare_digest(sent, self._digest) else None


class ScimPlugin(Plugin[ScimSettings]):
    """SCIM 2.0: an identity provider makes, changes and ends users."""

    api = 1
    settings_type = ScimSettings
    requires = ("store", "sessions")

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `scim-groups`."""
        return [groups()]

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the token of the identity provider."""
        return [Offer("scim", lambda: _Tokens(self.settings.token or ""), summary="The token of the identity provider")]

    def switchgear_dialects(self) -> "list[Offer[Dialect]]":
        """Offer `/scim/v2`."""
        return [Offer("scim", self._dialect, summary="SCIM 2.0: users and groups of an identity provider")]

    def _dialect(self) -> "Dialect":
        from switchgear_plugins.scim.dialect import ScimDialect  # noqa: PLC0415 - where it is enabled
        from switchgear_plugins.scim.people import People  # noqa: PLC0415 - likewise

        return ScimDialect(People(self.context, self.settings))
