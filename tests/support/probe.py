"""Good traffic beside a fault: a steady trickle of requests over kept connections, and how long each answer took."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from support.http1 import Answer, request_bytes


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that `part` of the others do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Probe:
    """What became of the requests so far: `seconds` each answer took, and how many had which status."""

    def __init__(self, port: int, key: str, body: Any) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._request = request_bytes(body, headers={"authorization": f"Bearer {key}"})

    @property
    def p50_ms(self) -> float:
        return quantile(self.seconds, 0.5) * 1e3

    @property
    def p99_ms(self) -> float:
        return quantile(self.seconds, 0.99) * 1e3

    async def ask(self, count: int | None = None, *, every_s: float = 0.0) -> None:
        """Ask one after another on one connection, `count` times or until cancelled."""
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while count is None or count > 0:
                began = loop.time()
                answer = Answer()
                writer.write(self._request)
                while not answer.whole:
                    data = await reader.read(65_536)
                    assert data, f"the connection ended: {answer.raw!r}"
                    answer.feed(data)
                self.seconds.append(loop.time() - began)
                self.statuses[answer.status] += 1
                count = count if count is None else count - 1
                await asyncio.sleep(every_s)
        finally:
            writer.transport.abort()


async def measured(port: int, key: str, body: Any, *, count: int = 300) -> Probe:
    """Ask `count` times over two connections."""
    probe = Probe(port, key, body)
    await asyncio.gather(probe.ask(count // 2), probe.ask(count - count // 2))
    return probe


@asynccontextmanager
async def probing(port: int, key: str, body: Any, *, every_s: float = 0.01) -> AsyncIterator[Probe]:
    """Ask steadily over two connections while the block runs; a request that fails to be answered fails it."""
    probe = Probe(port, key, body)
    asking = [asyncio.create_task(probe.ask(every_s=every_s)) for _ in range(2)]
    try:
        yield probe
    finally:
        for task in asking:
            task.cancel()
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
