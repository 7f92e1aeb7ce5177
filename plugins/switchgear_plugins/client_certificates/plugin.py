import contextlib
from functools import partial
from typing import Any

from switchgear import Offer, Plugin
from switchgear.contracts.principal import Authenticator, Principal
from switchgear.errors import NotFound
from switchgear_plugins.client_certificates.authenticator import KIND, TEAMS, USERS, CertificateAuthenticator
from switchgear_plugins.client_certificates.settings import ClientCertificatesSettings


class ClientCertificatesPlugin(Plugin[ClientCertificatesSettings]):
    """Clients that a proxy in front knows by their TLS certificates."""

    api = 1
    settings_type = ClientCertificatesSettings
    after = ("api_keys", "jwt", "tenancy")

    def switchgear_authenticators(self) -> list[Offer[Authenticator]]:
        """Offer the authenticator `client_certificates`."""
        summary = "Client certificates that a trusted proxy has verified"
        return [Offer("client_certificates", self._authenticator, summary=summary)]

    def _authenticator(self) -> CertificateAuthenticator:
        resources = self.context.resources
        made = CertificateAuthenticator(self.settings, self.context.ambient, self._live)
        for kind, label in ((TEAMS, "team"), (USERS, "user")):
            with contextlib.suppress(NotFound):  # no enabled plugin brings it
                resources.on_change(kind, partial(self._bounded, made, label))
        return made

    def _live(self, kind: str, id: str) -> Any | None:
        return self.context.resources.snapshot.live(kind, id)

    def _bounded(self, made: CertificateAuthenticator, label: str, id: str, live: Any | None) -> None:  # noqa: ARG002 - it is looked up anew
        def is_good(principal: Principal) -> Principal | None:
            if principal.kind != KIND or principal.labels.get(label) != id:
                return principal
            return made.now(principal)

        self.context.principals_changed(is_good)
