"""Reasoning that must come back unchanged, carried in the `encrypted_content` of a reasoning item of the Responses wire.

Clients of that wire give every item back as they got it. What a provider wants back (signatures, encrypted blocks) is packed
into the one member that nobody but its maker reads; a mark tells ours from others'.
"""

import base64
import binascii
from collections.abc import Iterable

import msgspec

from switchgear.wire.canonical import ReasoningDetail

MARK = "sg1."
_decoder = msgspec.json.Decoder(list[ReasoningDetail])


def pack(details: list[ReasoningDetail]) -> str | None:
    """Pack what must come back; None if nothing must."""
    if not details:
        return None
    return MARK + base64.urlsafe_b64encode(msgspec.json.encode(details)).decode()


def unpack(content: str) -> list[ReasoningDetail] | None:
    """Unpack what `pack` made; None if somebody else made it, or it was damaged."""
    if not content.startswith(MARK):
        return None
    try:
        return _decoder.decode(base64.b64decode(content[len(MARK) :], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None


def join(details: Iterable[ReasoningDetail]) -> list[ReasoningDetail]:
    """Put together the pieces of one detail that was streamed: neighbours of one type that share an `index`."""
    joined: list[ReasoningDetail] = []
    for detail in details:
        last = joined[-1] if joined else None
        if last is None or detail.index is None or (last.type, last.index) != (detail.type, detail.index):
            joined.append(detail)
            continue
        joined[-1] = ReasoningDetail(
            last.type,
            _both(last.text, detail.text),
            _both(last.summary, detail.summary),
            _both(last.signature, detail.signature),
            _both(last.data, detail.data),
            last.id or detail.id,
            last.format or detail.format,
            last.index,
        )
    return joined


def _both(one: str | None, other: str | None) -> str | None:
    return one if other is None else (one or "") + other


def words(details: Iterable[ReasoningDetail]) -> str:
    """Return what details say in clear."""
    return "".join(detail.text or detail.summary or "" for detail in details)
