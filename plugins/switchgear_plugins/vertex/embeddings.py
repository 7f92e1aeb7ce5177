"""Embeddings in OpenAI's shape, over the three methods Google has for them.

Wire: platform.openai.com/docs/api-reference/embeddings, ai.google.dev/api/embeddings (batchEmbedContents), and on Vertex AI
docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api (predict), with embedContent for the
Gemini embedding models after the first.
"""

import base64
import struct
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import drop_others
from switchgear.wire.members import member
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


def embedding_body(call: Call, model: TargetModel, method: str, resource: str) -> bytes:
    """Write the request. Text over the model's limit is refused, not cut, where the vendor lets one say so.

    Raises `InvalidRequest` for tokens, which only their own model could read, and for several texts where one is taken.
    """
    members = {**model.defaults, **call.members}
    try:
        given = member(members, "input", str | list[str])  # type: ignore[arg-type]  # a union is a type to msgspec
    except InvalidRequest:
        raise InvalidRequest(
            "`input` must be text or a list of texts; this model's provider takes no tokens.",
            param="input",
            code="unsupported_value",
        ) from None
    if not given:
        raise InvalidRequest("`input` is missing: give a text or a list of texts.", param="input", code="missing_field")
    texts = [given] if isinstance(given, str) else given
    size = member(members, "dimensions", int)
    drop_others(call, ("input", "dimensions", "encoding_format"))
    options = {} if size is None else {"outputDimensionality": size}
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderFault("protocol", head.status) from None
    if found.error is not None:
        raise read_fault(head, body)
    vectors = found.embeddings or [one.embeddings for one in found.predictions]
    if found.embedding is not None:
        vectors = [found.embedding]
    if not vectors:
        raise ProviderFault("protocol", head.status)
    packed = call.member("encoding_format", str) == "base64"
    data = [
        {"object": "embedding", "index": place, "embedding": _pack(vector.values) if packed else vector.values}
        for place, vector in enumerate(vectors)
    ]
    usage = _usage(found, vectors)
    tokens = None if usage is None else {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return Answer(_encode({"object": "list", "data": data, "model": call.model, "usage": tokens}), usage)


def _usage(found: _Found, vectors: list[_Embedding]) -> Usage | None:
    if found.usage_metadata is not None:
        return found.usage_metadata.usage()
    counts = [vector.statistics.token_count for vector in vectors if vector.statistics is not None]
    return Usage(input_tokens=max(round(sum(counts)), 0)) if counts else None


def _pack(values: list[float]) -> str:
    """Encode a vector as OpenAI does: base64 of little-endian 32-bit floats."""
    try:
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except (OverflowError, struct.error):
        raise ProviderFault("protocol", 200) from None
