"""A client that calls at a steady rate whatever becomes of its calls (open loop), and what came of them.

async with Load(gateway.port, gateway.key) as load:
    calls = await load.offer(200, 2000, model="c")
assert 1.0 == share(calls, 200)
p99 = percentile([call.latency_s for call in calls], 99)
"""

import asyncio
import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from msgspec import Struct

from support.http1 import Answer, request_bytes

CHAT = "/v1/chat/completions"
MOST_LATE_S = 0.05
"""How far the calls may be behind their time before those to come are put off."""
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Members = Callable[[int], Mapping[str, Any]]


async def _prompt(loop: asyncio.AbstractEventLoop) -> None:
    """Wait, for two seconds at most, until a loop has done what there was to do."""
    give_up_at = loop.time() + 2.0
    while (began := loop.time()) < give_up_at:
        await asyncio.sleep(0.01)
        if loop.time() - began < 0.01 + MOST_LATE_S / 2:
            return


class Called(Struct, frozen=True):
    """One call. `due_s` is when it was due, seconds since the first was; `latency_s` counts from there, so that a client that was
    late itself hides nothing. `status` is 0 where the connection failed; `whole` says whether the answer has its framing's end.
    """

    number: int
    due_s: float
    latency_s: float
    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def attempts(self) -> int:
        return int(self.headers.get("x-switchgear-attempts", "0"))

    @property
    def model(self) -> str:
        return self.headers.get("x-switchgear-model", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Load:
    """Calls over connections of its own, which are kept and grow with what is in flight. Arrivals are by chance (`seed`)."""

    def __init__(self, port: int, key: str, *, seed: int = 0) -> None:
        self._port = port
        self._auth = {"authorization": f"Bearer {key}"}
        self._chance = random.Random(seed)
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop()[1].transport.abort()

    async def offer(self, rate: float, count: int, each: Members | None = None, **members: Any) -> list[Called]:
        """Make `count` calls at `rate` a second and wait for all of them; in order. `each` gives members of one call.

        The loop is the gateway's and the upstreams' too: while it does not get its turns, no call is due, or the machine would
        be asked for ever more of what it does not have.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        due = 0.0
        calls = []
        for number in range(count):
            if (early := began + due - loop.time()) > 0:
                await asyncio.sleep(early)
            elif -early > MOST_LATE_S:
                await _prompt(loop)
                due = loop.time() - began
            body = {**members, **(each(number) if each else {})}
            calls.append(asyncio.create_task(self.call(body, number, began, due)))
            due += self._chance.expovariate(rate)
        return list(await asyncio.gather(*calls))

    async def at_once(self, bodies: Iterable[Mapping[str, Any]], *, width: int, path: str = CHAT) -> list[Called]:
        """Make all calls, `width` at a time; in order."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        todo = iter(enumerate(bodies))
        done: list[Called] = []

        async def one_after_another() -> None:
            for number, body in todo:
                done.append(await self.call(body, number, began, loop.time() - began, path=path))

        await asyncio.gather(*(one_after_another() for _ in range(width)))
        return sorted(done, key=lambda call: call.number)

    async def call(
        self, members: Mapping[str, Any], number: int, began: float, due: float, *, path: str = CHAT
    ) -> Called:
        """Make one call, which was due `due` seconds after `began`; a chat says its number unless `members` say otherwise."""
        said = {"messages": [{"role": "user", "content": f"call {number}"}]} if path == CHAT else {}
        body = {"model": "m", **said, **members}
        answer = Answer()
        connection = None
        try:
            connection = await self._take()
            connection[1].write(request_bytes(body, path=path, headers=self._auth))
            while not answer.whole:
                data = await connection[0].read(65_536)
                if not data:
                    answer.ended(reset=False)
                    break
                answer.feed(data)
        except ConnectionError:
            answer.ended(reset=True)
        finally:
            if connection is not None:
                self._give_back(connection, answer)
        latency = asyncio.get_running_loop().time() - began - due
        return Called(number, due, latency, answer.status, answer.headers, answer.body, answer.whole)

    async def _take(self) -> _Connection:
        while self._idle:
            found = self._idle.pop()
            if not found[0].at_eof() and not found[1].is_closing():
                return found
            found[1].transport.abort()
        return await asyncio.open_connection("127.0.0.1", self._port)

    def _give_back(self, connection: _Connection, answer: Answer) -> None:
        if answer.whole and answer.headers.get("connection") != "close" and not connection[0].at_eof():
            self._idle.append(connection)
        else:
            connection[1].transport.abort()


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that `percent` of all are at or below (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def share(calls: Iterable[Called], *statuses: int) -> float:
    """Return the part of the calls that were answered whole, with one of these statuses."""
    all_calls = list(calls)
    return sum(call.whole and call.status in statuses for call in all_calls) / len(all_calls)


def ms(seconds: float) -> str:
    """Show seconds as a figure."""
    return f"{seconds * 1000:.1f} ms"


def percent(part: float) -> str:
    """Show a part of one as a figure."""
    return f"{part * 100:.2f} %"
