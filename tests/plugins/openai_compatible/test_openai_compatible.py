import json
from pathlib import Path

import pytest

from support.golden import call_of, check_every_cut, files
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import SecretUnavailable
from switchgear.testing.provider_suite import MODEL, ProviderSuite, RecordedHead, chat_call
from switchgear.wire.members import raw
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

    stream_faults = (
        (STREAM[: STREAM.index(b'data: {"choices":[{"delta":{},')] + b'data: {"error":"out of memory"}\n\n', "server"),
    )
    tool_calls = (("get_weather", {"city": "Oslo"}),)
    tool_answer = (
        b'{"choices":[{"index":0,"message":{"content":"","tool_calls":[{"id":"null","function":{"name":"get_weather","arguments":'
        b'"{\\"city\\": \\"Oslo\\"}"}}]},"finish_reason":"tool_calls"}]}'
    )
    tool_stream = (Path(__file__).parent / "golden" / "mistral_tools.sse").read_bytes()

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


def test_a_credential_without_a_key_is_unavailable() -> None:
    with pytest.raises(SecretUnavailable, match="api_key"):
        make().prepare(chat_call(), MODEL, Secret({"token": "k"}))


def sent(settings: CompatibleSettings, model: TargetModel = MODEL, **members: object) -> tuple[dict, tuple[str, ...]]:
    call = chat_call(**members)  # type: ignore[arg-type]
    body = json.loads(make(settings).prepare(call, model, None).body)
    return {name: value for name, value in body.items() if name not in {"model", "messages"}}, call.dropped


def test_speaks_the_wires_it_is_said_to() -> None:
    assert {"chat", "embeddings"} == make().wires
    wider = make(CompatibleSettings(wires=("chat", "responses", "completions")))
    assert {"chat", "responses", "completions"} == wider.traits("m").wires
    assert "embeddings" not in wider.traits("m").capabilities


def test_leaves_out_what_the_server_refuses_and_says_so() -> None:
    settings = CompatibleSettings(drop_members=("logit_bias", "tools.function.strict", "messages.name"))
    tools = [{"type": "function", "function": {"name": "f", "strict": True}}]
    body, dropped = sent(settings, tools=tools, logit_bias={"1": 2}, top_k=3)
    assert {"tools": [{"type": "function", "function": {"name": "f"}}], "top_k": 3} == body
    assert ("logit_bias", "tools.function.strict") == dropped


def test_gives_members_the_names_they_have_there_defaults_too() -> None:
    settings = CompatibleSettings(rename_members={"max_completion_tokens": "max_tokens", "seed": "random_seed"})
    tuned = TargetModel("m", "p", raw("p"), {"max_tokens": raw(9), "seed": raw(1)})
    assert ({"max_tokens": 9, "random_seed": 1}, ()) == sent(settings, tuned)
    assert ({"max_tokens": 5, "random_seed": 2}, ()) == sent(settings, tuned, max_completion_tokens=5, seed=2)


def test_forwards_what_other_dialects_say_where_nothing_is_said_against_it() -> None:
    call = chat_call(top_k=3, reasoning={"effort": "low"})
    assert {"top_k", "reasoning"} <= json.loads(make().prepare(call, MODEL, None).body).keys()


def test_writes_developers_as_system_where_the_server_knows_no_developer() -> None:
    messages = [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "developer"}]
    provider = make(CompatibleSettings(developer_role="system"))
    body = json.loads(provider.prepare(chat_call(messages=messages), MODEL, None).body)
    assert [{"role": "system", "content": "Be brief"}, messages[1]] == body["messages"]
    assert messages == json.loads(make().prepare(chat_call(messages=messages), MODEL, None).body)["messages"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (CompatibleSettings(wires=()), "wires"),
        (CompatibleSettings(drop_members=("model",)), "model"),
        (CompatibleSettings(rename_members={"stream": "streaming"}), "stream"),
        (CompatibleSettings(models_path="models"), "models_path"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: CompatibleSettings, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make(settings)


def test_lists_models_where_the_server_has_them() -> None:
    provider = make(CompatibleSettings(models_path="/catalog/models"), "https://x.test/v1/")
    assert "https://x.test/v1/catalog/models" == provider.models_request(None, None).url


ERRORS = json.loads((Path(__file__).parent / "golden" / "errors.json").read_text())


@pytest.mark.parametrize("name", ERRORS)
def test_understands_how_such_servers_fail(name: str) -> None:
    said = ERRORS[name]
    fault = make().fault(chat_call(), RecordedHead(said["status"]), json.dumps(said["body"]).encode())
    assert said["cause"] == fault.cause
    assert fault.message


def test_names_the_field_of_a_validation_error() -> None:
    body = json.dumps(ERRORS["fastapi"]["body"]).encode()
    fault = make().fault(chat_call(), RecordedHead(422), body)
    assert ("messages.0.role", "field required") == (fault.param, fault.message)


@pytest.mark.parametrize("path", files(Path(__file__).parent / "golden", "*.sse"))
def test_reads_the_streams_of_such_servers(path: Path) -> None:
    call = call_of("chat", {"model": "m", "stream": True}, usage_wanted=True)
    events = check_every_cut(lambda: make().decoder(call, RecordedHead()), path.read_bytes())
    assert any(event.terminal for event in events)
    assert 1 == len([event for event in events if event.usage])


def test_reads_cached_tokens_under_their_other_name() -> None:
    decoder = make().decoder(chat_call(stream=True), RecordedHead())
    events = decoder.feed((Path(__file__).parent / "golden" / "deepseek_reasoning.sse").read_bytes())
    expected = Usage.of(input=20, output=12, cached_input=16, reasoning=8)
    assert [expected] == [event.usage for event in events if event.usage]
