"""Reads `application/vnd.amazon.eventstream`: binary messages with checksums, from pieces cut anywhere.

Wire: docs.aws.amazon.com/transcribe/latest/dg/event-stream.html and smithy.io's "Amazon Event Stream" specification. A
message is a prelude (length of the message, length of its headers, CRC32 of these eight bytes), headers, payload and the
CRC32 of everything before it; numbers are big-endian.
"""

from collections.abc import Iterator
from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812 - it is a class
from zlib import crc32

from msgspec import Struct

from switchgear.errors import ResponseTooLarge

_MIB = 1024 * 1024
_PRELUDE = Layout(">III")
_WORD = Layout(">I")
_SHORT = Layout(">H")
_OVERHEAD = _PRELUDE.size + _WORD.size
_BOOLEANS = (0, 1)
_FIXED = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7
_MOST_HEADERS = 64
"""Header blocks remembered for one stream; a well-behaved one has about eight that differ."""


class CorruptStream(Exception):
    """What came is not an event stream: a checksum, a length or a header is wrong."""


class Message(Struct, frozen=True, gc=False):
    """One message: its string headers (`:message-type`, `:event-type`, …) and its payload."""

    headers: dict[str, str]
    payload: bytes


def read_headers(block: bytes) -> dict[str, str]:
    """Decode a header block; headers that are not strings are passed over. Raises `CorruptStream`."""
    headers: dict[str, str] = {}
    at, end = 0, len(block)
    try:
        while at < end:
            size = block[at]
            name = block[at + 1 : at + 1 + size].decode()
            at += 1 + size
            kind = block[at]
            at += 1
            if kind in (_BYTES, _STRING):
                (size,) = _SHORT.unpack_from(block, at)
                at += 2
                if kind == _STRING:
                    headers[name] = block[at : at + size].decode()
                at += size
            elif kind not in _BOOLEANS:
                at += _FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError, LayoutError):
        raise CorruptStream("a header is malformed") from None
    if at != end:
        raise CorruptStream("the headers are longer than was said")
    return headers


class EventStreamParser:
    """Reads one stream. `max_message` is bytes; AWS allows more, nothing it sends here comes near it."""

    __slots__ = ("_buffer", "_headers", "_max", "_need")

    def __init__(self, max_message: int = _MIB) -> None:
        self._buffer = bytearray()
        self._need = _PRELUDE.size  # bytes without which the buffer says nothing new
        self._headers: dict[bytes, dict[str, str]] = {}
        self._max = max_message

    @property
    def pending(self) -> bool:
        """Whether the stream, if it ended now, would end inside a message."""
        return bool(self._buffer)

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Take a piece; yield the messages it completes, each as soon as it is checked.

        Raises `CorruptStream`, and `ResponseTooLarge` for a message over the cap as soon as its prelude says so.
        """
        if self._buffer:
            self._buffer += piece
            if len(self._buffer) < self._need:
                return
            piece = bytes(self._buffer)
        at, end = 0, len(piece)
        try:
            while end - at >= _PRELUDE.size:
                total, head, checksum = _PRELUDE.unpack_from(piece, at)
                if crc32(piece[at : at + 8]) != checksum:
                    raise CorruptStream("the checksum of a prelude is wrong")
                if total > self._max:
                    raise ResponseTooLarge(f"one message of the event stream is larger than {self._max} bytes")
                if total < _OVERHEAD + head:
                    raise CorruptStream("a message is shorter than its parts")
                if end - at < total:
                    self._need = total
                    return
                begin, at = at, at + total
                if crc32(piece[begin : at - 4]) != _WORD.unpack_from(piece, at - 4)[0]:
                    raise CorruptStream("the checksum of a message is wrong")
                payload = begin + _PRELUDE.size + head
                yield Message(self._read_headers(piece[begin + _PRELUDE.size : payload]), piece[payload : at - 4])
            self._need = _PRELUDE.size
        finally:
            self._buffer = bytearray(piece[at:])

    def _read_headers(self, block: bytes) -> dict[str, str]:
        # The same few blocks come again and again; reading one costs more than finding it.
        found = self._headers.get(block)
        if found is None:
            if len(self._headers) >= _MOST_HEADERS:
                self._headers.clear()
            found = self._headers[block] = read_headers(block)
        return found
