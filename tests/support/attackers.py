"""Many clients of ill will, in threads of their own, and somebody who looks meanwhile how the gateway bears them."""

import asyncio
import contextlib
import http.client
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from support.daemon import Daemon
from support.stopwatch import Stopwatch

_AT_ONCE = 64
_PIECE = 256 * 1024


def head(key: str, length: int, path: str = "/v1/chat/completions") -> bytes:
    """Return the head of a request with a body of JSON."""
    lines = (f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}", f"content-length: {length}", "", "")
    return "\r\n".join(lines).encode()


def send(port: int, key: str, body: bytes) -> str:
    """Send a request as fast as it is taken, until there is an answer; return its status and code."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(head(key, len(body)))
            for at in range(0, len(body), _PIECE):
                sock.sendall(body[at : at + _PIECE])
                sock.setblocking(False)
                try:
                    if sock.recv(1, socket.MSG_PEEK):
                        break
                except BlockingIOError:
                    pass
                finally:
                    sock.settimeout(60)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(65_536):
                answer += piece
                if b'"code":' in answer or b"chat.completion" in answer:
                    break
    code = answer.partition(b'"code":"')[2].partition(b'"')[0].decode()
    return f"{answer[9:12].decode()} {code}".strip()


async def all_send(gateway: Daemon, key: str | Sequence[str], body: bytes, count: int) -> Counter[str]:
    """Send one request from each of so many clients, 64 at a time, with the keys in turn; return how they were answered."""
    loop = asyncio.get_running_loop()
    keys = [key] if isinstance(key, str) else key
    with ThreadPoolExecutor(min(count, _AT_ONCE)) as pool:
        answers = [
            loop.run_in_executor(pool, send, gateway.port, keys[number % len(keys)], body) for number in range(count)
        ]
        return Counter(await asyncio.gather(*answers))


@asynccontextmanager
async def sink(wait_s: float) -> AsyncIterator[str]:
    """Be a provider that passes over what it is sent, and answers so many seconds later; return its base URL."""
    answer = (
        b'{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ok"}}]}'
    )
    lines = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            left = int(
                (await reader.readuntil(b"\r\n\r\n")).lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            )
            while left and (piece := await reader.read(_PIECE)):
                left -= len(piece)
            await asyncio.sleep(wait_s)
            writer.write(lines % len(answer) + answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@contextlib.contextmanager
def _asking(port: int, longest: list[float]) -> Iterator[None]:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            watch = Stopwatch()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/live")
            assert 200 == connection.getresponse().status
            connection.close()
            longest.append(watch.s)
            over.wait(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@asynccontextmanager
async def bearing(gateway: Daemon, most_mib: int, *, live_within_s: float = 1.0) -> AsyncIterator[None]:
    """Fail unless the gateway keeps within so much memory meanwhile, and goes on saying that it lives."""
    gateway.process.forget_peak()
    longest: list[float] = []
    with _asking(gateway.port, longest):
        yield
    assert gateway.process.peak_bytes() < most_mib << 20, f"{gateway.process.peak_bytes() / 2**20:.0f} MiB"
    assert max(longest) < live_within_s, f"{max(longest):.2f} s, {sorted(longest)[-5:]}"
