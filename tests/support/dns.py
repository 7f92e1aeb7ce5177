"""A name server on loopback that answers as a test tells it, and the ways to make a gateway ask it.

async with NameServer() as names:
    names.says["a.test"] = Known("127.0.0.1")
    async with running(tmp_path, lookup=names.lookup): ...          # the test's own process
    async with daemon(tmp_path, under=names.under(tmp_path)): ...   # a process whose /etc/resolv.conf names it; as root
"""

import asyncio
import os
import socket
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, cast

_HOST = "127.0.0.153"  # the port of a resolv.conf is always 53, which is free on an address that nobody else listens on
_A = 1
_PATIENCE_S = 5.0  # glibc's: so long for one answer, twice
_SHELL = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@dataclass(frozen=True)
class Known:
    """An answer: addresses, or a failure (`rcode` 2 SERVFAIL, 3 NXDOMAIN), after a while."""

    address: str | None = None
    rcode: int = 0
    after_s: float = 0.0
    ttl: int = 0


NXDOMAIN = Known(rcode=3)
SERVFAIL = Known(rcode=2)


@cache
def may_unshare() -> bool:
    """Say whether this process may give a child a resolv.conf of its own."""
    if os.geteuid() != 0:
        return False
    trial = ["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0


class NameServer(asyncio.DatagramProtocol):
    """Answers A questions over UDP; other types have no record. What nothing is said of does not exist."""

    def __init__(self) -> None:
        self.says: dict[str, Known] = {}
        self.asked: Counter[str] = Counter()
        self.address = _HOST, 0
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        port = 53 if may_unshare() else 0
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(_HOST, port))
        self.address = self._transport.get_extra_info("sockname")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        name, kind, question = _question(data)
        known = self.says.get(name, NXDOMAIN)
        if kind == _A:
            self.asked[name] += 1
        answer = _answer(data[:2], question, known if kind == _A or known.rcode else Known())
        asyncio.get_running_loop().call_later(known.after_s, self._send, answer, address)

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def under(self, directory: Path) -> list[str]:
        """Return what a command is put behind so that the system's own resolver asks here. Takes `may_unshare`."""
        conf = directory / "resolv.conf"
        conf.write_text(f"nameserver {_HOST}\noptions timeout:5 attempts:2\n")
        return ["unshare", "--mount", "sh", "-c", _SHELL, str(conf)]

    def lookup(self, host: str) -> list[str]:
        """Ask as a C library does, blocking its thread."""
        query = _query(host)
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_PATIENCE_S)
                sock.sendto(query, self.address)
                try:
                    data = sock.recv(512)
                except TimeoutError:
                    continue
            if data[3] & 15 or not data[7]:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [socket.inet_ntoa(data[-4:])]
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


def _query(host: str) -> bytes:
    name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
    return os.urandom(2) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", _A, 1)


def _question(data: bytes) -> tuple[str, int, bytes]:
    labels, at = [], 12
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), struct.unpack_from(">H", data, at + 1)[0], data[12 : at + 5]


def _answer(ident: bytes, question: bytes, known: Known) -> bytes:
    """Put an answer together (RFC 1035, section 4)."""
    records = b""
    if known.address is not None and not known.rcode:
        records = struct.pack(">HHHIH", 0xC00C, _A, 1, known.ttl, 4) + socket.inet_aton(known.address)
    return ident + struct.pack(">HHHHH", 0x8180 | known.rcode, 1, bool(records), 0, 0) + question + records
