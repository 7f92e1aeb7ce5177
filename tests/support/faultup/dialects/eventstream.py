"""AWS's binary event stream: one message is a prelude with its CRC, headers, a payload and a CRC of everything.

Wire: docs.aws.amazon.com/transcribe/latest/dg/event-stream.html ("Event stream encoding"), the same for Bedrock.
"""

import struct
import zlib
from collections.abc import Iterator

_STRING = 7


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Encode one message whose headers are all strings."""
    packed = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return head + struct.pack(">I", zlib.crc32(head))


def frames(data: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """Decode whole messages. Raises ValueError for a bad CRC, a header that is not a string, or a message cut short."""
    while data:
        if len(data) < 16:
            raise ValueError("cut short")
        total, size, crc = struct.unpack(">III", data[:12])
        if crc != zlib.crc32(data[:8]):
            raise ValueError("bad prelude CRC")
        if len(data) < total:
            raise ValueError("cut short")
        if struct.unpack(">I", data[total - 4 : total])[0] != zlib.crc32(data[: total - 4]):
            raise ValueError("bad message CRC")
        yield _headers(data[12 : 12 + size]), data[12 + size : total - 4]
        data = data[total:]


def _headers(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        length = data[0]
        name, kind = data[1 : 1 + length].decode(), data[1 + length]
        if kind != _STRING:
            raise ValueError(f"header {name} is of type {kind}")
        at = 2 + length
        (size,) = struct.unpack(">H", data[at : at + 2])
        found[name] = data[at + 2 : at + 2 + size].decode()
        data = data[at + 2 + size :]
    return found
