"""A closed loop of a number of requests, not of a time: what is counted by the request needs no clock."""

import re
import selectors
import socket

import load
from contenders.base import Target, Unavailable

CONNECTIONS = 16
QUIET_S = 60
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def drive(port: int, target: Target, count: int, *, size: int = 0, stream: bool = False) -> None:
    """Ask `count` times over a few connections. Raises `Unavailable` for an answer that is not a whole 200."""
    body = load.request_body(target.model, stream=stream, size=size)
    request = load.request(port, target.path, target.headers, body)
    left = count
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(min(CONNECTIONS, count)):
                client = socket.create_connection(("127.0.0.1", port), timeout=QUIET_S)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(client, selectors.EVENT_READ, bytearray())
                client.sendall(request)
                left -= 1
            done = 0
            while done < count:
                ready = selector.select(QUIET_S)
                if not ready:
                    raise Unavailable(f"no answer in {QUIET_S} s after {done} of {count}")
                for key, _ in ready:
                    client, seen = key.fileobj, key.data
                    seen += client.recv(262_144)
                    if _whole(seen):
                        seen.clear()
                        done += 1
                        if left:
                            client.sendall(request)
                            left -= 1
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()


def _whole(seen: bytearray) -> bool:
    """Say whether an answer is complete. Raises `Unavailable` when it is not 200."""
    head = seen.find(b"\r\n\r\n")
    if head < 0:
        if not seen:
            raise Unavailable("a connection was closed without an answer")
        return False
    if not seen.startswith(b"HTTP/1.1 200"):
        raise Unavailable(f"an answer is wrong: {bytes(seen[:400])!r}")
    if (length := _LENGTH.search(seen, 0, head)) is not None:
        return len(seen) >= head + 4 + int(length[1])
    return seen.endswith(b"0\r\n\r\n")
