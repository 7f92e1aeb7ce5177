from pathlib import Path

from switchgear_plugin_name.provider import PluginNameProvider

from switchgear.contracts.usage import Usage
from switchgear.testing.exchange_suite import ExchangeSuite, provider_config
from switchgear.testing.provider_suite import ProviderSuite


class TestPluginNameProvider(ProviderSuite):
    """Put recorded replies of your provider here; the suite does the rest."""

    answer = b'{"text": "Hello", "end": "complete", "tokens": {"read": 2, "written": 1}}'
    stream = (
        b'data: {"text": "Hel"}\n\ndata: {"text": "lo", "end": "complete", "tokens": {"read": 2, "written": 1}}\n\n'
    )
    usage = Usage.plain(2, 1)
    tool_answer = b'{"calls": [{"id": "a1", "name": "clock", "arguments": {"zone": "UTC"}}], "end": "complete"}'
    tool_stream = b"data: " + tool_answer + b"\n\n"
    tool_calls = (("clock", {"zone": "UTC"}),)
    stream_faults = ((b'data: {"text": "Hel"}\n\ndata: {"error": {"code": "rate_limit_exceeded"}}\n\n', "rate_limit"),)
    faults = ((429, b"", "rate_limit"), (500, b"", "server"))

    def make(self) -> PluginNameProvider:
        return PluginNameProvider(provider_config("https://provider.test"))


class TestPluginNameExchanges(ExchangeSuite):
    """Each file in exchanges/ is one: write what is asked and answered, `SWITCHGEAR_GOLDEN=write pytest` writes the rest."""

    folder = Path(__file__).parent / "exchanges"

    def make(self) -> PluginNameProvider:
        return PluginNameProvider(provider_config("https://provider.test"))
