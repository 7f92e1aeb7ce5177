import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from support.golden import call_of, check_every_cut, files
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ModelLister, ProviderConfig, ProviderFault, TargetModel, TokenExchange
from switchgear.contracts.usage import Usage
from switchgear.errors import SecretUnavailable
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear.testing.provider_suite import CANARY, MODEL, ProviderSuite, RecordedHead, chat_call
from switchgear.wire.members import raw
from switchgear_plugins.azure_openai.provider import AzureProvider
from switchgear_plugins.azure_openai.settings import AzureSettings

GOLDEN = Path(__file__).parent / "golden"
ERRORS = json.loads((GOLDEN / "errors.json").read_text())
ENDPOINT = "https://acme.openai.azure.com"
KEY = Secret({"api_key": "k"})
APPLICATION = Secret({"tenant_id": "a/b", "client_id": "c", "client_secret": CANARY})


def make(base_url: str | None = ENDPOINT, **settings: Any) -> AzureProvider:
    found = msgspec.convert(settings, AzureSettings)
    return AzureProvider(ProviderConfig("p", base_url, {}, found, FixedAmbient()))


def text_then(event: str) -> bytes:
    """The recorded stream up to its end, and then something else."""
    recorded = (GOLDEN / "text.sse").read_text()
    return (recorded[: recorded.index('"finish_reason":"stop"')].rpartition("data: ")[0] + event + "\n\n").encode()


class TestAzureProvider(ProviderSuite):
    text = "Hello, wörld"
    usage = Usage.of(input=21, output=4, cached_input=16)
    answer = (GOLDEN / "answer.json").read_bytes()
    stream = (GOLDEN / "text.sse").read_bytes()
    faults = tuple((e["status"], json.dumps(e["body"]).encode(), e["cause"]) for e in ERRORS.values())

    stream_faults = ((text_then('data: {"error":{"code":"429","message":"Slow down."}}'), "rate_limit"),)
    tool_calls = (("now", {"zone": "UTC"}),)
    tool_answer = (
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",'
        b'"function":{"name":"now","arguments":"{\\"zone\\":\\"UTC\\"}"}}]},"finish_reason":"tool_calls"}]}'
    )
    tool_stream = (
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1",'
        b'"type":"function","function":{"name":"now","arguments":"{\\"zone\\":"}}]},"finish_reason":null}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\"UTC\\"}"}}]},'
        b'"finish_reason":null}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
    )

    def make(self) -> AzureProvider:
        return make()


@pytest.mark.parametrize("path", files(GOLDEN, "*.sse"))
def test_forwards_streams_with_what_the_filters_say(path: Path) -> None:
    stream = path.read_bytes()
    call = call_of("chat", {"model": "m", "stream": True}, usage_wanted=True)
    events = check_every_cut(lambda: make().decoder(call, RecordedHead()), stream)
    sent = [line[6:] for line in stream.splitlines() if line.startswith(b"data: {")]
    shown = [it for it in sent if b'"choices":[]' not in it or b'"usage":{' in it]
    expected = [json.loads(it) for it in shown]
    for choice in (choice for chunk in expected for choice in chunk["choices"]):
        choice.setdefault("delta", {})
    assert expected == [json.loads(event.data) for event in events if event.data], "annotations alone are held back"
    assert 0 == events[0].content, "roles show nothing"


@pytest.mark.parametrize(
    ("wire", "version", "url"),
    [
        ("chat", None, "/openai/v1/chat/completions"),
        ("embeddings", None, "/openai/v1/embeddings"),
        ("completions", None, "/openai/v1/completions"),
        ("responses", None, "/openai/v1/responses"),
        ("chat", "2024-10-21", "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"),
        ("embeddings", "2024-10-21", "/openai/deployments/my%20gpt%2F4/embeddings?api-version=2024-10-21"),
        ("completions", "2024-10-21", "/openai/deployments/my%20gpt%2F4/completions?api-version=2024-10-21"),
        ("responses", "2025-04-01-preview", "/openai/responses?api-version=2025-04-01-preview"),
    ],
)
@pytest.mark.parametrize("endpoint", [ENDPOINT, f"{ENDPOINT}/", f"{ENDPOINT}/openai/v1/"])
def test_builds_both_forms_of_addresses(wire: str, version: str | None, url: str, endpoint: str) -> None:
    model = TargetModel("m", "my gpt/4", raw("my gpt/4"))
    provider = make(endpoint, **({"api_version": version} if version else {}))
    request = provider.prepare(call_of(wire, {"model": "m"}), model, KEY)
    assert ENDPOINT + url == request.url
    assert {"model": "my gpt/4"} == json.loads(request.body)


def test_old_versions_have_no_responses() -> None:
    assert {"chat", "embeddings", "completions"} == make(api_version="2024-10-21").wires
    assert {"chat"} == make(api_version="2024-10-21").traits("gpt-4o").wires
    assert {"chat", "responses"} == make().traits("anything").wires
    assert {"embeddings"} == make().traits("text-embedding-3-small").wires
    assert {"completions"} == make().traits("gpt-35-turbo-instruct").wires


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        (KEY, ("api-key", "k")),
        (Secret({"access_token": "t"}), ("authorization", "Bearer t")),
    ],
)
def test_sends_the_key_or_the_token(secret: Secret, header: tuple[str, str]) -> None:
    request = make().prepare(chat_call(), MODEL, secret)
    assert {"content-type": "application/json", header[0]: header[1]} == request.headers
    assert make().token_request(secret) is None


def test_a_credential_with_neither_is_unavailable() -> None:
    with pytest.raises(SecretUnavailable, match="api_key"):
        make().prepare(chat_call(), MODEL, APPLICATION)


def test_asks_entra_for_a_token_with_the_clients_secret() -> None:
    provider = make(authority="https://login.microsoftonline.us/", scope="https://x.azure.us/.default")
    request = provider.token_request(APPLICATION)
    assert request is not None
    assert ("POST", "https://login.microsoftonline.us/a%2Fb/oauth2/v2.0/token") == (request.method, request.url)
    assert "application/x-www-form-urlencoded" == request.headers["content-type"]
    assert {
        "client_id": ["c"],
        "client_secret": [CANARY],
        "scope": ["https://x.azure.us/.default"],
        "grant_type": ["client_credentials"],
    } == parse_qs(request.body.decode())
    assert isinstance(provider, TokenExchange)
    assert isinstance(provider, ModelLister)


@pytest.mark.parametrize("missing", ["tenant_id", "client_id", "client_secret"])
def test_names_the_field_a_credential_lacks(missing: str) -> None:
    secret = Secret({name: value for name, value in APPLICATION.items() if name != missing})
    with pytest.raises(SecretUnavailable, match=missing):
        make().token_request(secret)


def test_reads_a_token_and_when_it_ends() -> None:
    body = b'{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ0"}'
    token = make().token(APPLICATION, RecordedHead(), body)
    assert ({"access_token": "eyJ0"}, START_US + 3599 * 1_000_000) == (dict(token), token.expires_us)


REFUSED = (
    b'{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: 0 '
    b'Correlation ID: 1","error_codes":[7000215]}'
)


@pytest.mark.parametrize(
    ("status", "body", "cause", "message"),
    [
        (401, REFUSED, "auth", "AADSTS7000215: Invalid client secret provided."),
        (400, b'{"error":"unauthorized_client","error_description":"AADSTS700016: x"}', "auth", "AADSTS700016: x"),
        (400, b'{"error":"invalid_request","error_description":"AADSTS90002: x"}', "auth", "AADSTS90002: x"),
        (429, b'{"error":"temporarily_unavailable"}', "rate_limit", ""),
        (503, b"<html>", "overloaded", ""),
        (200, b"{}", "protocol", ""),
    ],
)
def test_says_why_there_is_no_token(status: int, body: bytes, cause: str, message: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        make().token(APPLICATION, RecordedHead(status), body)
    assert (cause, message, status) == (caught.value.cause, caught.value.message, caught.value.status)


@pytest.mark.parametrize(
    ("base_url", "settings", "named"),
    [
        (None, {}, "base_url"),
        (ENDPOINT, {"authority": "http://login.microsoftonline.com"}, "authority"),
        (ENDPOINT, {"authority": "https://u@login.microsoftonline.com"}, "authority"),
        (ENDPOINT, {"authority": "https://login.microsoftonline.com?x"}, "authority"),
        (ENDPOINT, {"api_version": "preview&x=1"}, "api_version"),
    ],
)
def test_settings_that_cannot_work_are_refused(base_url: str | None, settings: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make(base_url, **settings)


def test_a_failure_has_the_services_own_id_and_says_when_to_come_back() -> None:
    body = json.dumps(ERRORS["rate_limit"]["body"]).encode()
    head = RecordedHead(429, {"apim-request-id": "a-1", "x-request-id": "x-1", "retry-after": "7"})
    fault = make().fault(chat_call(), head, body)
    assert ("a-1", 7.0) == (fault.request_id, fault.retry_after)
    assert "x-1" == make().fault(chat_call(), RecordedHead(429, {"x-request-id": "x-1"}), body).request_id


def test_a_filtered_stream_keeps_what_came_before() -> None:
    stream = b"\n\n".join((GOLDEN / "text.sse").read_bytes().split(b"\n\n")[:2]) + b"\n\n"
    error = json.dumps({"error": ERRORS["content_filter"]["body"]["error"]}).encode()
    events = make().decoder(chat_call(stream=True), RecordedHead()).feed(stream + b"data: " + error + b"\n\n")
    assert events[0].data
    assert events[1].fault is not None
    assert ("content_filter", "content_filter") == (events[1].fault.cause, events[1].fault.code)


def test_default_bounds_go_under_the_name_the_deployment_knows() -> None:
    tuned = TargetModel("m", "p", raw("p"), {"max_tokens": raw(9)})
    new, old = (
        provider.prepare(chat_call(), tuned, KEY) for provider in (make(), make(max_tokens_member="max_tokens"))
    )
    assert 9 == json.loads(new.body)["max_completion_tokens"]
    assert 9 == json.loads(old.body)["max_tokens"]


def test_leaves_out_what_other_dialects_say() -> None:
    call = call_of("chat", {"model": "m", "messages": [], "top_k": 1}, origin="messages")
    assert {"model": "provider-name", "messages": []} == json.loads(make().prepare(call, MODEL, KEY).body)
    assert ("top_k",) == call.dropped


@pytest.mark.parametrize(
    ("version", "url"),
    [(None, "/openai/v1/models"), ("2024-10-21", "/openai/models?api-version=2024-10-21")],
)
def test_lists_what_can_be_deployed(version: str | None, url: str) -> None:
    provider = make(**({"api_version": version} if version else {}))
    request = provider.models_request(KEY, None)
    assert ("GET", ENDPOINT + url, "k") == (request.method, request.url, request.headers["api-key"])
    page = provider.models(RecordedHead(), (GOLDEN / "models.json").read_bytes())
    assert [("gpt-4o-2024-11-20", 1_731_974_400_000_000)] == [(m.name, m.created_us) for m in page.models]


def test_a_list_that_is_refused_says_why() -> None:
    with pytest.raises(ProviderFault) as caught:
        make().models(RecordedHead(401), json.dumps(ERRORS["no_role"]["body"]).encode())
    assert "permission" == caught.value.cause
