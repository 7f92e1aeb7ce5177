"""Writes event streams, for tests: what AWS's specification of the format says, from the other end."""

import json
import struct
from pathlib import Path
from zlib import crc32

GOLDEN = Path(__file__).parent / "golden"


def header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(encoded)) + encoded


def message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


def event(name: str, body: object) -> bytes:
    headers = (
        header(":event-type", name) + header(":content-type", "application/json") + header(":message-type", "event")
    )
    return message(headers, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


def exception(name: str, body: object) -> bytes:
    kind = header(":exception-type", name) + header(":content-type", "application/json")
    return message(kind + header(":message-type", "exception"), json.dumps(body).encode())


def golden_stream(name: str, *, less: int = 0) -> bytes:
    """Read a recorded stream, `less` so many events: a line an event, `name<TAB>JSON`; a name that ends in Exception is one."""
    lines = (GOLDEN / "streams" / f"{name}.tsv").read_text().splitlines()
    lines = lines[: len(lines) - less]
    pairs = [line.split("\t", 1) for line in lines]
    return b"".join(
        (exception if kind.endswith("Exception") else event)(kind, json.loads(body)) for kind, body in pairs
    )
