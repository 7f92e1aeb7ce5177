from functools import cached_property
from importlib.util import find_spec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear_plugins.aws.backend import AwsBackend

if find_spec("botocore") is None:  # found out at boot, without paying for the import
    raise ModuleNotFoundError(name="botocore")


class AwsPlugin(Plugin[NoSettings]):
    """The gateway's own AWS identity as a credential."""

    api = 1

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend `aws`."""
        return [Offer("aws", lambda: self._backend, summary="The gateway's own AWS identity, or a role it assumes")]

    async def stop(self) -> None:
        """Let the backend's threads go."""
        self._backend.close()

    @cached_property
    def _backend(self) -> AwsBackend:
        return AwsBackend(self.context.ambient)
