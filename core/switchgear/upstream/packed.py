"""Answers that a peer compressed although nobody asked: unpacked piece by piece, within the bounds of what reads them."""

from collections.abc import Callable

from switchgear.compressed import DAMAGED, Compressed, begin, begins, coding_name
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import ConnectionBroken, ResponseTooLarge

_PIECE = 64 * 1024
_OF_PACKING = (b"content-encoding", b"content-length")


def unpacked(response: UpstreamResponse) -> UpstreamResponse:
    """Return an answer whose body is not compressed; one of an encoding that is not known comes back as it is."""
    encoding = response.header("content-encoding")
    name = coding_name(encoding) if encoding is not None else None
    return response if name is None else Unpacked(response, name)


class Unpacked:
    """An answer unpacked as it is read, at most 64 KiB at a time: what is left waits in its packed form."""

    def __init__(self, packed: UpstreamResponse, coding: str) -> None:
        self._packed = packed
        self._coding = coding
        self._stream: Compressed | None = None
        self._rest = b""
        self._is_over = False
        self.status = packed.status

    def header(self, name: str) -> str | None:
        """Return a header of what is left when the packing is gone."""
        return None if name.lower().encode() in _OF_PACKING else self._packed.header(name)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header lines of what is left when the packing is gone."""
        return [line for line in self._packed.headers() if line[0].lower() not in _OF_PACKING]

    async def read(self) -> bytes | None:
        """Return the next piece. Raises `ConnectionBroken` for one that cannot be unpacked."""
        while True:
            if not self._rest and (self._stream is None or self._stream.is_hungry):
                packed = await self._packed.read()
                if packed is None and self._stream is not None:
                    raise ConnectionBroken("the provider's answer ended before what was packed in it did")
                if packed is None:
                    return None
                if self._is_over:
                    continue
                self._rest = packed
            if piece := self._next():
                return piece

    def _next(self) -> bytes:
        given, self._rest = self._rest, b""
        try:
            if self._stream is None:
                self._stream = begin(self._coding, given)
            piece = self._stream.take(given, _PIECE)
        except DAMAGED:
            raise ConnectionBroken("the provider's answer says content-encoding, and cannot be unpacked") from None
        if self._stream.eof:  # another member, or frame, may follow
            rest, self._stream = self._stream.unused_data, None
            self._is_over = bool(rest) and not begins(self._coding, rest)
            self._rest = b"" if self._is_over else rest
        return piece

    def whole(self, limit: int) -> None:
        """Return None: what has arrived is still to be unpacked."""

    async def body(self, limit: int, on_piece: Callable[[], None] | None = None) -> bytes:
        """Return the rest of the body. Raises `ResponseTooLarge` as soon as it passes `limit` bytes."""
        found = bytearray()
        while (piece := await self.read()) is not None:
            found += piece
            if len(found) > limit:
                raise ResponseTooLarge(f"the provider's answer is larger than {limit} bytes when it is unpacked")
            if on_piece is not None:
                on_piece()
        return bytes(found)

    async def close(self) -> None:
        """Give the connection back."""
        await self._packed.close()
