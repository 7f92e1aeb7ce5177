from pathlib import Path

from switchgear_example.provider import ExampleProvider, ExampleSettings

from switchgear.contracts.usage import Usage
from switchgear.testing.exchange_suite import ExchangeSuite, provider_config
from switchgear.testing.provider_suite import ProviderSuite


def make() -> ExampleProvider:
    return ExampleProvider(provider_config("https://x.test/", ExampleSettings(accent="north")))


class TestExampleProvider(ProviderSuite):
    answer = b'{"says": "Hello", "ended": "complete", "words": {"heard": 2, "said": 1}}'
    stream = b'data: {"says": "Hel"}\n\ndata: {"says": "lo", "ended": "complete", "words": {"heard": 2, "said": 1}}\n\n'
    usage = Usage.plain(2, 1)
    tool_answer = b'{"asks": [{"id": "a1", "for": "clock", "with": {"zone": "UTC"}}], "ended": "complete"}'
    tool_stream = b"data: " + tool_answer + b"\n\n"
    tool_calls = (("clock", {"zone": "UTC"}),)
    stream_faults = ((b'data: {"says": "Hel"}\n\ndata: {"problem": "busy"}\n\n', "overloaded"),)
    faults = ((503, b'{"problem": "busy"}', "overloaded"), (500, b"", "server"))

    def make(self) -> ExampleProvider:
        return make()


class TestExampleExchanges(ExchangeSuite):
    folder = Path(__file__).parent / "exchanges"

    def make(self) -> ExampleProvider:
        return make()
