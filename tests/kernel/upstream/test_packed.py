"""Answers that come compressed although nobody asked."""

import gzip
import zlib

import pytest
from backports import zstd

from switchgear.errors import ConnectionBroken, ResponseTooLarge
from switchgear.upstream.packed import unpacked


class Packed:
    def __init__(self, encoding: str | None, body: bytes, size: int = 7) -> None:
        self.status = 200
        self.complete = True
        self._encoding = encoding
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    def header(self, name: str) -> str | None:
        return self._encoding if name == "content-encoding" else None

    def headers(self) -> list[tuple[bytes, bytes]]:
        return []

    async def read(self) -> bytes | None:
        return self._pieces.pop(0) if self._pieces else None

    async def body(self, limit: int, on_piece: object = None) -> bytes:
        return b"".join(self._pieces)

    async def close(self) -> None:
        pass


TEXT = b"data: hello\n\n" * 50


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def in_two(data: bytes) -> bytes:
    return gzip.compress(data[:9]) + gzip.compress(data[9:])


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", in_two),
        ("gzip", lambda data: gzip.compress(data) + bytes(512)),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("zstd", zstd.compress),
        ("zstd", lambda data: zstd.compress(data[:9]) + zstd.compress(data[9:])),
    ],
)
async def test_what_is_packed_is_read_unpacked(encoding: str, pack) -> None:
    response = unpacked(Packed(encoding, pack(TEXT)))
    assert await response.body(10_000) == TEXT
    assert response.header("content-encoding") is None


async def test_a_bomb_is_too_large_and_never_unpacked_whole() -> None:
    response = unpacked(Packed("gzip", gzip.compress(b"x" * 50_000_000), 65_536))
    with pytest.raises(ResponseTooLarge):
        await response.body(1_000_000)
    piece = await unpacked(Packed("gzip", gzip.compress(b"x" * 50_000_000), 65_536)).read()
    assert piece is not None
    assert len(piece) <= 65_536


async def test_damage_is_a_broken_connection() -> None:
    with pytest.raises(ConnectionBroken):
        await unpacked(Packed("gzip", b"not gzip at all")).body(100)


@pytest.mark.parametrize("encoding", [None, "br", "identity"])
def test_others_come_as_they_are(encoding: str | None) -> None:
    packed = Packed(encoding, b"x")
    assert unpacked(packed) is packed


async def test_what_ends_early_is_no_whole_answer() -> None:
    with pytest.raises(ConnectionBroken):
        await unpacked(Packed("gzip", gzip.compress(TEXT)[:-9])).body(10_000)
    assert b"" == await unpacked(Packed("gzip", b"")).body(10)
