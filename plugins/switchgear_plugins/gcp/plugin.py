from functools import cached_property
from importlib.util import find_spec

from switchgear import Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear_plugins.gcp.backend import GcpBackend
from switchgear_plugins.gcp.settings import GcpSettings

for _module in ("google.auth", "requests"):  # found out at boot, without paying for the import
    if find_spec(_module) is None:
        raise ModuleNotFoundError(name=_module)


class GcpPlugin(Plugin[GcpSettings]):
    """The gateway's own Google Cloud identity as a credential."""

    api = 1
    settings_type = GcpSettings

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend `gcp`."""
        return [
            Offer(
                "gcp", lambda: self._backend, summary="The gateway's own Google Cloud identity, or one it impersonates"
            )
        ]

    async def stop(self) -> None:
        """Let the backend's threads go."""
        self._backend.close()

    @cached_property
    def _backend(self) -> GcpBackend:
        return GcpBackend(self.settings, self.context.ambient)
