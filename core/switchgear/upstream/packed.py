"""Answers that a peer compressed although nobody asked: unpacked piece by piece, within the bounds of what reads them."""

import zlib
from collections.abc import Callable

from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import ConnectionBroken, ResponseTooLarge

_PIECE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_OF_PACKING = (b"content-encoding", b"content-length")
_KNOWN = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def unpacked(response: UpstreamResponse) -> UpstreamResponse:
    """Return an answer whose body is not compressed; one of an encoding that is not known comes back as it is."""
    encoding = response.header("content-encoding")
    window = _KNOWN.get(encoding.strip().lower()) if encoding is not None else None
    return response if window is None else Unpacked(response, window)


class Unpacked:
    """An answer unpacked as it is read, at most 64 KiB at a time: what is left waits in its packed form."""

    def __init__(self, packed: UpstreamResponse, window: int) -> None:
        self._packed = packed
        self._unpacker = zlib.decompressobj(window)
        self._rest = b""
        self._begun = False
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
            packed: bytes | None = self._rest
            if not packed:
                if self._unpacker.eof:
                    return None
                packed = await self._packed.read()
                if packed is None:
                    if not self._begun:
                        return None  # nothing at all needs no packing
                    raise ConnectionBroken("the provider's answer ended before what was packed in it did")
            self._begun = True
            try:
                piece = self._unpacker.decompress(packed, _PIECE)
            except zlib.error:
                raise ConnectionBroken("the provider's answer says content-encoding, and cannot be unpacked") from None
            self._rest = self._unpacker.unconsumed_tail
            if piece:
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
