"""OpenAI's embeddings through InvokeModel: Amazon Titan Text Embeddings and Cohere Embed.

Wire: docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html, …/model-parameters-embed-v3.html,
…/model-parameters-embed-v4.html; platform.openai.com/docs/api-reference/embeddings.
"""

import sys
from array import array
from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear_plugins.bedrock.families import Embedding
from switchgear_plugins.bedrock.faults import protocol_fault
from switchgear_plugins.bedrock.settings import BedrockSettings

_encode = msgspec.json.Encoder().encode
_MOST_TEXTS = 96
_MOST_TOKENS = 2**40
_NULL = Raw(b"null")
_INPUT_TOKENS = "x-amzn-bedrock-input-token-count"
_FORMATS = ("float", "base64")


class _ByType(Struct):
    float: list[list[float]]


class _Found(Struct, rename="camel"):
    embedding: list[float] | None = None
    embeddings: list[list[float]] | _ByType | None = None
    input_text_token_count: int | None = None


_decoder = msgspec.json.Decoder(_Found)


def embed_body(call: Call, model: TargetModel, kind: Embedding, settings: BedrockSettings) -> bytes:
    """Write the body of InvokeModel. Raises `InvalidRequest` naming the member."""
    members = {**model.defaults, **call.members}
    asked = Call(call.operation, call.wire, members, model=call.model)
    texts = _texts(asked)
    carried = {"model", "input", "encoding_format"}
    if (asked.member("encoding_format", str) or "float") not in _FORMATS:
        message = "`encoding_format` must be `float` or `base64`."
        raise InvalidRequest(message, param="encoding_format", code="invalid_value")
    dimensions = asked.member("dimensions", int)
    body: dict[str, Any]
    if kind in ("titan_v1", "titan_v2"):
        if len(texts) != 1:
            message = "`input` has several texts; this model embeds one text a request. Send one request for each."
            raise InvalidRequest(message, param="input", code="too_many_inputs")
        body = {"inputText": texts[0]}
        name = "dimensions" if kind == "titan_v2" else None
    else:
        if len(texts) > _MOST_TEXTS:
            message = f"`input` has more than {_MOST_TEXTS} texts, which is the most this model embeds a request."
            raise InvalidRequest(message, param="input", code="too_many_inputs")
        purpose = asked.member("input_type", str) or settings.embed_input_type
        carried.add("input_type")
        body = {"texts": texts, "input_type": purpose}
        name = "output_dimension" if kind == "cohere_v4" else None
    if name is not None:
        carried.add("dimensions")
        if dimensions is not None:
            body[name] = dimensions
    call.drop(*(name for name, value in call.members.items() if name not in carried and value != _NULL))
    return _encode(body)


def _texts(call: Call) -> list[str]:
    found = call.member("input", Any) if "input" in call.members else None
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not texts:
        message = "`input` must be a text or a list of texts that is not empty."
        raise InvalidRequest(message, param="input", code="invalid_value")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            message = "`input` must be text: this model's provider does not take tokens."
            raise InvalidRequest(message, param="input" if len(texts) == 1 else f"input[{place}]", code="invalid_value")
    return texts


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
    wants_base64 = call.member("encoding_format", str) == "base64"
    try:
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if wants_base64 else vector}
            for index, vector in enumerate(vectors)
        ]
    except OverflowError:
        raise protocol_fault(head) from None
    answer: dict[str, Any] = {"object": "list", "data": data, "model": call.model}
    usage = _usage(head, found)
    if usage is not None:
        answer["usage"] = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return Answer(_encode(answer), usage, call.model)


def _usage(head: Head, found: _Found) -> Usage | None:
    count = found.input_text_token_count
    said = head.header(_INPUT_TOKENS)
    if count is None and said is not None and said.isascii() and said.isdigit():
        count = int(said[:16])
    return Usage(input_tokens=count) if count is not None and 0 <= count <= _MOST_TOKENS else None


def _base64(vector: list[float]) -> str:
    """Pack as 32-bit floats, little-endian."""
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return b64encode(packed.tobytes()).decode()
