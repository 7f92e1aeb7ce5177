"""Many streams at once, each event awaited: what wrk cannot measure, the time to the first event.

`streams.run` drives `python streams.py`, which reads what to do from its standard input, says `begun` and `ended` around the
time that counts, and prints what it found. Each connection asks again as soon as its stream has ended; they begin one
after another over the length of a stream, so that no moment is unlike the next.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import load
import msgspec
import upstream
import uvloop
from figures import Load

_WORDS = re.compile(rb"tok(\d\d) ")
_SIZE = re.compile(rb"\r\ncontent-length: ", re.IGNORECASE)
EXPECTED = [b"%02d" % number for number in range(len(upstream.WORDS))]


class Order(msgspec.Struct, frozen=True):
    """What to ask, and for how long."""

    port: int
    request: bytes
    connections: int
    ramp_s: float
    seconds: float
    patience_s: float


def run(
    port: int,
    request: bytes,
    how: Load,
    *,
    seconds: float,
    core: int,
    begun: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
) -> load.Found:
    """Keep `how.connections` streams open for `seconds`; the latencies are those to the first event.

    `begun` and `ended` are called when the time that counts begins and ends. Raises RuntimeError when it does not run.
    """
    length_s = how.every_ms * (upstream.CHUNKS + 1) / 1000
    order = Order(port, request, how.connections, max(1.0, length_s), seconds, length_s + 20)
    limit = order.ramp_s + seconds + order.patience_s + 20
    argv = ["timeout", "-s", "KILL", f"{limit:.0f}", "taskset", "-c", str(core), sys.executable, __file__]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        for expected, act in ((b"begun", begun), (b"ended", ended)):
            if process.stdout.readline().strip() != expected:
                raise RuntimeError(f"streams.py ended before it had {expected.decode()}")
            act()
        return msgspec.json.decode(process.stdout.readline(), type=load.Found)


class Counts:
    """What came of the streams; `counting` while the time that counts runs."""

    def __init__(self) -> None:
        self.counting = False
        self.asking = True
        self.events = self.requests = self.failed = self.checked = self.bad = 0
        self.first_us: list[int] = []
        self.sample = ""


class Client(asyncio.Protocol):
    """One connection and its streams, one after another."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, counts: Counts, gone: Callable[["Client"], None]) -> None:
        self._request, self._counts, self._gone = request, counts, gone
        self._answer = bytearray()
        self._asked_at = 0.0
        self._waits = False
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self.busy = self._waits = True
        self._answer.clear()
        self._asked_at = time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        counts = self._counts
        self._answer += data
        if self._waits and b"data: " in self._answer:
            self._waits = False
            if counts.counting:
                counts.first_us.append(round((time.perf_counter() - self._asked_at) * 1e6))
        if counts.counting:
            counts.events += data.count(b"data: ")
        if self._answer.endswith(b"\r\n0\r\n\r\n") or _SIZE.search(self._answer):
            self._end()

    def _end(self) -> None:
        counts = self._counts
        self.busy = False
        counts.checked += 1
        counts.requests += counts.counting
        head, _, body = bytes(self._answer).partition(b"\r\n\r\n")
        body = _dechunked(body)
        whole = head.startswith(b"HTTP/1.1 200") and body.rstrip().endswith(b"data: [DONE]")
        if not whole or _WORDS.findall(body) != EXPECTED:
            counts.bad += 1
            counts.sample = counts.sample or (head.partition(b"\r")[0] + b" " + body[-300:]).decode(errors="replace")
            self.transport.close()  # and no more from this connection: a refusal would be asked for as fast as it comes
        elif counts.asking:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self._counts.failed += 1
        self.busy = False
        self._gone(self)


def _dechunked(body: bytes) -> bytes:
    parts, at = [], 0
    while (line := body.find(b"\r\n", at)) > 0:
        try:
            size = int(body[at:line], 16)
        except ValueError:
            return body  # it was not chunked
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 4 + size
    return b"".join(parts)


async def ask(order: Order) -> load.Found:
    """Do what is ordered."""
    loop = asyncio.get_running_loop()
    counts, clients = Counts(), set[Client]()
    for number in range(order.connections):
        began = loop.time()
        try:
            connected = loop.create_connection(
                lambda: Client(order.request, counts, clients.discard), "127.0.0.1", order.port
            )
            clients.add((await connected)[1])
        except OSError:
            counts.failed += 1
        if number + 1 < order.connections:
            await asyncio.sleep(max(0, order.ramp_s / order.connections - (loop.time() - began)))
    print("begun", flush=True)
    counts.counting, began = True, loop.time()
    await asyncio.sleep(order.seconds)
    counts.counting, took = False, loop.time() - began
    print("ended", flush=True)
    counts.asking = False
    until = loop.time() + order.patience_s
    while any(client.busy for client in clients) and loop.time() < until:  # noqa: ASYNC110 - a bounded wait at the end
        await asyncio.sleep(0.05)
    counts.failed += sum(client.busy for client in clients)
    first = sorted(counts.first_us) or [0]
    return load.Found(
        seconds=took,
        requests=counts.requests,
        failed=counts.failed,
        checked=counts.checked,
        bad=counts.bad,
        p50_us=first[len(first) // 2],
        p99_us=first[len(first) * 99 // 100],
        sample=counts.sample,
        events=counts.events,
    )


if __name__ == "__main__":
    found = uvloop.run(ask(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))
    print(json.dumps(msgspec.to_builtins(found)), flush=True)
