"""Embeddings, read and written in the canonical form (platform.openai.com/docs/api-reference/embeddings)."""

import struct
from base64 import b64decode, b64encode
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
from switchgear.wire.texts import first, items_of
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
    index: int | float | None = None
    object: str | None = None


class _Found(Struct):
    data: list[_Item] = []
    object: str | None = None
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


def decode_embeddings(call: Call, body: bytes, head: Head) -> Answer:
    """Read a whole answer. It goes back as it is, or mended. Raises `ProviderFault` (`protocol`) for anything else.

    Fewer vectors than were asked for are none. Vectors come in the form that was asked for, since OpenAI's SDKs ask for base64
    of their own accord and then read nothing else.
    """
    try:
        found = decode_text(_answer_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    asked = _count(call.members.get("input"))
    is_whole = bool(found.data) and len(found.data) == (asked or len(found.data))
    if found.error != _NULL or not is_whole or not all(map(_is_vector, found.data)):
        raise decode_fault(head.status, body, head)
    usage = read_usage(found.usage)
    if usage is not None and usage.output_tokens:  # nothing is written: some servers tell their total alone
        usage = Usage.plain(usage.input_tokens + usage.output_tokens)
    packed = call.member("encoding_format", str) == "base64"
    return Answer(_mended(found, body, packed=packed), usage, found.model)


_EMPTY = (Raw(b"[]"), Raw(b'""'))


def _is_vector(item: _Item) -> bool:
    return first(item.embedding) in (b"[", b'"') and item.embedding not in _EMPTY


def _count(given: Raw | None) -> int:
    """Return how many vectors are asked for; 0 where that is not known."""
    if given is None:
        return 0
    listed = items_of(given)
    return len(listed) if listed and first(listed[0]) in (b'"', b"[", b"{") else 1


def _mended(found: _Found, body: bytes, *, packed: bool) -> bytes:
    """Return an answer whose vectors stand in the order of what they are of, in the form that was asked for."""
    wanted = b'"' if packed else b"["
    places = [item.index for item in found.data]
    usual = list(range(len(places)))
    is_named = found.object == "list" and found.model is not None and all(it.object == "embedding" for it in found.data)
    if is_named and places == usual and all(first(item.embedding) == wanted for item in found.data):
        return body
    is_order = set(places) == set(usual)
    items = sorted(found.data, key=lambda item: item.index or 0) if is_order else found.data
    data = [
        {"object": "embedding", "index": place, "embedding": _in_form(item.embedding, packed=packed)}
        for place, item in enumerate(items)
    ]
    whole: dict[str, Raw] = msgspec.json.decode(body, type=dict[str, Raw])
    return _encoder.encode({**whole, "object": "list", "data": data, "model": found.model or ""})


def _in_form(vector: Raw, *, packed: bool) -> Any:
    if (first(vector) == b'"') == packed:
        return vector
    try:
        if packed:
            return _packed(_floats.decode(vector))
        data = b64decode(_text.decode(vector), validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (*BROKEN, ValueError, struct.error):
        raise ProviderFault("protocol", 200) from None


_floats = msgspec.json.Decoder(list[float])
_text = msgspec.json.Decoder(str)


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
