"""Tokens that providers want instead of the credential itself, fetched and kept like any secret."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from switchgear.contracts.credential import Secret, SecretHandle
from switchgear.contracts.provider import ProviderFault, TokenExchange
from switchgear.contracts.upstream import Connection
from switchgear.errors import SecretUnavailable, SwitchgearError, UpstreamError
from switchgear.plugin_faults import is_own_doing, name_of

_OK = 200
_CAP = 256 * 1024


class Nothing(Struct):
    """The source of a token: the credential is all there is to it."""


class TokenBackend:
    """Trades one credential for tokens at one provider."""

    def __init__(
        self,
        provider_id: str,
        exchange: TokenExchange,
        connection: Connection,
        base: SecretHandle,
        note: Callable[[str, str], None],
    ) -> None:
        self.source_type: type[Struct] = Nothing
        self.secret_fields: tuple[str, ...] = ()
        self._provider_id = provider_id
        self._exchange = exchange
        self._connection = connection
        self._base = base
        self._note = note
        self._as_is: Secret | None = None

    async def fetch(self, credential_id: str, source: Any) -> Secret:  # noqa: ARG002 - the contract's shape
        """Return a token, or the credential itself where it is used as it is.

        Raises `SecretUnavailable`, and `ProviderFault` (`protocol`) where it is the provider's plugin that fails.
        """
        try:
            return await self._fetch()
        except SwitchgearError:
            raise
        except BaseException as error:
            if not is_own_doing(error):
                raise
            # Its words, and those of its traceback, may hold the secret.
            self._note("token exchange", f"it raised {name_of(error)}")
            raise ProviderFault("protocol", _OK) from error

    async def _fetch(self) -> Secret:
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
        token = self._exchange.token(secret, response, body)
        if not isinstance(token, Secret):
            raise TypeError(f"a token exchange returned {type(token).__name__}, no Secret")
        return token

    def _unavailable(self, why: str) -> SecretUnavailable:
        return SecretUnavailable(f"the exchange of the credential for a token of provider {self._provider_id} {why}")
