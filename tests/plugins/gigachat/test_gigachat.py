import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden import call_of, check_every_cut, files, read
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ModelLister, ProviderConfig, ProviderFault, StreamEvent, TokenExchange
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest, SecretUnavailable, SwitchgearError
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import CANARY, MODEL, ProviderSuite, RecordedHead, chat_call, text_of
from switchgear_plugins.gigachat.provider import GigaChatProvider
from switchgear_plugins.gigachat.settings import GigaChatSettings

GOLDEN = Path(__file__).parent / "golden"
ERRORS = json.loads((GOLDEN / "errors.json").read_text())
TOKEN = Secret({"access_token": "t"})
KEY = Secret({"auth_key": "Y2xpZW50OnNlY3JldA=="})
HEAD = RecordedHead(200, {"x-request-id": "r-1"})
STATE = "0199d2a4-7f0a-7c3e-9a52-3f1f5d8f9a01"
USAGE = Usage.of(input=19, output=42, cached_input=2)


def make(base_url: str | None = None, **settings: Any) -> GigaChatProvider:
    return GigaChatProvider(
        ProviderConfig("p", base_url, {}, msgspec.convert(settings, GigaChatSettings), FixedAmbient())
    )


class TestGigaChatProvider(ProviderSuite):
    text = "Hello, wörld"
    usage = USAGE
    secret = {"access_token": CANARY}  # noqa: RUF012 - as the suite has it
    answer = (GOLDEN / "answer.json").read_bytes()
    stream = (GOLDEN / "text.sse").read_bytes()
    faults = tuple((e["status"], json.dumps(e["body"]).encode(), e["cause"]) for e in ERRORS.values())

    stream_faults = ((b'data: {"status":500,"message":"Internal"}\n\n', "server"),)
    tool_calls = (("get_weather", {"city": "Осло"}),)
    tool_answer = (GOLDEN / "answer_tools.json").read_bytes()
    tool_stream = (GOLDEN / "tools.sse").read_bytes().replace(b',"days":2.5', b"")
    needless = frozenset({"parallel_tool_calls"})  # its models call one function at a time

    def make(self) -> GigaChatProvider:
        return make()


@pytest.mark.parametrize("path", files(GOLDEN, "request_*.json"))
def test_says_a_canonical_chat_in_gigachats_words(path: Path) -> None:
    recorded = json.loads(path.read_text())
    call = call_of("chat", recorded["client"])
    request = make().prepare(call, MODEL, TOKEN)
    assert recorded["sent"] == json.loads(request.body)
    assert tuple(recorded["dropped"]) == call.dropped
    assert "https://gigachat.devices.sberbank.ru/api/v1/chat/completions" == request.url
    assert "Bearer t" == request.headers["authorization"]


@pytest.mark.parametrize("path", files(GOLDEN, "request_*.json"))
def test_a_strict_client_is_told_the_first_thing_that_cannot_be_said(path: Path) -> None:
    recorded = json.loads(path.read_text())
    call = call_of("chat", recorded["client"], strict=True)
    if recorded["dropped"]:
        with pytest.raises(InvalidRequest) as caught:
            make().prepare(call, MODEL, TOKEN)
        assert recorded["dropped"][0] == caught.value.param
    else:
        assert recorded["sent"] == json.loads(make().prepare(call, MODEL, TOKEN).body)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]}, "messages[0].content[1]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:,x"}}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]},
            "messages[0].content[0]",
        ),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"messages": [{"role": "tool", "content": "y"}]}, "messages[0].tool_call_id"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
    ],
)  # fmt: skip
def test_refuses_what_leaving_out_would_falsify(members: dict, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make().prepare(chat_call(**members), MODEL, TOKEN)
    assert param == caught.value.param


def chunks(events: list[StreamEvent]) -> list[dict]:
    return [json.loads(event.data) for event in events if event.data]


@pytest.mark.parametrize("path", files(GOLDEN, "*.sse"))
def test_tells_streams_in_canonical_chunks(path: Path) -> None:
    call = call_of("chat", {"model": "m", "stream": True}, usage_wanted=True)
    events = check_every_cut(lambda: make().decoder(call, HEAD), path.read_bytes())
    told = chunks(events)
    assert {"chatcmpl-r-1"} == {chunk["id"] for chunk in told}
    assert {"role": "assistant", "content": ""} == told[0]["choices"][0]["delta"]
    assert [USAGE] == [event.usage for event in events if event.usage]
    assert [] == told[-1]["choices"]
    assert 19 == told[-1]["usage"]["prompt_tokens"]


def told_of(name: str) -> tuple[list[dict], str]:
    events = read(make().decoder(chat_call(stream=True), HEAD), (GOLDEN / name).read_bytes())
    choices = [chunk["choices"][0] for chunk in chunks(events)]
    return [choice["delta"] for choice in choices], choices[-1]["finish_reason"]


def test_tells_a_function_call_as_a_tool_call_whose_id_is_its_state() -> None:
    deltas, finish = told_of("tools.sse")
    function = {"name": "get_weather", "arguments": '{"city":"Осло","days":2.5}'}
    assert [{"index": 0, "id": STATE, "type": "function", "function": function}] == deltas[1]["tool_calls"]
    assert "tool_calls" == finish


def test_tells_thoughts_and_why_it_stopped() -> None:
    deltas, finish = told_of("reasoning.sse")
    assert ("Думаю", "42", "length") == (deltas[1]["reasoning_content"], deltas[2]["content"], finish)
    assert "content_filter" == told_of("blacklist.sse")[1]


def test_hides_the_usage_the_client_did_not_ask_for() -> None:
    events = read(make().decoder(chat_call(stream=True), HEAD), (GOLDEN / "text.sse").read_bytes())
    assert [USAGE] == [event.usage for event in events if event.usage]
    assert not any("usage" in chunk for chunk in chunks(events))


def test_a_stream_that_lacks_only_its_done_marker_is_complete() -> None:
    stream = (GOLDEN / "text.sse").read_bytes().removesuffix(b"data: [DONE]\n\n")
    events = read(make().decoder(chat_call(stream=True), HEAD), stream)
    assert [USAGE] == [event.usage for event in events if event.usage]


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b'{"status":500,"message":"Internal Server Error"}', "server"),
        (b'{"status":429,"message":"Too many requests"}', "rate_limit"),
        (b'{"choices":[{"delta":{},"index":0,"finish_reason":"error"}],"created":1,"model":"m"}', "server"),
        (b"{}", "protocol"),
        (b"<html>", "protocol"),
        (b'{"a":"\xff"}', "protocol"),
    ],
)
def test_what_came_before_a_failure_in_a_stream_is_kept(payload: bytes, cause: str) -> None:
    good = (GOLDEN / "text.sse").read_bytes().partition(b"\n\n")[0] + b"\n\n"
    events = make().decoder(chat_call(stream=True), HEAD).feed(good + b"data: " + payload + b"\n\n" + good)
    assert "Hello" == text_of(events)
    fault = events[-1].fault
    assert fault is not None
    assert (cause, 200, True) == (fault.cause, fault.status, events[-1].last)


def answer_of(name: str) -> dict:
    return json.loads(make().decode(chat_call(), HEAD, (GOLDEN / name).read_bytes()).body)


def test_reads_a_whole_function_call() -> None:
    choice = answer_of("answer_tools.json")["choices"][0]
    message = choice["message"]
    (call,) = message["tool_calls"]
    assert (STATE, "get_weather") == (call["id"], call["function"]["name"])
    assert {"city": "Осло"} == json.loads(call["function"]["arguments"])
    assert (None, "Hm") == (message["content"], message["reasoning_content"])
    assert "tool_calls" == choice["finish_reason"]
    assert "content_filter" == answer_of("answer_blacklist.json")["choices"][0]["finish_reason"]


def test_a_function_call_without_a_state_gets_an_id() -> None:
    body = (GOLDEN / "answer_tools.json").read_text().replace("functions_state_id", "other").encode()
    call = json.loads(make().decode(chat_call(), HEAD, body).body)["choices"][0]["message"]["tool_calls"][0]
    assert "call-r-1-0" == call["id"]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"status":500,"message":"Internal Server Error"}', "server"),
        (b'{"choices":[{"message":{"content":""},"index":0,"finish_reason":"error"}]}', "server"),
        (b'{"choices":[]}', "protocol"),
        (b'{"choices":[{"index":0}]}', "protocol"),
    ],
)
def test_a_failure_inside_an_answer_is_a_fault(body: bytes, cause: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        make().decode(chat_call(), HEAD, body)
    assert cause == caught.value.cause


def test_embeds() -> None:
    call = call_of("embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 2, "user": "u"})
    request = make().prepare(call, MODEL, TOKEN)
    assert request.url.endswith("/api/v1/embeddings")
    assert {"model": "provider-name", "input": ["a", "b"]} == json.loads(request.body)
    assert ("dimensions", "user") == call.dropped
    answer = make().decode(call, HEAD, (GOLDEN / "embeddings.json").read_bytes())
    assert [[-0.25, 2.0], [0.5, 1.0]] == [item["embedding"] for item in json.loads(answer.body)["data"]]
    assert Usage.of(input=7) == answer.usage


def test_embeds_as_base64_where_the_client_wants_it() -> None:
    call = call_of("embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})
    assert {"model": "provider-name", "input": ["a"]} == json.loads(make().prepare(call, MODEL, TOKEN).body)
    answer = make().decode(call, HEAD, (GOLDEN / "embeddings.json").read_bytes())
    assert "AACAvgAAAEA=" == json.loads(answer.body)["data"][0]["embedding"]


def test_does_not_embed_another_models_tokens() -> None:
    with pytest.raises(InvalidRequest):
        make().prepare(call_of("embeddings", {"model": "m", "input": [[1, 2]]}), MODEL, TOKEN)


def test_counts_the_texts_and_functions_of_a_chat() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    call = call_of("count", {"model": "m", "messages": messages, "tools": tools})
    request = make().prepare(call, MODEL, TOKEN)
    assert request.url.endswith("/api/v1/tokens/count")
    function = '{"name":"f","parameters":{"type":"object","properties":{}}}'
    assert {"model": "provider-name", "input": ["one", "two", function]} == json.loads(request.body)
    answer = make().decode(call, HEAD, (GOLDEN / "count.json").read_bytes())
    assert b'{"input_tokens":12}' == answer.body


@pytest.mark.parametrize("wire", ["embeddings", "count"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"data":[]}', b'{"data":[{"embedding":["x"]}]}'])
def test_something_that_is_no_answer_is_a_fault(wire: str, body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        make().decode(call_of(wire, {}), HEAD, body)
    assert "protocol" == caught.value.cause


def test_trades_the_key_for_a_token() -> None:
    provider = make(scope="GIGACHAT_API_B2B")
    request = provider.token_request(KEY)
    assert request is not None
    assert ("POST", "https://ngw.devices.sberbank.ru:9443/api/v2/oauth") == (request.method, request.url)
    assert "Basic Y2xpZW50OnNlY3JldA==" == request.headers["authorization"]
    assert 4 == UUID(request.headers["rquid"]).version
    assert {"scope": ["GIGACHAT_API_B2B"]} == parse_qs(request.body.decode())
    assert isinstance(provider, TokenExchange)
    assert isinstance(provider, ModelLister)


def test_reads_when_a_token_ends_in_milliseconds() -> None:
    body = b'{"access_token":"eyJ0","expires_at":1768998000123}'
    token = make().token(KEY, RecordedHead(), body)
    assert ({"access_token": "eyJ0"}, 1_768_998_000_123_000) == (dict(token), token.expires_us)


@pytest.mark.parametrize("expires_at", [10**400, -(10**400)])
def test_an_end_of_a_token_that_cannot_be_is_a_time_all_the_same(expires_at: int) -> None:
    body = b'{"access_token":"eyJ0","expires_at":%d}' % expires_at
    token = make().token(KEY, RecordedHead(), body)
    assert token.expires_us is not None
    assert 0 <= token.expires_us / 1e6 < 2**53


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, b'{"code":7,"message":"scope from db not fully includes consumed scope"}', "auth"),
        (401, b'{"code":6,"message":"credentials doesn\'t match db data"}', "auth"),
        (429, b'{"code":1,"message":"Too many requests"}', "rate_limit"),
        (500, b"", "server"),
        (200, b"{}", "protocol"),
    ],
)
def test_says_why_there_is_no_token(status: int, body: bytes, cause: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        make().token(KEY, RecordedHead(status), body)
    assert (cause, status) == (caught.value.cause, caught.value.status)


def test_a_token_is_used_as_it_is() -> None:
    assert make().token_request(TOKEN) is None


def test_a_credential_without_a_key_is_unavailable() -> None:
    with pytest.raises(SecretUnavailable, match="auth_key"):
        make().token_request(Secret({"api_key": "k"}))
    with pytest.raises(SecretUnavailable, match="auth_key"):
        make().prepare(chat_call(), MODEL, Secret({"api_key": "k"}))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="auth_url"):
        make(auth_url="http://ngw.devices.sberbank.ru:9443/api/v2/oauth")
    with pytest.raises(ValueError, match="scope"):
        make(scope="OTHER")


def test_lists_the_models_that_speak() -> None:
    request = make("https://x.test/api/v1/").models_request(TOKEN, None)
    assert ("GET", "https://x.test/api/v1/models") == (request.method, request.url)
    page = make().models(RecordedHead(), (GOLDEN / "models.json").read_bytes())
    assert ["GigaChat-2-Max", "Embeddings"] == [model.name for model in page.models]
    with pytest.raises(ProviderFault) as caught:
        make().models(RecordedHead(401), b'{"status":401,"message":"Token has expired"}')
    assert ("auth", "Token has expired") == (caught.value.cause, caught.value.message)


def test_knows_what_a_model_is_by_its_name() -> None:
    assert {"embeddings"} == make().traits("EmbeddingsGigaR").wires
    assert {"chat", "count"} == make().traits("GigaChat-2-Max").wires
    assert "reasoning" in make().traits("GigaChat-3-Ultra").capabilities
    assert "reasoning" not in make().traits("GigaChat-2").capabilities


@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"[DONE]",
                    b'{"choices":[{"delta":{"content":"a"}}]}',
                    b'{"choices":[{"delta":{"function_call":{"name":"f","arguments":"\\ud800"}}}]}',
                    b'{"choices":[{"delta":{"function_call":{"name":"f","arguments":null}},"finish_reason":"stop"}]}',
                    b'{"choices":[],"usage":{"prompt_tokens":-1}}',
                    b'{"status":99999999999999999999}',
                ]
            ),
        ),
        max_size=6,
    )
)
def test_hostile_streams_end_in_events_or_typed_errors(lines: list[bytes]) -> None:
    decoder = make().decoder(chat_call(stream=True), HEAD)
    try:
        events = decoder.feed(b"".join(b"data: " + line + b"\n\n" for line in lines))
        assert all(not event.last for event in events[:-1])
        decoder.close()
    except (ProviderFault, SwitchgearError):
        return
    assert any(event.terminal for event in events)
