import json

import pytest
from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import COUNT, Call, DiscoveredModel, ModelLister, ProviderConfig, ProviderFault
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import RecordedHead
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings

KEYS = Secret({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"})
CONTROL = "https://bedrock.us-east-1.amazonaws.com"
MODELS = {
    "modelSummaries": [
        {
            "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "modelId": "amazon.nova-pro-v1:0",
            "modelName": "Nova Pro", "providerName": "Amazon", "outputModalities": ["TEXT"],
            "inferenceTypesSupported": ["ON_DEMAND", "INFERENCE_PROFILE"],
        },
        {
            "modelArn": "a", "modelId": "profile.only", "outputModalities": ["TEXT"],
            "inferenceTypesSupported": ["INFERENCE_PROFILE"],
        },
        {"modelArn": "a", "modelId": "an.image-maker", "outputModalities": ["IMAGE"], "inferenceTypesSupported": ["ON_DEMAND"]},
    ]
}  # fmt: skip
PROFILES = {
    "inferenceProfileSummaries": [
        {
            "inferenceProfileName": "US Claude", "inferenceProfileArn": "arn:x",
            "inferenceProfileId": "us.anthropic.claude-opus-4-7",
            "status": "ACTIVE", "type": "SYSTEM_DEFINED", "models": [],
        },
        {"inferenceProfileArn": "arn:mine", "inferenceProfileId": "a1b2", "inferenceProfileName": "Mine", "type": "APPLICATION"},
    ],
    "nextToken": "t/2+=",
}  # fmt: skip


def provider(base_url: str | None = None) -> BedrockProvider:
    return BedrockProvider(ProviderConfig("p", base_url, {}, BedrockSettings("us-east-1"), FixedAmbient()))


def test_lists_what_can_be_called_page_by_page() -> None:
    own = provider()
    assert isinstance(own, ModelLister)
    first = own.models_request(KEYS, None)
    assert ("GET", f"{CONTROL}/foundation-models", b"") == (first.method, first.url, first.body)
    page = own.models(RecordedHead(), json.dumps(MODELS).encode())
    assert (DiscoveredModel("amazon.nova-pro-v1:0", title="Nova Pro", owned_by="Amazon"),) == page.models
    second = own.models_request(KEYS, page.cursor)
    assert f"{CONTROL}/inference-profiles?maxResults=1000" == second.url
    page = own.models(RecordedHead(), json.dumps(PROFILES).encode())
    expected = (
        DiscoveredModel("us.anthropic.claude-opus-4-7", title="US Claude"),
        DiscoveredModel("arn:mine", title="Mine"),
    )
    assert expected == page.models
    third = own.models_request(KEYS, page.cursor)
    assert f"{CONTROL}/inference-profiles?maxResults=1000&nextToken=t%2F2%2B%3D" == third.url
    assert own.models(RecordedHead(), b'{"inferenceProfileSummaries":[]}').cursor is None
    assert "/us-east-1/bedrock/aws4_request" in third.headers["authorization"]


def test_a_proxy_stands_for_both_hosts_and_an_endpoint_of_the_runtime_has_one_beside_it() -> None:
    assert (
        "https://proxy.test/aws/foundation-models" == provider("https://proxy.test/aws").models_request(KEYS, None).url
    )
    fips = provider("https://bedrock-runtime-fips.us-east-1.amazonaws.com").models_request(KEYS, None)
    assert "https://bedrock-fips.us-east-1.amazonaws.com/foundation-models" == fips.url


def test_a_cursor_of_somebody_else_is_refused() -> None:
    with pytest.raises(ValueError, match="cursor"):
        provider().models_request(KEYS, "x")


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (403, b'{"__type":"UnrecognizedClientException"}', "auth"),
        (200, b"{}", "protocol"),
        (200, b"<", "protocol"),
        (200, b'{"modelSummaries":[{"modelId":"\xff"}]}', "protocol"),
    ],
)
def test_a_page_that_is_none_is_a_fault(status: int, body: bytes, cause: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        provider().models(RecordedHead(status), body)
    assert cause == caught.value.cause


def test_reads_a_count() -> None:
    call = Call("count", COUNT, {"model": Raw(b'"m"')}, model="m")
    assert b'{"input_tokens":38}' == provider().decode(call, RecordedHead(), b'{"inputTokens":38}').body


@pytest.mark.parametrize("body", [b"", b"{}", b'{"inputTokens":-1}', b'{"inputTokens":"1"}'])
def test_a_count_that_is_none_is_a_fault(body: bytes) -> None:
    call = Call("count", COUNT, {"model": Raw(b'"m"')}, model="m")
    with pytest.raises(ProviderFault):
        provider().decode(call, RecordedHead(), body)


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("us.anthropic.claude-opus-4-7", False),
        ("amazon.nova-pro-v1:0", False),
    ],
)
def test_tokens_are_counted_by_models_that_can(model: str, counted: bool) -> None:
    assert counted == (COUNT in provider().traits(model).wires)
