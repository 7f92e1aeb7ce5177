"""How a record lies in a journal segment.

    length u32 | crc32 u32 | at_us i64 | kind length u8 | id length u8 | kind | id | body

Little endian; `length` and the checksum cover what comes after the checksum. A segment is zeros where nothing was written,
and no frame has length zero.
"""

from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

from switchgear.contracts.store import RecordRow
from switchgear.errors import RecordRefused

_HEAD = Struct("<II")
_META = Struct("<qBB")
OVERHEAD = _HEAD.size + _META.size
"""Bytes of a frame besides kind, id and body."""

_pack_head = _HEAD.pack
_pack_meta = _META.pack


class Reading(NamedTuple):
    """What was found: (kind, record) pairs, and where to go on.

    `finished` says that nothing more is to come: zeros, the end of the segment, or a frame that is torn. `torn` says that it
    was the latter, `beyond` that something is written after the torn frame, which a crash alone does not explain.
    """

    records: list[tuple[str, RecordRow]]
    offset: int
    finished: bool
    torn: bool = False
    beyond: bool = False


def pack(kind: str, id: str, at_us: int, body: bytes) -> bytes:
    """Return the frame of a record. Raises `RecordRefused` for a kind or id that is not text of at most 255 bytes."""
    try:
        kind_bytes = kind.encode()
        id_bytes = id.encode()
        payload = b"".join((_pack_meta(at_us, len(kind_bytes), len(id_bytes)), kind_bytes, id_bytes, body))
        return _pack_head(len(payload), crc32(payload)) + payload
    except (UnicodeEncodeError, error) as fault:
        raise RecordRefused(
            kind, (id,), "the kind or id is not text of at most 255 bytes, or the time out of range"
        ) from fault


def read(segment: bytes | memoryview, offset: int, limit: int) -> Reading:
    """Return up to `limit` records from `offset` on."""
    records: list[tuple[str, RecordRow]] = []
    end = len(segment)
    while len(records) < limit:
        if end - offset < OVERHEAD:
            return Reading(records, offset, finished=True)
        length, checksum = _HEAD.unpack_from(segment, offset)
        if length == 0:
            # A crash may have kept the length from being written and let what follows through.
            beyond = any(segment[offset : offset + OVERHEAD])
            return Reading(records, offset, finished=True, torn=beyond)
        start, stop = offset + _HEAD.size, offset + _HEAD.size + length
        payload = bytes(segment[start:stop])
        if length < _META.size or stop > end or crc32(payload) != checksum:
            beyond = stop < end and any(segment[stop : stop + _HEAD.size])
            return Reading(records, offset, finished=True, torn=True, beyond=beyond)
        at_us, kind_length, id_length = _META.unpack_from(payload)
        id_start = _META.size + kind_length
        body_start = id_start + id_length
        kind = payload[_META.size : id_start].decode()
        records.append((kind, RecordRow(payload[id_start:body_start].decode(), at_us, payload[body_start:])))
        offset = stop
    return Reading(records, offset, finished=False)
