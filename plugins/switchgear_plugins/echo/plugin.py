from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed
from switchgear.contracts.provider import NativeProvider
from switchgear_plugins.echo.provider import EchoProvider


class EchoPlugin(Plugin[NoSettings]):
    """A model that answers what it was told, without a network."""

    api = 1

    def switchgear_providers(self) -> list[Offer[NativeProvider]]:
        """Offer the provider type `echo`."""
        return [Offer("echo", EchoProvider, summary="Says what it was told; needs no key")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a model that answers before any provider key is there."""
        return [
            Seed("providers", {"id": "echo", "type": "echo"}, order=0),
            Seed("models", {"id": "echo", "provider_id": "echo", "provider_model": "echo"}, order=1),
        ]
