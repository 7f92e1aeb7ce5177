"""Embeddings in OpenAI's shape, over the three methods Google has for them.

Wire: platform.openai.com/docs/api-reference/embeddings, ai.google.dev/api/embeddings (batchEmbedContents), and on Vertex AI
docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api (predict), with embedContent for the
Gemini embedding models after the first.
"""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault
from switchgear.contracts.usage import Usage, believable
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import drop_others
from switchgear.wire.embeddings import embeddings_answer, read_embeddings
from switchgear.wire.members import BROKEN
from switchgear_plugins.vertex.address import family
from switchgear_plugins.vertex.faults import read_fault
from switchgear_plugins.vertex.wire import UsageMetadata

BATCH, PREDICT, EMBED = "batchEmbedContents", "predict", "embedContent"
_encode = msgspec.json.Encoder().encode


class _Statistics(Struct):
    token_count: float = 0


class _Embedding(Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(Struct):
    embeddings: _Embedding


class _Found(Struct, rename="camel"):
    embeddings: list[_Embedding] = []
    embedding: _Embedding | None = None
    predictions: list[_Prediction] = []
    usage_metadata: UsageMetadata | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Found)


def embeds(model: str) -> bool:
    """Say whether a model makes embeddings, which its name does."""
    return "embedding" in family(model)


def embedding_method(model: str, *, vertex: bool) -> str:
    """Return the method that a model is asked by."""
    if not vertex:
        return BATCH
    name = family(model)
    return EMBED if name.startswith("gemini-embedding-") and name != "gemini-embedding-001" else PREDICT


def embedding_body(call: Call, method: str, resource: str) -> bytes:
    """Write the request. Text over the model's limit is refused, not cut, where the vendor lets one say so.

    Raises `InvalidRequest` for tokens, which only their own model could read, and for several texts where one is taken.
    """
    asked = read_embeddings(call)
    texts = asked.texts()
    drop_others(call, ("input", "dimensions", "encoding_format"))
    options: dict[str, Any] = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    if method == BATCH:
        requests = [{"model": resource, "content": _content(text), **options} for text in texts]
        return _encode({"requests": requests})
    options["autoTruncate"] = False
    if method == PREDICT:
        return _encode({"instances": [{"content": text} for text in texts], "parameters": options})
    if len(texts) > 1:
        message = "`input` holds several texts; this model's provider takes one a request."
        raise InvalidRequest(message, param="input", code="unsupported_value")
    return _encode({"content": _content(texts[0]), "embedContentConfig": options})


def _content(text: str) -> dict[str, Any]:
    return {"parts": [{"text": text}]}


def decode_embeddings(call: Call, head: Head, body: bytes) -> Answer:
    """Read the answer of any of the methods. AI Studio does not say what it consumed for every model."""
    try:
        found = _decoder.decode(body)
    except BROKEN:
        raise ProviderFault("protocol", head.status) from None
    if found.error is not None:
        raise read_fault(head, body)
    vectors = found.embeddings or [one.embeddings for one in found.predictions]
    if found.embedding is not None:
        vectors = [found.embedding]
    if not vectors:
        raise ProviderFault("protocol", head.status)
    return embeddings_answer(call, [vector.values for vector in vectors], _usage(found, vectors))


def _usage(found: _Found, vectors: list[_Embedding]) -> Usage | None:
    if found.usage_metadata is not None:
        return found.usage_metadata.usage()
    counts = [vector.statistics.token_count for vector in vectors if vector.statistics is not None]
    return Usage.plain(round(sum(counts))) if counts and believable(*counts) else None
