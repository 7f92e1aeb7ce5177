"""Counters that any number of gateways share through Redis: what they ask at one moment goes there as one script.

The script (`counters.lua`) is the whole arithmetic, on Redis's clock and at once, so that a limit holds whoever asks.
A call whose answer does not come may have been done or not: settling it is safe either way, as everything goes by id.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear_plugins.redis.link import Link, Script

SCRIPT = files("switchgear_plugins.redis").joinpath("counters.lua").read_text()
SORTS = frozenset({"window", "slots", "bucket", "period"})
_MOST_AT_ONCE = 256
"""Steps of one script, so that none holds Redis for long."""

_MOST_KNOWN = 4096
"""Sequences of buckets that are kept packed."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_Step = tuple[Any, ...]


class RedisCounters:
    """The counters. `clock` gives the time in microseconds since 1970; None: Redis's own."""

    sorts = SORTS

    def __init__(self, link: Link, prefix: str, clock: Callable[[], int] | None = None) -> None:
        self._link = link
        self._prefix = prefix
        self._clock = clock
        self._waiting: deque[tuple[_Step, asyncio.Future[Any]]] = deque()
        self._work: asyncio.Task[None] | None = None
        self._known: dict[int, tuple[Sequence[Bucket], msgspec.Raw]] = {}

    async def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        """Take from every bucket or from none."""
        if not buckets:
            return Decision(())
        answer = await self._ask(("reserve", id, self._packed(buckets), _us(lease_s)))
        if answer[0] == "error":
            raise ValueError(f"the id {id} holds a reservation of other buckets: take an id of your own")
        refused, wait_s, rooms = answer
        if refused == 0:
            return Decision(_rooms(rooms))
        return Decision(_rooms(rooms), refused - 1, wait_s)

    def settle(self, id: str, actual: Sequence[int] | None = None) -> Awaitable[None]:
        """Give slots back and correct the rest."""
        return self._settle(id, actual)

    async def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        """Say how the buckets stand."""
        return _rooms((await self._ask(("peek", self._packed(buckets))))[0]) if buckets else ()

    async def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        """Replace what was counted, once per epoch."""
        if bucket.sort not in {"window", "period"}:
            raise ValueError(f"a bucket of the sort `{bucket.sort}` cannot be seeded")
        await self._ask(("seed", _plain([bucket])[0], epoch, total))

    async def _settle(self, id: str, actual: Sequence[int] | None) -> None:
        answer = await self._ask(("settle", id, False if actual is None else list(actual)))
        if answer:
            raise ValueError(f"{answer[2]} buckets were reserved and {len(actual or ())} amounts given")

    def _packed(self, buckets: Sequence[Bucket]) -> msgspec.Raw:
        """Return buckets as the script reads them. Those of one principal are the same at each of its requests."""
        known = self._known.get(id(buckets))
        if known is not None and known[0] is buckets:
            return known[1]
        packed = _text(_pack(_plain(buckets)))
        if isinstance(buckets, tuple):  # nobody changes it, and its id is its own while it is kept
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[id(buckets)] = (buckets, packed)
        return packed

    def _ask(self, step: _Step) -> Awaitable[Any]:
        """Have a step done with the others that wait; one script is on its way at a time, so that steps keep their order."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, done))
        if self._work is None:
            self._work = asyncio.create_task(self._send())
        return done

    async def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
            try:
                answers = _unpack(await self._link.run(self._script([step for step, _ in batch])))
            except Exception as error:  # noqa: BLE001 - whoever waits gets it
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), answer in zip(batch, answers, strict=True):
                if not done.done():  # somebody waits still
                    done.set_result(answer)
        self._work = None

    def _script(self, steps: list[_Step]) -> Script:
        now_us = 0 if self._clock is None else self._clock()
        return Script(SCRIPT, (self._prefix,), (now_us, _pack(steps)))


def _plain(buckets: Sequence[Bucket]) -> list[tuple[Any, ...]]:
    found = []
    for it in buckets:
        if it.sort not in SORTS:
            raise ValueError(f"no bucket of the sort `{it.sort}` is known here")
        if it.sort == "period" and it.start_us is None:
            raise ValueError(f"the bucket {it.key} is a period and has no start_us")
        burst = it.limit if it.burst is None else it.burst
        start_us = -1 if it.start_us is None else it.start_us
        epoch = False if it.epoch is None else it.epoch
        found.append((it.key, it.sort, it.limit, it.amount, _us(it.period_s), burst, start_us, epoch, it.keeps))
    return found


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _text(data: bytes) -> msgspec.Raw:
    """Return MessagePack of these bytes as a text, which is all that Redis knows of strings."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


def _rooms(found: Sequence[Any]) -> tuple[Room, ...]:
    return tuple([Room(int(found[at]), float(found[at + 1]), found[at + 2]) for at in range(0, len(found), 3)])
