import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from switchgear import Offer, Plugin
from switchgear.contracts.principal import Authenticator, Principal
from switchgear.errors import NotFound
from switchgear.wire.jose import KeySet
from switchgear_plugins.jwt.authenticator import TEAMS, USERS, Issuer, TokenAuthenticator
from switchgear_plugins.jwt.settings import JwtSettings

if TYPE_CHECKING:
    import httpx

_LARGEST_JWKS = 256 * 1024
_WITHIN_S = 5.0


class JwtPlugin(Plugin[JwtSettings]):
    """Tokens of outside issuers: workloads and services that have an identity elsewhere."""

    api = 1
    settings_type = JwtSettings

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the authenticator `jwt`."""
        return [Offer("jwt", self._authenticator, summary="Tokens that outside issuers sign")]

    def _authenticator(self) -> TokenAuthenticator:
        resources = self.context.resources
        issuers = [Issuer(name, says, self._keys(name, says.jwks_url)) for name, says in self.settings.issuers.items()]
        made = TokenAuthenticator(issuers, self.context.ambient, self._live)
        for kind, label in ((TEAMS, "team"), (USERS, "user")):
            with contextlib.suppress(NotFound):  # no enabled plugin brings it
                resources.on_change(kind, partial(self._bounded, made, label))
        return made

    def _live(self, kind: str, id: str) -> Any | None:
        return self.context.resources.snapshot.live(kind, id)

    def _keys(self, name: str, url: str | None) -> KeySet | None:
        if url is None:
            return None
        client: list[httpx.AsyncClient] = []

        async def fetch() -> bytes:
            if not client:
                client.append(self.context.http(timeout=_WITHIN_S, follow_redirects=False, max_body=_LARGEST_JWKS))
            try:
                answer = await client[0].get(url)
                answer.raise_for_status()
            except Exception as error:
                self.context.log.warning("keys of an issuer cannot be fetched", issuer=name, error=str(error)[:300])
                raise
            return answer.content

        return KeySet(fetch, self.context.ambient)

    def _bounded(self, made: TokenAuthenticator, label: str, id: str, live: Any | None) -> None:  # noqa: ARG002 - it is looked up anew
        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != "token" or principal.labels.get(label) != id:
                return principal
            return made.now(principal)

        self.context.principals_changed(is_good)
