import msgspec
import pytest

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import MODEL, ProviderSuite, chat_call
from switchgear_example.provider import ExampleProvider, ExampleSettings


class TestExampleProvider(ProviderSuite):
    answer = b'{"says": "Hello", "ended": "complete", "words": {"heard": 2, "said": 1}}'
    stream = b'{"says": "Hel"}\n{"says": "lo"}\n{"ended": "complete", "words": {"heard": 2, "said": 1}}\n'
    usage = Usage(2, 1)
    faults = ((503, b'{"problem": "busy"}', "overloaded"), (500, b"", "server"))

    def make(self) -> ExampleProvider:
        return ExampleProvider(ProviderConfig("x", "https://x.test/", {}, ExampleSettings(accent="north")))


def test_says_it_in_the_wires_own_words() -> None:
    request = TestExampleProvider().make().prepare(chat_call(stream=True), MODEL, Secret({"api_key": "k"}))
    lines = [{"who": "user", "says": "Say hello"}]
    expected = {"voice": "provider-name", "lines": lines, "live": True, "accent": "north"}
    assert expected == msgspec.json.decode(request.body)
    assert ("https://x.test/talk", "k") == (request.url, request.headers["x-pass"])


def test_refuses_what_the_wire_cannot_say() -> None:
    with pytest.raises(InvalidRequest, match="tools"):
        TestExampleProvider().make().prepare(chat_call(tools=[]), MODEL, None)
