import json
from urllib.parse import unquote

import msgspec
import pytest
from msgspec import Raw

from plugins.bedrock.wire import GOLDEN
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import CANONICAL, COUNT, Call, ProviderConfig, TargetModel
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import InvalidRequest, SecretUnavailable
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import CANARY
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings

KEYS = Secret({"access_key_id": "AKIDEXAMPLE", "secret_access_key": CANARY, "session_token": "token"})
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NONE = BedrockSettings("us-east-1")


def provider(settings: BedrockSettings = NONE, base_url: str | None = None, **headers: str) -> BedrockProvider:
    return BedrockProvider(ProviderConfig("p", base_url, headers, settings, FixedAmbient()))


def call_of(members, operation: str = "chat", *, strict: bool = False) -> Call:
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in {"model": "m", **members}.items()}
    wire = COUNT if operation == "count" else CANONICAL
    return Call(operation, wire, raw, model="m", stream=bool(members.get("stream")), strict=strict)


def target(name: str, **defaults) -> TargetModel:
    raw = {key: Raw(msgspec.json.encode(value)) for key, value in defaults.items()}
    return TargetModel("m", name, Raw(msgspec.json.encode(name)), raw)


def sent(members, model: str = CLAUDE, secret: Secret | None = KEYS) -> OutboundRequest:
    return provider().prepare(call_of(members), target(model), secret)


@pytest.mark.parametrize("path", sorted((GOLDEN / "requests").glob("*.json")), ids=lambda path: path.stem)
def test_golden_request(path) -> None:
    case = json.loads(path.read_text())
    settings = msgspec.convert(case["settings"], BedrockSettings) if "settings" in case else NONE
    call = call_of(case["call"], case.get("operation", "chat"))
    request = provider(settings).prepare(call, target(case["model"]), KEYS)
    assert case["body"] == json.loads(request.body)
    assert case["dropped"] == list(call.dropped)


def saying(role: str, **members) -> dict:
    return {"messages": [{"role": role, **members}]}


def part(kind: str, **value) -> list[dict]:
    return [{"type": kind, kind: value}]


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "[1"}}
FUNCTION = {"type": "function", "function": {"name": "f"}}


def answering(content: list[dict]) -> dict:
    return {
        "messages": [
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": content},
        ]
    }


HERE = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        (saying("user", content=part("image_url", url="https://a.test/x.png")), HERE),
        (saying("user", content=part("image_url", url="data:image/tiff;base64,AA==")), HERE),
        (saying("user", content=part("file", file_id="f")), HERE),
        (saying("user", content=part("file", file_data="data:video/mp4;base64,AA==")), HERE),
        (saying("user", content=part("file", file_data="AA==")), HERE),
        (saying("system", content=part("image_url", url="data:image/png;base64,AA==")), HERE),
        (answering(part("input_audio", data="AA==", format="wav")), "messages[1].content[0]"),
        (saying("tool", content="x"), "messages[0].tool_call_id"),
        (saying("function", content="x"), "messages[0]"),
        (saying("user", content=" "), "messages[0]"),
        ({"messages": [], "tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"messages": [], "tools": [FUNCTION], "tool_choice": {"type": "x"}}, "tool_choice"),
        ({"messages": [], "response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"messages": [], "n": 2}, "n"),
    ],
)
def test_what_cannot_be_said_is_refused_and_named(members, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(members)
    assert param == caught.value.param


def test_a_strict_call_is_refused_where_a_member_would_be_dropped() -> None:
    call = call_of({"messages": [{"role": "user", "content": "Hi"}], "seed": 1}, strict=True)
    with pytest.raises(InvalidRequest) as caught:
        provider().prepare(call, target(CLAUDE), KEYS)
    assert "seed" == caught.value.param


def test_defaults_of_the_model_fill_what_the_client_left_out() -> None:
    call = call_of({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0})
    body = provider().prepare(call, target(CLAUDE, max_tokens=50, temperature=1), KEYS).body
    assert {"maxTokens": 50, "temperature": 0.0} == json.loads(body)["inferenceConfig"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (CLAUDE, "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2/converse",
        ),
        ("a/../../b?c#d", "/model/a%2F..%2F..%2Fb%3Fc%23d/converse"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model: str, path: str) -> None:
    url = sent({"messages": [{"role": "user", "content": "Hi"}]}, model).url
    assert "https://bedrock-runtime.us-east-1.amazonaws.com" + path == url
    assert model == unquote(path.split("/")[2])


@pytest.mark.parametrize("model", [".", ".."])
def test_a_model_that_would_leave_its_segment_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequest):
        sent({"messages": [{"role": "user", "content": "Hi"}]}, model)


def test_a_stream_goes_to_its_own_operation_and_a_count_to_the_foundation_model() -> None:
    hello = {"messages": [{"role": "user", "content": "Hi"}]}
    stream = sent({**hello, "stream": True})
    assert stream.url.endswith("v1%3A0/converse-stream")
    assert "application/vnd.amazon.eventstream" == stream.headers["accept"]
    count = provider().prepare(call_of(hello, "count"), target("us." + CLAUDE), KEYS)
    assert count.url.endswith("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens")


def test_a_name_that_says_nothing_can_be_told_what_it_stands_for() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
    told = provider(BedrockSettings("us-east-1", base_models={arn: "us." + CLAUDE}))
    assert told.traits(CLAUDE) == told.traits(arn)
    assert frozenset({CANONICAL}) == provider().traits(arn).wires
    count = told.prepare(call_of({"messages": [{"role": "user", "content": "Hi"}]}, "count"), target(arn), KEYS)
    assert count.url.endswith("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens")


def test_signs_the_host_and_its_headers() -> None:
    own = provider(NONE, "https://Proxy.test:443/aws/", **{"X-Amz-Trace": "1", "X-Other": "2"})
    request = own.prepare(call_of({"messages": [{"role": "user", "content": "Hi"}]}), target(CLAUDE), KEYS)
    assert request.url.startswith("https://proxy.test/aws/model/")
    names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-trace,"
    assert names in request.headers["authorization"]
    assert "20231114T221320Z" == request.headers["x-amz-date"]
    assert ("token", "2") == (request.headers["x-amz-security-token"], request.headers["x-other"])
    assert CANARY not in str(request)


def test_an_api_key_goes_as_a_bearer_token_without_a_signature() -> None:
    headers = sent({"messages": [{"role": "user", "content": "Hi"}]}, secret=Secret({"api_key": "k"})).headers
    assert "Bearer k" == headers["authorization"]
    assert "x-amz-date" not in headers


@pytest.mark.parametrize("secret", [None, Secret({}), Secret({"access_key_id": "a"})])
def test_a_credential_that_lacks_a_field_is_said_so(secret: Secret | None) -> None:
    with pytest.raises(SecretUnavailable, match="needs"):
        sent({"messages": [{"role": "user", "content": "Hi"}]}, secret=secret)


@pytest.mark.parametrize(
    "region", ["us-east-1.evil.test/", "us-east-1@evil.test", "us-east-1\n", "x", "", "us-east-1#"]
)
def test_a_region_cannot_change_the_host(region: str) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        provider(msgspec.convert({"region": region}, BedrockSettings))
    with pytest.raises(ValueError, match="region"):
        provider(BedrockSettings(region))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_each_partition_has_its_domain(region: str, host: str) -> None:
    settings = msgspec.convert({"region": region}, BedrockSettings)
    url = provider(settings).prepare(call_of({"messages": [{"role": "user", "content": "Hi"}]}), target("m"), KEYS).url
    assert url.startswith(f"https://{host}/model/")


@pytest.mark.parametrize("base_url", ["ftp://x.test", "https://", "https://x.test/?a=1", "x.test"])
def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        provider(NONE, base_url)


@pytest.mark.parametrize(
    ("model", "can", "cannot"),
    [
        ("anthropic.claude-v2:1", {"chat", "prefill"}, {"tools", "vision", "reasoning", "json_schema"}),
        ("anthropic.claude-3-haiku-20240307-v1:0", {"tools", "vision", "prefill"}, {"reasoning", "json_schema"}),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", {"tools", "reasoning"}, {"json_schema"}),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", {"reasoning", "json_schema", "prefill"}, set()),
        ("anthropic.claude-mythos-preview", {"reasoning", "json_schema"}, {"prefill"}),
        ("amazon.nova-micro-v1:0", {"tools"}, {"vision", "reasoning"}),
        ("eu.amazon.nova-pro-v1:0", {"tools", "vision"}, {"reasoning"}),
        ("us-gov.amazon.nova-2-lite-v1:0", {"tools", "vision", "reasoning"}, {"json_schema"}),
        ("us.meta.llama4-scout-17b-instruct-v1:0", {"tools", "vision"}, {"reasoning", "json_schema"}),
        ("deepseek.r1-v1:0", {"chat"}, {"tools"}),
        ("somebody.new-model-v1", {"tools", "vision", "json_schema"}, {"reasoning", "embeddings"}),
        ("cohere.embed-v4:0", {"embeddings"}, {"chat"}),
    ],
)  # fmt: skip
def test_traits_follow_the_name(model: str, can: set[str], cannot: set[str]) -> None:
    found = provider().traits(model).capabilities
    assert can <= found
    assert not cannot & found
