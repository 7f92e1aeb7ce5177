from typing import TYPE_CHECKING

from switchgear import Context, Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear.contracts.kernel import Task
from switchgear.contracts.upstream import ConnectionSettings
from switchgear_plugins.vault.backend import VaultBackend
from switchgear_plugins.vault.session import VaultSession
from switchgear_plugins.vault.settings import VaultSettings

if TYPE_CHECKING:
    import httpx

_MAX_BODY = 2 * 1024 * 1024
"""Bytes; Vault keeps a secret of 1 MiB at most unless it is told otherwise."""

_LOOK_EVERY_S = 15.0


class VaultPlugin(Plugin[VaultSettings]):
    """Credentials held in HashiCorp Vault."""

    api = 1
    settings_type = VaultSettings

    def __init__(self, settings: VaultSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._session = VaultSession(settings, self._client, context.ambient)

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend `vault`."""
        return [
            Offer(
                "vault",
                lambda: VaultBackend(self.settings, self._session, self.context.ambient),
                summary="HashiCorp Vault, KV version 2",
            )
        ]

    def switchgear_tasks(self) -> list[Task]:
        """Keep the gateway's token good while nothing is fetched."""
        return [Task("token", _LOOK_EVERY_S, self._session.keep)]

    async def start(self) -> None:
        """Make the client, so that a CA bundle that cannot be used is found now. Raises `ConfigError` for one."""
        self._session.connect()

    def _client(self) -> "httpx.AsyncClient":
        connection = ConnectionSettings(ca_bundle=self.settings.ca_bundle)
        return self.context.http(settings=connection, max_body=_MAX_BODY)
