"""Who may enter the admin side: the operator's key from the environment, or an API key with the admin permission."""

import hmac
from collections.abc import Sequence
from typing import Any

from switchgear.contracts.caller import Authenticator
from switchgear.errors import AuthenticationFailed, PermissionDenied
from switchgear.exchange.bearer import identify, token_of


class AdminAccess:
    """Decides for every admin route; nothing is open by default. `admin_key` None or empty: no such key."""

    def __init__(self, admin_key: str | None, authenticators: Sequence[Authenticator]) -> None:
        self._admin_key = (admin_key or "").encode()
        self._authenticators = tuple(authenticators)

    async def authorise(self, connection: Any, action: str, resource: str) -> str:  # noqa: ARG002 - roles will look at them
        """Return who it is. Raises `AuthenticationFailed` or `PermissionDenied`."""
        token = token_of(dict(connection.scope["headers"]))
        if token is None:
            raise AuthenticationFailed("Send the admin key as `Authorization: Bearer`.", code="no_credentials")
        if self._admin_key and hmac.compare_digest(token.encode(), self._admin_key):
            return "admin-key"
        caller = await identify(token, self._authenticators)
        if caller is None:
            raise AuthenticationFailed("This key is not valid here.", code="invalid_credentials")
        if not caller.permissions.admin:
            raise PermissionDenied("This key does not have the admin permission.", code="not_admin")
        return caller.key_id
