"""Where things are sent: addresses, credentials, embeddings, counts and lists of models."""

import base64
import json
import struct

import msgspec
import pytest

from support.vertex import KEY, TOKEN, call, provider, target
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import DiscoveredModel, ModelPage, ProviderFault
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest, SecretUnavailable
from switchgear.testing.provider_suite import RecordedHead

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
GEMINI = "gemini-2.5-flash"
STUDIO = "https://generativelanguage.googleapis.com/v1beta"
EUROPE = "https://europe-west4-aiplatform.googleapis.com/v1"
EU = "https://aiplatform.eu.rep.googleapis.com/v1"
ACME = "https://aiplatform.googleapis.com/v1/projects/acme/locations/global"


def url(settings: dict, name: str = GEMINI, secret: dict | None = None, *, stream: bool = False, **options: str) -> str:
    asked = call(stream=stream, **HELLO)
    return provider(**options, **settings).prepare(asked, target(name), Secret(secret or TOKEN)).url


@pytest.mark.parametrize(
    ("settings", "name", "expected"),
    [
        ({}, GEMINI, f"{STUDIO}/models/{GEMINI}:generateContent"),
        ({}, f"models/{GEMINI}", f"{STUDIO}/models/{GEMINI}:generateContent"),
        ({}, "tunedModels/mine-1", f"{STUDIO}/tunedModels/mine-1:generateContent"),
        ({"api_version": "v1alpha"}, GEMINI, f"{STUDIO[:-4]}alpha/models/{GEMINI}:generateContent"),
        ({"project": "acme"}, GEMINI, f"{ACME}/publishers/google/models/{GEMINI}:generateContent"),
        ({"project": "acme"}, "endpoints/123", f"{ACME}/endpoints/123:generateContent"),
        (
            {"project": "acme"},
            "publishers/meta/models/llama-4",
            f"{ACME}/publishers/meta/models/llama-4:generateContent",
        ),
        ({"project": "acme", "publisher": "other"}, "m", f"{ACME}/publishers/other/models/m:generateContent"),
        (
            {"project": "example.com:acme", "location": "europe-west4"},
            GEMINI,
            f"{EUROPE}/projects/example.com:acme/locations/europe-west4/publishers/google/models/{GEMINI}:generateContent",
        ),
        (
            {"project": "acme", "location": "eu"},
            GEMINI,
            f"{EU}/projects/acme/locations/eu/publishers/google/models/{GEMINI}:generateContent",
        ),
        (
            {"express": True},
            GEMINI,
            f"https://aiplatform.googleapis.com/v1/publishers/google/models/{GEMINI}:generateContent",
        ),
    ],
)
def test_every_place_has_its_address(settings, name, expected):
    assert expected == url(settings, name)


def test_a_stream_is_asked_for_as_server_sent_events():
    assert f"{STUDIO}/models/{GEMINI}:streamGenerateContent?alt=sse" == url({}, stream=True)


def test_another_base_url_keeps_the_rest():
    assert f"http://127.0.0.1:9/x/v1beta/models/{GEMINI}:generateContent" == url({}, base_url="http://127.0.0.1:9/x/")


def test_the_project_may_come_with_the_credential():
    assert f"{ACME}/publishers/google/models/{GEMINI}:generateContent" == url(
        {"location": "global"}, secret={**TOKEN, "project_id": "acme"}
    )
    for wrong in ({}, {"project_id": "a/../b"}):
        with pytest.raises(SecretUnavailable, match="project"):
            url({"location": "global"}, secret={**TOKEN, **wrong})


@pytest.mark.parametrize(
    "settings",
    [
        {"location": "evil.example/"},
        {"location": "evil.example#"},
        {"location": "us-central1\n"},
        {"location": "US"},
        {"project": "a/b"},
        {"project": "acme\n"},
        {"project": "../x"},
        {"publisher": "a/b"},
        {"api_version": "v9"},
        {"safety_settings": {"HARM": "OFF"}},
        {"safety_settings": {"HARM_CATEGORY_HARASSMENT": "never"}},
        {"token_uri": "ftp://x"},
        {"token_uri": "https://user@x/"},
    ],
)
def test_settings_that_would_change_the_host_are_refused(settings):
    with pytest.raises(msgspec.ValidationError):
        provider(**settings)


def test_express_mode_has_no_project():
    with pytest.raises(ValueError, match="express"):
        provider(express=True, project="acme")


@pytest.mark.parametrize("name", ["", "../x", "a b", "a?b", "a:predict", "a/b/c", "publishers/x/y", "a\n"])
def test_a_name_that_is_no_models_is_refused(name):
    with pytest.raises(ValueError, match="provider_model"):
        provider(project="acme").traits(name)


@pytest.mark.parametrize(
    ("settings", "name", "wires", "reasoning"),
    [
        ({}, GEMINI, {"chat", "count"}, True),
        ({}, "gemini-2.0-flash", {"chat", "count"}, False),
        ({}, "gemma-3-27b-it", {"chat", "count"}, False),
        ({}, "gemini-embedding-001", {"embeddings"}, False),
        ({"express": True}, "gemini-embedding-001", set(), False),
        ({"project": "acme"}, "endpoints/123", {"chat", "count"}, True),
        ({"project": "acme"}, "claude-sonnet-5", {"chat", "count", "messages", "messages_count"}, True),
        (
            {"project": "acme"},
            "publishers/anthropic/models/claude-3-5-haiku@20241022",
            {"chat", "count", "messages", "messages_count"},
            False,
        ),
    ],
)
def test_says_what_a_model_is(settings, name, wires, reasoning):
    found = provider(**settings).traits(name)
    assert (wires, reasoning) == (found.wires, "reasoning" in found.capabilities)
    assert found.wires <= provider(**settings).wires


@pytest.mark.parametrize("settings", [{}, {"express": True}])
def test_claude_is_on_vertex_only(settings):
    with pytest.raises(ValueError, match="Vertex"):
        provider(**settings).traits("claude-sonnet-5")


def test_keys_and_tokens_go_where_they_belong_and_own_headers_along():
    found = [
        provider(headers={"X-Own": "1"}).prepare(call(**HELLO), target(GEMINI), secret).headers
        for secret in (Secret(KEY), Secret(TOKEN), None)
    ]
    same = {"content-type": "application/json", "x-own": "1"}
    assert [{**same, "x-goog-api-key": "k-1"}, {**same, "authorization": "Bearer ya29.t"}, same] == found


def test_a_credential_with_neither_is_refused():
    with pytest.raises(SecretUnavailable, match="api_key"):
        provider().prepare(call(**HELLO), target(GEMINI), Secret({"password": "x"}))


# --- counting


def test_counts_as_ai_studio_wants_to_be_asked():
    asked = call("count", messages=[{"role": "system", "content": "S"}, *HELLO["messages"]], temperature=1)
    request = provider().prepare(asked, target(GEMINI), Secret(KEY))
    assert f"{STUDIO}/models/{GEMINI}:countTokens" == request.url
    assert {
        "generateContentRequest": {
            "model": f"models/{GEMINI}",
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "systemInstruction": {"parts": [{"text": "S"}]},
        }
    } == json.loads(request.body)


def test_counts_as_vertex_wants_to_be_asked():
    request = provider(project="acme").prepare(call("count", **HELLO), target(GEMINI), Secret(TOKEN))
    assert f"{ACME}/publishers/google/models/{GEMINI}:countTokens" == request.url
    assert {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]} == json.loads(request.body)


def test_reads_a_count():
    body = b'{"totalTokens": 31, "totalBillableCharacters": 96, "promptTokensDetails": []}'
    assert b'{"input_tokens":31}' == provider().decode(call("count"), RecordedHead(), body).body
    with pytest.raises(ProviderFault) as caught:
        provider().decode(call("count"), RecordedHead(), b"{}")
    assert "protocol" == caught.value.cause


# --- embeddings


def embed(settings: dict, name: str, **members: object) -> tuple[str, dict]:
    request = provider(**settings).prepare(call("embeddings", **members), target(name), Secret(TOKEN))
    return request.url.rpartition(":")[2], json.loads(request.body)


def test_embeds_in_a_batch_at_ai_studio():
    name = "models/gemini-embedding-001"
    want = [{"model": name, "content": {"parts": [{"text": text}]}, "outputDimensionality": 8} for text in ("a", "b")]
    assert ("batchEmbedContents", {"requests": want}) == embed({}, name, input=["a", "b"], dimensions=8)


def test_embeds_by_predict_on_vertex_and_lets_nothing_be_cut_off():
    for name in ("text-embedding-005", "gemini-embedding-001"):
        want = {"instances": [{"content": "a"}], "parameters": {"autoTruncate": False}}
        assert ("predict", want) == embed({"project": "acme"}, name, input="a", encoding_format="float")


def test_embeds_one_text_a_request_with_later_models_on_vertex():
    settings, name = {"project": "acme"}, "gemini-embedding-2"
    want = {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"outputDimensionality": 8, "autoTruncate": False},
    }
    assert ("embedContent", want) == embed(settings, name, input=["a"], dimensions=8)
    with pytest.raises(InvalidRequest) as caught:
        embed(settings, name, input=["a", "b"])
    assert "input" == caught.value.param


@pytest.mark.parametrize("given", [[1, 2], [[1], [2]], [], "", None, 7])
def test_takes_texts_only(given):
    with pytest.raises(InvalidRequest) as caught:
        embed({}, "gemini-embedding-001", input=given)
    assert "input" == caught.value.param


def test_names_what_embeddings_cannot_carry():
    asked = call("embeddings", input="a", user="u", encoding_format="base64", dimensions=None)
    provider().prepare(asked, target("gemini-embedding-001"), Secret(KEY))
    assert ("user",) == asked.dropped


@pytest.mark.parametrize(
    ("body", "vectors", "tokens"),
    [
        ({"embeddings": [{"values": [0.5, 1]}, {"values": [2.0]}]}, [[0.5, 1.0], [2.0]], None),
        (
            {"predictions": [{"embeddings": {"values": [0.5], "statistics": {"token_count": 4, "truncated": False}}}]},
            [[0.5]],
            4,
        ),
        ({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 3}, "truncated": False}, [[0.5]], 3),
    ],
)
def test_reads_embeddings_of_every_method(body, vectors, tokens):
    found = provider().decode(call("embeddings"), RecordedHead(), json.dumps(body).encode())
    assert {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)],
        "model": "public",
        **({} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}),
    } == json.loads(found.body)
    assert (None if tokens is None else Usage.of(input=tokens)) == found.usage


def test_packs_embeddings_when_asked():
    body = b'{"embeddings": [{"values": [0.5, -1.25]}]}'
    found = provider().decode(call("embeddings", encoding_format="base64"), RecordedHead(), body)
    packed = json.loads(found.body)["data"][0]["embedding"]
    assert (0.5, -1.25) == struct.unpack("<2f", base64.b64decode(packed))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"embeddings":[{"values":["x"]}]}', b'{"embeddings":[{"values":[1e300]}]}']
)
def test_what_is_no_embedding_is_a_fault(body):
    with pytest.raises(ProviderFault) as caught:
        provider().decode(call("embeddings", encoding_format="base64"), RecordedHead(), body)
    assert "protocol" == caught.value.cause


# --- lists of models


def test_lists_models_page_by_page_at_ai_studio():
    request = provider().models_request(Secret(KEY), None)
    assert ("GET", f"{STUDIO}/models?pageSize=1000") == (request.method, request.url)
    assert f"{STUDIO}/models?pageSize=1000&pageToken=a%2Fb%26c" == provider().models_request(None, "a/b&c").url
    body = json.dumps(
        {
            "models": [
                {
                    "name": "models/gemini-2.5-flash",
                    "version": "001",
                    "displayName": "Gemini 2.5 Flash",
                    "inputTokenLimit": 1048576,
                    "outputTokenLimit": 65536,
                    "supportedGenerationMethods": ["generateContent"],
                }
            ],
            "nextPageToken": "more",
        }
    ).encode()
    model = DiscoveredModel("gemini-2.5-flash", "Gemini 2.5 Flash", "google", None, 1048576, 65536)
    assert ModelPage((model,), "more") == provider().models(RecordedHead(), body)


def test_lists_a_publishers_models_on_vertex():
    base = "https://europe-west4-aiplatform.googleapis.com/v1beta1/publishers/anthropic/models?pageSize=100"
    found = provider(project="acme", location="europe-west4", publisher="anthropic")
    assert base == found.models_request(Secret(TOKEN), None).url
    body = b'{"publisherModels":[{"name":"publishers/google/models/gemini-3-pro","versionId":"1"},'
    body += b'{"name":"publishers/anthropic/models/claude-sonnet-5"}]}'
    page = found.models(RecordedHead(), body)
    names = [("gemini-3-pro", "google"), ("publishers/anthropic/models/claude-sonnet-5", "anthropic")]
    assert (names, None) == ([(model.name, model.owned_by) for model in page.models], page.cursor)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [(403, b"", "permission"), (200, b"<html>", "protocol"), (200, b'{"models":7}', "protocol")],
)
def test_what_is_no_list_of_models_is_a_fault(status, body, cause):
    with pytest.raises(ProviderFault) as caught:
        provider().models(RecordedHead(status), body)
    assert cause == caught.value.cause
