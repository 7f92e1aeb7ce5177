import msgspec
import pytest
from switchgear_example.provider import ExampleProvider, ExampleSettings

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import MODEL, ProviderSuite, chat_call


class TestExampleProvider(ProviderSuite):
    answer = b'{"says": "Hello", "ended": "complete", "words": {"heard": 2, "said": 1}}'
    stream = b'{"says": "Hel"}\n{"says": "lo"}\n{"ended": "complete", "words": {"heard": 2, "said": 1}}\n'
    usage = Usage.plain(2, 1)
    stream_faults = ((b'{"says": "Hel"}\n{"problem": "busy"}\n', "overloaded"),)
    faults = ((503, b'{"problem": "busy"}', "overloaded"), (500, b"", "server"))

    def make(self) -> ExampleProvider:
        return ExampleProvider(ProviderConfig("x", "https://x.test/", {}, ExampleSettings(accent="north")))


def test_says_it_in_the_wires_own_words() -> None:
    request = TestExampleProvider().make().prepare(chat_call(stream=True), MODEL, Secret({"api_key": "k"}))
    lines = [{"who": "user", "says": "Say hello"}]
    body = {"voice": "provider-name", "lines": lines, "live": True, "accent": "north"}
    headers = {"content-type": "application/json", "x-pass": "k"}
    expected = OutboundRequest("POST", "https://x.test/talk", headers, msgspec.json.encode(body))
    assert expected == request


def test_refuses_what_the_wire_cannot_say() -> None:
    with pytest.raises(InvalidRequest, match="tools"):
        TestExampleProvider().make().prepare(chat_call(tools=[]), MODEL, None)
    with pytest.raises(InvalidRequest, match="n"):
        TestExampleProvider().make().prepare(chat_call(n=3), MODEL, None)


def test_names_what_it_drops() -> None:
    call = chat_call(temperature=0.5, top_p=0.5, stop=["."])
    request = TestExampleProvider().make().prepare(call, MODEL, None)
    assert 0.5 == msgspec.json.decode(request.body)["warmth"]
    assert ("top_p", "stop") == call.dropped
