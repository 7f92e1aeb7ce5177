"""Compressed streams, taken up as their content coding says (RFC 9110 section 8.4): gzip, deflate, zstd."""

import sys
import zlib
from typing import Any, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAMAGED = (zlib.error, zstd.ZstdError)
"""What unpacking may raise."""
_KNOWN = frozenset({"gzip", "deflate", "zstd"})
_WINDOW_LOG = 23
"""Of zstd: 8 MiB, which RFC 9659 has receivers expect at most."""


def coding_name(coding: str) -> str | None:
    """Return the name of a content coding that can be unpacked, None for any other."""
    name = coding.strip().lower().removeprefix("x-")
    return name if name in _KNOWN else None


class Compressed(Protocol):
    """The state of one compressed stream."""

    @property
    def eof(self) -> bool:
        """Whether its end was seen."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""
        ...

    def take(self, data: bytes, most: int) -> bytes:
        """Unpack at most so many bytes; what is left over of `data` is kept."""
        ...

    @property
    def is_hungry(self) -> bool:
        """Whether nothing more comes without more data."""
        ...


class _Over:
    """A decompressor of the standard library: how all of them tell that a stream has ended."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)


class _Zlib(_Over):
    def __init__(self, bits: int) -> None:
        super().__init__(zlib.decompressobj(bits))
        self._full = False

    def take(self, data: bytes, most: int) -> bytes:
        found: bytes = self._inner.decompress(self._inner.unconsumed_tail + data, most)
        self._full = len(found) == most
        return found

    @property
    def is_hungry(self) -> bool:
        return not self._full and not self._inner.unconsumed_tail


class _Zstd(_Over):
    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG}
        super().__init__(zstd.ZstdDecompressor(options=options))

    def take(self, data: bytes, most: int) -> bytes:
        return bytes(self._inner.decompress(data, most))

    @property
    def is_hungry(self) -> bool:
        return bool(self._inner.needs_input)


def begin(name: str, data: bytes) -> Compressed:
    """Begin a stream of a coding, whose first bytes are these. Others may follow it: members of gzip, frames of zstd."""
    if name == "zstd":
        return _Zstd()
    if name == "gzip":
        return _Zlib(16 + zlib.MAX_WBITS)
    # It is zlib's format by the standard; some send the bare stream.
    is_zlib = data[0] & 15 == zlib.DEFLATED and (len(data) == 1 or (data[0] << 8 | data[1]) % 31 == 0)
    return _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def begins(name: str, data: bytes) -> bool:
    """Say whether data behind the end of a stream begins another stream of its coding; else it is padding."""
    magic = _MAGIC.get(name, b"")
    return bool(magic) and data[: len(magic)] == magic[: len(data)]


_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
