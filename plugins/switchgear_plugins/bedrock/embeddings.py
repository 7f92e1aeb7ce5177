"""OpenAI's embeddings through InvokeModel: Amazon Titan Text Embeddings and Cohere Embed.

Wire: docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html, …/model-parameters-embed-v3.html,
…/model-parameters-embed-v4.html; platform.openai.com/docs/api-reference/embeddings.
"""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Answer, Call, Head
from switchgear.contracts.usage import Usage, believable
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import drop_others
from switchgear.wire.embeddings import embeddings_answer, read_embeddings
from switchgear_plugins.bedrock.families import Embedding
from switchgear_plugins.bedrock.faults import protocol_fault
from switchgear_plugins.bedrock.settings import BedrockSettings

_encode = msgspec.json.Encoder().encode
_MOST_TEXTS = 96
_INPUT_TOKENS = "x-amzn-bedrock-input-token-count"


class _ByType(Struct):
    float: list[list[float]]


class _Found(Struct, rename="camel"):
    embedding: list[float] | None = None
    embeddings: list[list[float]] | _ByType | None = None
    input_text_token_count: int | None = None


_decoder = msgspec.json.Decoder(_Found)


def embed_body(call: Call, kind: Embedding, settings: BedrockSettings) -> bytes:
    """Write the body of InvokeModel. Raises `InvalidRequest` naming the member."""
    asked = read_embeddings(call)
    texts = asked.texts()
    carried = ["input", "encoding_format"]
    body: dict[str, Any]
    if kind in ("titan_v1", "titan_v2"):
        if len(texts) != 1:
            message = "`input` has several texts; this model embeds one text a request. Send one request for each."
            raise InvalidRequest(message, param="input", code="too_many_inputs")
        body = {"inputText": texts[0]}
        size = "dimensions" if kind == "titan_v2" else None
    else:
        if len(texts) > _MOST_TEXTS:
            message = f"`input` has more than {_MOST_TEXTS} texts, which is the most this model embeds a request."
            raise InvalidRequest(message, param="input", code="too_many_inputs")
        body = {"texts": texts, "input_type": call.member("input_type", str) or settings.embed_input_type}
        carried.append("input_type")
        size = "output_dimension" if kind == "cohere_v4" else None
    if size is not None:
        carried.append("dimensions")
        if asked.dimensions is not None:
            body[size] = asked.dimensions
    drop_others(call, carried)
    return _encode(body)


def decode_embeddings(call: Call, head: Head, body: bytes) -> Answer:
    """Read the vectors and write them as OpenAI's. Raises `ProviderFault`."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise protocol_fault(head) from None
    if found.embedding is not None:
        vectors = [found.embedding]
    elif isinstance(found.embeddings, _ByType):
        vectors = found.embeddings.float
    elif found.embeddings is not None:
        vectors = found.embeddings
    else:
        raise protocol_fault(head)
    return embeddings_answer(call, vectors, _usage(head, found))


def _usage(head: Head, found: _Found) -> Usage | None:
    count = found.input_text_token_count
    said = head.header(_INPUT_TOKENS)
    if count is None and said is not None and said.isascii() and said.isdigit():
        count = int(said[:16])
    return Usage.plain(count) if count is not None and believable(count) else None
