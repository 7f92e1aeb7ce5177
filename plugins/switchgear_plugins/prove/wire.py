"""One HTTP request over a connection of its own: what a proof needs of a client, which may go away in the middle."""

import asyncio
import json
from typing import Any

from msgspec import Struct

from switchgear.errors import SwitchgearError

_MOST = 4 * 1024 * 1024


class Unreached(SwitchgearError):
    """Nobody answered, or the answer broke off."""


class Heard(Struct, frozen=True):
    """An answer that came to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read; None for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The code of an error, empty where there is none."""
        body = self.json
        error = body.get("error") if isinstance(body, dict) else None
        return str((error or {}).get("code") or "") if isinstance(error, dict) else ""


class Address(Struct, frozen=True):
    """Where a gateway is: `http://host:port/path`."""

    host: str
    port: int
    path: str = ""


async def ask(
    where: Address,
    method: str,
    path: str,
    key: str,
    body: Any = None,
    *,
    within_s: float = 30.0,
    leave_after: int | None = None,
) -> Heard:
    """Ask, and return the whole answer. With `leave_after`, go away once so many bytes of it came. Raises `Unreached`."""
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {where.path}{path} HTTP/1.1\r\nhost: {where.host}:{where.port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
    )
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(where.host, where.port)
            writer.write(head.encode() + data)
            came = bytearray()
            while piece := await reader.read(65536):
                came += piece
                if len(came) > _MOST or (leave_after is not None and len(came) >= leave_after):
                    break
    except (OSError, TimeoutError) as error:
        raise Unreached(str(error) or "nothing came in time") from error
    finally:
        if writer is not None:
            writer.transport.abort()
    return _read(bytes(came))


def _read(came: bytes) -> Heard:
    head, end, rest = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not end or not first.startswith("HTTP/1."):
        raise Unreached("the connection was closed before an answer")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        rest = _unchunked(rest)
    elif len(rest) < int(headers.get("content-length", "0")):
        raise Unreached("the answer broke off")
    return Heard(int(first.split(" ", 2)[1]), headers, rest)


def _unchunked(data: bytes) -> bytes:
    found = bytearray()
    while True:
        size, end, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16) if end else -1
        if length < 0 or len(data) < length + 2:
            raise Unreached("the answer broke off")
        if not length:
            return bytes(found)
        found += data[:length]
        data = data[length + 2 :]
