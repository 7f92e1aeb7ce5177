import pytest

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.testing.provider_suite import MODEL, ProviderSuite, chat_call
from switchgear_plugins.openai_compatible.provider import CompatibleProvider
from switchgear_plugins.openai_compatible.settings import CompatibleSettings

# What a small server sends: no usage unless asked, comments while it loads, no [DONE] needed after a finish reason.
STREAM = (
    b': loading\n\ndata: {"choices":[{"delta":{"content":"Hello"},"index":0}]}\r\n\r\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop","index":0}]}\r\n\r\n'
)


def make(settings: CompatibleSettings | None = None, base_url: str | None = "http://x.test/v1") -> CompatibleProvider:
    return CompatibleProvider(ProviderConfig("p", base_url, {}, settings or CompatibleSettings()))


class TestCompatibleProvider(ProviderSuite):
    answer = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
    stream = STREAM
    faults = (
        (400, b'{"error":"model is required"}', "invalid_request"),
        (404, b'{"error":{"message":"model \'x\' not found","type":"api_error"}}', "not_found"),
        (500, b'{"detail":"oops"}', "server"),
    )

    def make(self) -> CompatibleProvider:
        return make()


def test_needs_no_credential() -> None:
    assert "authorization" not in make().prepare(chat_call(), MODEL, None).headers


def test_puts_the_key_where_the_server_wants_it() -> None:
    provider = make(CompatibleSettings(auth_header="X-Api-Key", auth_scheme=""))
    headers = provider.prepare(chat_call(), MODEL, Secret({"api_key": "k"})).headers
    assert {"content-type": "application/json", "x-api-key": "k"} == headers


def test_leaves_usage_alone_where_the_server_refuses_it() -> None:
    provider = make(CompatibleSettings(stream_usage=False))
    assert b"stream_options" not in provider.prepare(chat_call(stream=True), MODEL, None).body


def test_needs_a_base_url() -> None:
    with pytest.raises(ValueError, match="base_url"):
        make(base_url=None)
