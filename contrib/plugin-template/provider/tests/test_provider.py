from switchgear_plugin_name.provider import PluginNameProvider

from switchgear import NoSettings
from switchgear.contracts.provider import ProviderConfig
from switchgear.testing.provider_suite import ProviderSuite


class TestPluginNameProvider(ProviderSuite):
    """Put recorded replies of your provider here; the suite does the rest."""

    answer = b'{"text": "Hello", "done": true}'
    stream = b'{"text": "Hel", "done": false}\n{"text": "lo", "done": true}\n'
    stream_faults = ((b'{"text": "Hel", "done": false}\n{"error": "out of memory"}\n', "server"),)
    faults = ((429, b"", "rate_limit"), (500, b"", "server"))

    def make(self) -> PluginNameProvider:
        """Make the provider under test."""
        return PluginNameProvider(ProviderConfig("test", "https://provider.test", {}, NoSettings()))
