import asyncio
import os
from functools import cached_property
from importlib.util import find_spec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.credential import CredentialBackend
from switchgear.errors import PluginError
from switchgear_plugins.encrypted import keys
from switchgear_plugins.encrypted.backend import EncryptedBackend


class EncryptedPlugin(Plugin[NoSettings]):
    """Credentials in the store, encrypted, and the sealer of every other secret there."""

    api = 1

    def switchgear_credential_backends(self) -> list[Offer[CredentialBackend]]:
        """Offer the credential backend and sealer `encrypted`."""
        return [Offer("encrypted", lambda: self._backend, summary="Encrypted in the store")]

    async def start(self) -> None:
        """Get the master keys. Raises `PluginError` if there is something wrong with them."""
        if find_spec("cryptography") is None:
            raise PluginError("encrypted: needs cryptography; run `pip install 'switchgear[encrypted]'`")
        await asyncio.to_thread(lambda: self._keys)

    @cached_property
    def _keys(self) -> tuple[keys.MasterKey, ...]:
        return keys.load(os.environ, self.context.data_dir, self.context.ambient)

    @cached_property
    def _backend(self) -> EncryptedBackend:
        return EncryptedBackend(lambda: self._keys, self.context.ambient)
