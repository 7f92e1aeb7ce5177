"""An open-loop load generator: it asks at its own pace, whatever becomes of the answers.

    python openloop.py PORT PID RATE SECONDS CONNECTIONS < request

`request` is the bytes of one HTTP/1.1 request, RATE requests a second. Each goes out on a kept connection that waits for
nothing; when all wait, it is not sent and counted as `unsent`. Prints one JSON object: what came of them by status, the
latencies in milliseconds, sorted, by status, and the processor time that the process PID used meanwhile.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast

import uvloop

_PACE_S = 0.001


class Client(asyncio.Protocol):
    """One connection; `idle` is where it goes when it waits for nothing."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._asked_at = 0.0
        self._left = -1  # bytes of the answer to come; -1 before its head; -2 for a chunked one
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._load.idle.append(self)

    def ask(self, now: float) -> None:
        self._asked_at = now
        self._left = -1
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if self._left == -1:
            if self._seen:
                data = self._seen + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._seen = data
                return
            self._seen = b""
            self.status = int(data[9:12])
            at = data.find(b"content-length: ", 0, end + 2)
            if at < 0:
                self._left = -2
            else:
                self._left = end + 4 + int(data[at + 16 : data.find(b"\r\n", at)])
        if self._left == -2:
            if not data.endswith(b"0\r\n\r\n"):
                return
        else:
            self._left -= len(data)
            if self._left > 0:
                return
        asked_at, self._asked_at = self._asked_at, 0.0
        self._load.answered(self.status, asked_at)
        self._load.idle.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._asked_at:
            self._load.found["failed"] += 1
        elif self in self._load.idle:
            self._load.idle.remove(self)


class Load:
    """One run."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.idle: list[Client] = []
        self.found: Counter[str] = Counter()
        self.latencies: dict[int, list[float]] = {}

    def answered(self, status: int, asked_at: float) -> None:
        now = time.monotonic()
        self.found[str(status)] += 1
        self.latencies.setdefault(status, []).append(now - asked_at)

    async def run(self, port: int, pid: int, rate: float, seconds: float, connections: int) -> float:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: Client(self), "127.0.0.1", port)
        cpu = cpu_seconds(pid)
        began = time.monotonic()
        ends = began + seconds
        sent = 0
        while (now := time.monotonic()) < ends:
            for _ in range(int((now - began) * rate) - sent):
                sent += 1
                if self.idle:
                    self.idle.pop().ask(now)
                else:
                    self.found["unsent"] += 1
            await asyncio.sleep(_PACE_S)
        return cpu_seconds(pid) - cpu


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thinned(values: list[float]) -> list[float]:
    """Return so many of sorted values that their shares stay what they are and a pipe takes them at once."""
    return values[:: max(1, len(values) // 2000)]


def main(port: int, pid: int, rate: float, seconds: float, connections: int) -> None:
    gc.disable()  # nothing here makes cycles
    load = Load(sys.stdin.buffer.read())
    cpu = uvloop.run(load.run(port, pid, rate, seconds, connections))
    latencies = {status: thinned(sorted(round(s * 1e3, 2) for s in kept)) for status, kept in load.latencies.items()}
    sys.stdout.write(json.dumps({"found": load.found, "cpu_seconds": cpu, "latencies_ms": latencies}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
