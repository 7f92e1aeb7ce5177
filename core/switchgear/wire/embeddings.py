"""Embeddings, read and written in the canonical form (platform.openai.com/docs/api-reference/embeddings)."""

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.rawjson import what_and_where
from switchgear.wire.chat import decode_fault
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.usage import read_usage

_NULL = Raw(b"null")
_encoder = msgspec.json.Encoder()


class EmbeddingsRequest(Struct, frozen=True):
    """A canonical request: what to embed is a list of texts, or of texts as tokens. What the client left out is None."""

    input: list[str] | list[list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None

    def texts(self) -> list[str]:
        """Return what to embed as texts. Raises `InvalidRequest` where it is tokens, which only their own model can read."""
        found = [text for text in self.input if isinstance(text, str)]
        if len(found) < len(self.input):
            raise InvalidRequest(
                "`input` is tokens; this model's provider takes text.", param="input", code="invalid_value"
            )
        return found


class _Wire(Struct):
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Item(Struct, gc=False):
    embedding: Raw


class _Found(Struct):
    data: list[_Item] = []
    usage: Raw = _NULL
    error: Raw = _NULL
    model: str | None = None


_request_decoder = msgspec.json.Decoder(_Wire)
_answer_decoder = msgspec.json.Decoder(_Found)


def read_embeddings(call: Call) -> EmbeddingsRequest:
    """Decode a canonical call. Raises `InvalidRequest` naming the member."""
    try:
        found = _request_decoder.decode(_encoder.encode(call.members))
    except (msgspec.DecodeError, RecursionError) as error:
        detail, where = what_and_where(error)
        name = where.lstrip(".").partition("[")[0] or "input"
        raise InvalidRequest(f"`{name}` is invalid: {detail}.", param=name, code="invalid_value") from None
    return EmbeddingsRequest(_listed(found.input), found.dimensions, found.encoding_format, found.user)


def _listed(given: str | list[str | int | list[int]]) -> list[str] | list[list[int]]:
    if given and isinstance(given, str):
        return [given]
    texts = [part for part in given if isinstance(part, str)]
    tokens = [part for part in given if isinstance(part, int)]
    lists = [part for part in given if isinstance(part, list)]
    if given and len(texts) == len(given):
        return texts
    if given and len(lists) == len(given):
        return lists
    if given and len(tokens) == len(given):
        return [tokens]
    message = "`input` must be a text, a list of texts, or tokens, and not empty."
    raise InvalidRequest(message, param="input", code="invalid_value")


def decode_embeddings(body: bytes, head: Head) -> Answer:
    """Read a whole answer, which goes back as it is. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        found = decode_text(_answer_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if found.error != _NULL or not found.data or any(bytes(item.embedding)[:1] not in b'["' for item in found.data):
        raise decode_fault(head.status, body, head)
    usage = read_usage(found.usage)
    if usage is not None and usage.output_tokens:  # nothing is written: some servers tell their total alone
        usage = Usage.plain(usage.input_tokens + usage.output_tokens)
    return Answer(body, usage, found.model)


def embeddings_answer(
    call: Call, vectors: Sequence[Sequence[float]], usage: Usage | None, model: str | None = None
) -> Answer:
    """Make the answer that holds `vectors`, in the order of the input and the form the client asked for.

    Base64 is of little-endian 32-bit floats. Raises `ProviderFault` (`protocol`) for numbers that do not fit.
    """
    packed = call.member("encoding_format", str) == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(vectors)
    ]
    model = model or call.model
    body: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return Answer(_encoder.encode(body), usage, model)


def _packed(vector: Sequence[float]) -> str:
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise ProviderFault("protocol", 200) from None
