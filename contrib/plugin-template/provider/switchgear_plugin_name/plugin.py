from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugin_name.provider import PluginNameProvider


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the provider type `plugin_name`. More hooks: `switchgear.hooks`."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type."""
        return [Offer("plugin_name", PluginNameProvider)]
