import json
from pathlib import Path

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.contracts.usage import Usage
from switchgear.testing.provider_suite import MODEL, ProviderSuite, RecordedHead, chat_call
from switchgear_plugins.openai.provider import OpenAIProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings

FRAME = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06"'
USAGE = (
    '{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},'
    '"completion_tokens_details":{"reasoning_tokens":1,"audio_tokens":0}}'
)


def chunk(delta: str, finish: str = "null") -> str:
    choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
    return f'data: {{{FRAME},"choices":[{choice}],"usage":null}}\n\n'


STREAM = "".join(
    [
        chunk('{"role":"assistant","content":"","refusal":null}'),
        chunk('{"content":"Héllo"}'),
        chunk('{"content":", wörld"}'),
        chunk("{}", '"stop"'),
        f'data: {{{FRAME},"choices":[],"usage":{USAGE}}}\n\n',
        "data: [DONE]\n\n",
    ]
).encode()


def error(code: str, kind: str = "invalid_request_error", message: str = "No.") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


TOOL_CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'}}
    for city in ("Zürich", "Oslo")
]


class TestOpenAIProvider(ProviderSuite):
    text = "Héllo, wörld"
    usage = Usage.of(input=9, output=3, cached_input=4, reasoning=1)
    answer = (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"Héllo, wörld","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        f'"usage":{USAGE}}}'
    ).encode()
    stream = STREAM
    faults = (
        (401, error("invalid_api_key"), "auth"),
        (403, error("unsupported_country_region_territory"), "permission"),
        (404, error("model_not_found"), "not_found"),
        (400, error("context_length_exceeded"), "context_length"),
        (400, error("content_filter"), "content_filter"),
        (400, error("unknown_parameter"), "invalid_request"),
        (422, b"{}", "invalid_request"),
        (429, error("rate_limit_exceeded", "requests"), "rate_limit"),
        (429, error("insufficient_quota", "insufficient_quota"), "quota"),
        (500, error("", "server_error"), "server"),
        (502, b"<html>bad gateway</html>", "server"),
        (503, b"", "overloaded"),
        (504, b"", "timeout"),
        (302, b"", "protocol"),
    )

    stream_faults = (
        (
            (
                chunk('{"role":"assistant","content":"Hé"}')
                + 'data: {"error":{"message":"Busy.","type":"server_error"}}\n\n'
            ).encode(),
            "server",
        ),
    )
    tool_calls = (("get_weather", {"city": "Zürich"}), ("get_weather", {"city": "Oslo"}))
    tool_answer = json.dumps(
        {
            "id": "chatcmpl-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": None, "tool_calls": TOOL_CALLS},
                    "finish_reason": "tool_calls",
                }
            ],
        }
    ).encode()
    tool_stream = (Path(__file__).parent / "golden" / "tools.sse").read_bytes()

    def make(self) -> OpenAIProvider:
        return OpenAIProvider(ProviderConfig("p", None, {}, OpenAIProviderSettings()))


def prepared(
    settings: OpenAIProviderSettings | None = None, **members: object
) -> tuple[dict[str, object], dict[str, str]]:
    provider = OpenAIProvider(
        ProviderConfig("p", "https://x.test/v1/", {"X-Own": "1"}, settings or OpenAIProviderSettings())
    )
    request = provider.prepare(chat_call(**members), MODEL, Secret({"api_key": "k"}))  # type: ignore[arg-type]
    assert request.url == "https://x.test/v1/chat/completions"
    return json.loads(request.body), request.headers


def test_forwards_members_it_does_not_know_and_replaces_the_model() -> None:
    body, headers = prepared(frobnicate={"a": [1, None]}, tools=[{"type": "function"}])
    assert body == {
        "model": "provider-name",
        "messages": [{"role": "user", "content": "Say hello"}],
        "frobnicate": {"a": [1, None]},
        "tools": [{"type": "function"}],
    }
    assert headers == {"content-type": "application/json", "x-own": "1", "authorization": "Bearer k"}


def test_sends_organisation_and_project() -> None:
    _, headers = prepared(OpenAIProviderSettings(organization="org-1", project="proj-1"))
    assert ("org-1", "proj-1") == (headers["openai-organization"], headers["openai-project"])


def test_asks_for_usage_in_streams_and_keeps_other_stream_options() -> None:
    body, _ = prepared(stream=True)
    assert body["stream_options"] == {"include_usage": True}
    body, _ = prepared(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_hides_the_usage_the_client_did_not_ask_for() -> None:
    decoder = TestOpenAIProvider().make().decoder(chat_call(stream=True), RecordedHead())
    events = decoder.feed(STREAM)
    shown = [json.loads(event.data) for event in events if event.data]
    assert [False] * 4 == ["usage" in chunk for chunk in shown]
    assert [TestOpenAIProvider.usage] == [event.usage for event in events if event.usage]


def test_two_choices_are_complete_when_both_have_finished() -> None:
    decoder = TestOpenAIProvider().make().decoder(chat_call(stream=True, n=2), RecordedHead())
    first = decoder.feed(chunk("{}", '"stop"').encode())
    assert not first[0].terminal
    second = decoder.feed(chunk("{}", '"stop"').replace('"index":0', '"index":1').encode())
    assert second[0].terminal
