import os

from switchgear import Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear_plugins.env.backend import EnvBackend
from switchgear_plugins.env.settings import EnvSettings


class EnvPlugin(Plugin[EnvSettings]):
    """Credentials held in environment variables."""

    api = 1
    settings_type = EnvSettings

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend `env`."""
        return [Offer("env", self._backend, summary="Environment variables")]

    def _backend(self) -> EnvBackend:
        return EnvBackend(self.settings, os.environ, lambda: self.context.own_variables)
