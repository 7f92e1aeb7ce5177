import base64
import json
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import EMBEDDINGS, Call, ProviderConfig, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import RecordedHead
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings

TITAN = "amazon.titan-embed-text-v2:0"
TITAN_1 = "amazon.titan-embed-text-v1"
COHERE = "cohere.embed-multilingual-v3"
COHERE_4 = "us.cohere.embed-v4:0"
COUNTED = RecordedHead(200, {"x-amzn-bedrock-input-token-count": "6"})


def provider() -> BedrockProvider:
    return BedrockProvider(ProviderConfig("p", None, {}, BedrockSettings("us-east-1"), FixedAmbient()))


def embedding(**members) -> Call:
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in {"model": "m", **members}.items()}
    return Call("embedding", EMBEDDINGS, raw, model="m")


def asked(model: str, **members) -> tuple[dict, tuple[str, ...]]:
    call = embedding(**members)
    request = provider().prepare(call, TargetModel("m", model, Raw(b'"x"')), Secret({"api_key": "k"}))
    assert request.url.endswith("/invoke")
    return json.loads(request.body), call.dropped


@pytest.mark.parametrize(
    ("model", "members", "body", "dropped"),
    [
        (TITAN, {"input": "Hi", "dimensions": 256, "user": "u"}, {"inputText": "Hi", "dimensions": 256}, ("user",)),
        (TITAN_1, {"input": ["Hi"], "dimensions": 256}, {"inputText": "Hi"}, ("dimensions",)),
        (COHERE, {"input": ["a", "b"], "dimensions": 9}, {"texts": ["a", "b"], "input_type": "search_document"}, ("dimensions",)),
        (
            COHERE_4,
            {"input": "a", "dimensions": 512, "input_type": "search_query", "encoding_format": "base64"},
            {"texts": ["a"], "input_type": "search_query", "output_dimension": 512},
            (),
        ),
    ],
)  # fmt: skip
def test_asks_each_model_its_own_way(model: str, members: dict, body: dict, dropped: tuple[str, ...]) -> None:
    assert (body, dropped) == asked(model, **members)


@pytest.mark.parametrize(
    ("model", "members", "param"),
    [
        (TITAN, {"input": ["a", "b"]}, "input"),
        (COHERE, {"input": ["a"] * 97}, "input"),
        (COHERE, {"input": [1, 2]}, "input"),
        (COHERE, {"input": ["a", [1]]}, "input"),
        (TITAN, {"input": []}, "input"),
        (TITAN, {}, "input"),
        (TITAN, {"input": "a", "encoding_format": "int8"}, "encoding_format"),
        (TITAN, {"input": "a", "dimensions": "x"}, "dimensions"),
        ("anthropic.claude-opus-4-7", {"input": "a"}, "model"),
    ],
)
def test_what_a_model_does_not_embed_is_refused(model: str, members: dict, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(model, **members)
    assert param == caught.value.param


@pytest.mark.parametrize(
    ("body", "head", "tokens"),
    [
        ({"embedding": [0.5, -1.0], "inputTextTokenCount": 4, "embeddingsByType": {"float": [[0]]}}, RecordedHead(), 4),
        ({"embeddings": [[0.5, -1.0]], "id": "x", "response_type": "embeddings_floats", "texts": ["a"]}, COUNTED, 6),
        ({"embeddings": {"float": [[0.5, -1]]}, "response_type": "embeddings_by_type"}, COUNTED, 6),
    ],
)
def test_reads_the_vectors_of_each_model(body: dict, head: RecordedHead, tokens: int) -> None:
    answer = provider().decode(embedding(input="a"), head, json.dumps(body).encode())
    assert Usage.of(input=tokens) == answer.usage
    assert {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
        "model": "m",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    } == json.loads(answer.body)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8), max_size=4))
def test_base64_is_the_same_floats_packed(vectors: list[list[float]]) -> None:
    body = json.dumps({"embeddings": vectors}).encode()
    answer = provider().decode(embedding(input="a", encoding_format="base64"), COUNTED, body)
    packed = [base64.b64decode(one["embedding"]) for one in json.loads(answer.body)["data"]]
    assert [struct.pack(f"<{len(vector)}f", *vector) for vector in vectors] == packed


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embedding":["a"]}', b'{"embeddings":{"int8":[[1]]}}', b"[]"])
def test_something_that_is_no_vector_is_a_fault(body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        provider().decode(embedding(input="a"), COUNTED, body)
    assert "protocol" == caught.value.cause


@pytest.mark.parametrize("count", ["", "x", "²", "-1", "9" * 400])
def test_a_token_count_that_is_none_is_not_believed(count: str) -> None:
    head = RecordedHead(200, {"x-amzn-bedrock-input-token-count": count})
    answer = provider().decode(embedding(input="a"), head, b'{"embeddings":[[1]]}')
    assert answer.usage is None
    assert "usage" not in json.loads(answer.body)


def test_a_model_that_embeds_takes_embeddings_alone() -> None:
    assert [frozenset({EMBEDDINGS})] * 4 == [
        provider().traits(name).wires for name in (TITAN, TITAN_1, COHERE, COHERE_4)
    ]
