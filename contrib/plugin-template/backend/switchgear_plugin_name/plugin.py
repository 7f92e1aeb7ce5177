import asyncio
from pathlib import Path

import msgspec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.credential import CredentialBackend, Secret
from switchgear.errors import SecretUnavailable


class PluginNameSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="plugin_name"):
    """The `source` of a credential: `{"backend": "plugin_name", "file": "/run/secrets/openai"}`."""

    file: str


class PluginNameBackend:
    """Reads the secret `api_key` from a file."""

    source_type = PluginNameSource
    secret_fields = ()  # dotted paths of `source` that are secret themselves, to be sealed

    async def fetch(self, credential_id: str, source: PluginNameSource) -> Secret:
        """Read it. The gateway keeps what it gets, and asks again before it is too old."""
        try:
            text = await asyncio.to_thread(Path(source.file).read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretUnavailable(f"credential {credential_id}: {source.file} cannot be read") from error
        return Secret({"api_key": text.strip()})


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the credential backend."""

    api = 1

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer it."""
        return [Offer("plugin_name", PluginNameBackend)]
