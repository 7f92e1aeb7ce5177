"""Tokens that providers want instead of the credential itself, fetched and kept like any secret."""

from typing import Any

from msgspec import Struct

from switchgear.contracts.credential import Secret, SecretHandle
from switchgear.contracts.provider import ProviderFault, TokenExchange
from switchgear.contracts.upstream import Connection
from switchgear.errors import SecretUnavailable, UpstreamError

_CAP = 256 * 1024


class Nothing(Struct):
    """The source of a token: the credential is all there is to it."""


class TokenBackend:
    """Trades one credential for tokens at one provider."""

    def __init__(self, provider_id: str, exchange: TokenExchange, connection: Connection, base: SecretHandle) -> None:
        self.source_type: type[Struct] = Nothing
        self.secret_fields: tuple[str, ...] = ()
        self._provider_id = provider_id
        self._exchange = exchange
        self._connection = connection
        self._base = base
        self._as_is: Secret | None = None

    async def fetch(self, credential_id: str, source: Any) -> Secret:  # noqa: ARG002 - the contract's shape
        """Return a token, or the credential itself where it is used as it is. Raises `SecretUnavailable`."""
        secret = self._base.peek() or await self._base.get()
        if secret is self._as_is:
            # No token stood between: it is what the provider refused, or it is old.
            secret = await self._base.renew(secret) or secret
        try:
            return await self._trade(secret)
        except ProviderFault as fault:
            newer = await self._base.renew(secret) if fault.cause in ("auth", "invalid_request") else None
            if newer is None:
                raise self._unavailable(f"was refused ({fault.cause}, status {fault.status})") from None
        try:
            return await self._trade(newer)
        except ProviderFault as fault:
            raise self._unavailable(f"was refused ({fault.cause}, status {fault.status})") from None

    async def _trade(self, secret: Secret) -> Secret:
        request = self._exchange.token_request(secret)
        if request is None:
            self._as_is = secret
            return secret
        try:
            response = await self._connection.send(request)
            try:
                body = await response.body(_CAP)
            finally:
                await response.close()
        except UpstreamError as error:
            raise self._unavailable(f"failed ({error.cause}): {error}") from error
        return self._exchange.token(secret, response, body)

    def _unavailable(self, why: str) -> SecretUnavailable:
        return SecretUnavailable(f"the exchange of the credential for a token of provider {self._provider_id} {why}")
