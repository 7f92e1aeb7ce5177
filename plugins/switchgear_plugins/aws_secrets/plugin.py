from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from switchgear import Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear_plugins.aws_secrets.backend import AwsSecretsBackend
from switchgear_plugins.aws_secrets.identity import Identity
from switchgear_plugins.aws_secrets.settings import AwsSecretsSettings

if TYPE_CHECKING:
    import httpx

if find_spec("botocore") is None:  # found out at boot, without paying for the import
    raise ModuleNotFoundError(name="botocore")

_MAX_BODY = 1024 * 1024
"""Bytes; a secret has 64 KiB at most."""


class AwsSecretsPlugin(Plugin[AwsSecretsSettings]):
    """Credentials held in AWS Secrets Manager."""

    api = 1
    settings_type = AwsSecretsSettings

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend `aws_secrets`."""
        return [
            Offer(
                "aws_secrets",
                lambda: AwsSecretsBackend(self._identity, self._client),
                summary="AWS Secrets Manager",
            )
        ]

    async def stop(self) -> None:
        """Let the identity's thread go."""
        self._identity.close()

    @cached_property
    def _identity(self) -> Identity:
        return Identity(self.settings)

    def _client(self) -> "httpx.AsyncClient":
        return self.context.http(max_body=_MAX_BODY)
