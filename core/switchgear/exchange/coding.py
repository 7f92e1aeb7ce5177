"""Bodies that come compressed (`content-encoding`, RFC 9110 section 8.4), unpacked within bounds on size and ratio."""

import asyncio
from collections.abc import Callable, Mapping
from io import BytesIO

from switchgear.compressed import DAMAGED, Compressed, begin, coding_name
from switchgear.errors import InvalidRequest, PayloadTooLarge, UnsupportedMedia

SPOKEN = b"gzip, deflate, zstd"
_RATIO = 100
"""So many times its packed size may a body be, beyond a first piece: text repeats itself less, bombs far more."""
_FREE = 1024 * 1024
_PIECE = 256 * 1024
_SLICE = 64 * 1024
_MOST_MEMBERS = 4096
"""Of one body, each a stream of its own: tools that pack in parallel make one for every 64 KiB or more."""
_AT_ONCE = 32 * 1024
"""A packed body longer than this is unpacked in a thread; and so is what is left of a shorter one after its first piece."""


def coding_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return what the body is compressed with, None for nothing. Raises `UnsupportedMedia` unless it is JSON."""
    if headers.get(b"content-type", b"json").find(b"json") < 0:
        raise UnsupportedMedia("The request body must be JSON (`content-type: application/json`).")
    return headers.get(b"content-encoding")


class Unpacker:
    """Unpacks one body that comes in pieces. Raises `UnsupportedMedia` for a coding that is not spoken here.

    `limit` is how many bytes it may have unpacked.
    """

    def __init__(self, coding: bytes, limit: int) -> None:
        name = coding_name(coding.decode("latin-1"))
        if name is None:
            shown = coding[:32].decode("latin-1")
            message = f"The content-encoding `{shown}` is not spoken here; use one of {SPOKEN.decode()}, or none."
            raise UnsupportedMedia(message, param="content-encoding", code="unsupported_content_encoding")
        self._name = name
        self._limit = limit
        self._stream: Compressed | None = None
        self._fed = memoryview(b"")
        self._data = b""
        self._members = 0
        self._packed = 0
        self._unpacked = 0

    def feed(self, data: bytes) -> None:
        """Take a piece of the packed body. All of the last one must have been unpacked by `take`."""
        self._packed += len(data)
        self._fed = memoryview(data)

    def take(self) -> bytes:
        """Return the next piece of what was fed, empty when there is no more. Raises `PayloadTooLarge`, `InvalidRequest`."""
        while True:
            stream = self._stream
            if not self._data and self._fed and (stream is None or stream.is_hungry):
                # A little at a time: what is left over of it is copied for each piece that comes out, and each member.
                self._data, self._fed = bytes(self._fed[:_SLICE]), self._fed[_SLICE:]
            if stream is None:
                if not self._data:
                    return b""
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    message = f"The request body is packed in more than {_MOST_MEMBERS} members."
                    raise PayloadTooLarge(message, code="compression_ratio_exceeded")
                stream = self._stream = begin(self._name, self._data)
            data, self._data = self._data, b""
            if not data and stream.is_hungry:
                return b""
            try:
                found = stream.take(data, _PIECE)
            except DAMAGED as error:
                raise self._broken("is not") from error
            if stream.eof:  # another member, or frame, may follow
                self._data, self._stream = stream.unused_data, None
            if found:
                return self._counted(found)

    def end(self) -> None:
        """Check that the packed body was whole."""
        if self._stream is not None:
            raise self._broken("ends before its end as")

    def _counted(self, found: bytes) -> bytes:
        self._unpacked += len(found)
        if self._unpacked > self._limit:
            message = f"The request body is larger than {self._limit} bytes when it is unpacked."
            raise PayloadTooLarge(message, code="body_too_large")
        if self._unpacked > _FREE + self._packed * _RATIO:
            message = f"The request body is more than {_RATIO} times as large when it is unpacked."
            raise PayloadTooLarge(message, code="compression_ratio_exceeded")
        return found

    def _broken(self, how: str) -> InvalidRequest:
        message = f"The request body {how} {self._name}, which its content-encoding says it is."
        return InvalidRequest(message, param="content-encoding", code="invalid_content_encoding")


async def unpack(body: bytes, coding: bytes, limit: int, hold: Callable[[int], None]) -> bytes:
    """Return a whole body unpacked; `identity` is as it is. A large one is unpacked in a thread. Raises as `Unpacker`.

    `hold` is told of the bytes there are more by now, and may refuse them by what it raises.
    """
    if coding.strip().lower() in (b"identity", b""):
        return body
    unpacker = Unpacker(coding, limit)
    unpacker.feed(body)
    found = BytesIO()
    is_short = len(body) <= _AT_ONCE
    while piece := (unpacker.take() if is_short and found.tell() < _PIECE else await asyncio.to_thread(unpacker.take)):
        hold(len(piece))
        found.write(piece)
    unpacker.end()
    return found.getvalue()
