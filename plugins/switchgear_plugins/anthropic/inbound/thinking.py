"""What a model thought, between Messages blocks and the canonical form, so that every provider gets its own back unchanged.

Wire: platform.claude.com/docs/en/build-with-claude/thinking. A `thinking` block is text with an opaque signature, a
`redacted_thinking` block opaque data; clients send both back as they got them. What another vendor's model must get back fits
into neither as it is, so the whole `ReasoningDetail` is packed into the opaque member and unpacked when it returns.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from switchgear.wire.canonical import ReasoningDetail

CLAUDE = "anthropic-claude-v1"
"""The `format` of reasoning that this wire's own models signed."""
_NATIVE = (None, CLAUDE)
_PACKED = "switchgear.v1."

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ReasoningDetail)


class Thought(Struct, frozen=True):
    """A `thinking` block, or a piece of one: it is a piece as long as `signature` is None."""

    text: str
    signature: str | None = None


class Redacted(Struct, frozen=True):
    """A `redacted_thinking` block."""

    data: str


def thoughts(said: str | None, details: Sequence[ReasoningDetail] | None) -> Iterator[Thought | Redacted]:
    """Tell the reasoning of a message or of a chunk as blocks and pieces of them.

    `said` and the texts of `details` are the same words; where both are there, they are told once. A signature without words
    signs those that went before it.
    """
    if not details:
        if said:
            yield Thought(said)
        return
    signed = "".join(_words(detail) for detail in details if _must_return(detail))
    pending = said if said and not signed else None
    if pending:
        yield Thought(pending)
    for detail in details:
        if detail.type == "reasoning.encrypted":
            yield Redacted(_data(detail))
        elif _must_return(detail):
            yield Thought(_words(detail), _signature(detail))
        elif not said and _words(detail):
            yield Thought(_words(detail))


def restore_thought(text: str, signature: str) -> ReasoningDetail | None:
    """Read a `thinking` block a client sent back; None if nothing but its text is to be kept, as of one that was damaged."""
    if not signature:
        return None
    if not signature.startswith(_PACKED):
        return ReasoningDetail("reasoning.text", text=text, signature=signature, format=CLAUDE)
    detail = _unpack(signature)
    if detail is None:
        return None
    if detail.type == "reasoning.summary":
        detail.summary = text
    else:
        detail.text = text
    return detail


def restore_redacted(data: str) -> ReasoningDetail | None:
    """Read a `redacted_thinking` block a client sent back; None for one that was damaged."""
    if not data.startswith(_PACKED):
        return ReasoningDetail("reasoning.encrypted", data=data, format=CLAUDE)
    return _unpack(data)


def _words(detail: ReasoningDetail) -> str:
    return (detail.summary if detail.type == "reasoning.summary" else detail.text) or ""


def _must_return(detail: ReasoningDetail) -> bool:
    return bool(detail.signature or detail.data or detail.id)


def _is_native(detail: ReasoningDetail, type: str) -> bool:
    if detail.type != type or detail.format not in _NATIVE:
        return False
    return detail.id is None or detail.format == CLAUDE  # whose place among the blocks says which call it came behind


def _signature(detail: ReasoningDetail) -> str:
    if _is_native(detail, "reasoning.text") and detail.signature and not detail.data:
        return detail.signature
    return _pack(msgspec.structs.replace(detail, text=None, summary=None))


def _data(detail: ReasoningDetail) -> str:
    if _is_native(detail, "reasoning.encrypted") and detail.data:
        return detail.data
    return _pack(detail)


def _pack(detail: ReasoningDetail) -> str:
    return _PACKED + base64.urlsafe_b64encode(_encoder.encode(detail)).decode()


def _unpack(opaque: str) -> ReasoningDetail | None:
    try:
        return _decoder.decode(base64.b64decode(opaque[len(_PACKED) :].encode(), altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeError):
        return None
