"""Those who spend: clients that ask as fast as they are answered, of whom some go away in the middle of an answer."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from msgspec import Struct, field

from switchgear_plugins.prove.bill import LONGEST
from switchgear_plugins.prove.wire import Address, Heard, Unreached, ask

_LEAVE = 0.03
_REST_S = 0.3
_EXHAUSTED = "budget_exceeded"
_REFUSALS = frozenset({402, 403, 429})


class Spent(Struct):
    """What clients saw: ids of answers that came to their end, refusals, and how many calls did not get through."""

    acknowledged: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    calls: int = 0
    refused: int = 0
    broken: int = 0
    refused_in_a_row: int = 0
    codes: dict[str, int] = field(default_factory=dict)


class Clients:
    """So many at once. They share what they saw, and stop when told to."""

    def __init__(self, gateways: Sequence[Address], key: str, model: str, seed: int) -> None:
        self._gateways = gateways
        self._key = key
        self._model = model
        self._chance = Random(seed)  # noqa: S311 - a proof that can be repeated
        self._numbers = count()
        self.spent = Spent()
        self.stopping = False

    async def run(self, how_many: int, until: Callable[[], bool]) -> None:
        """Spend until it is to stop."""
        tasks = [asyncio.create_task(self._spend()) for _ in range(how_many)]
        while not until():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(_REST_S)
        self.stopping = True
        await asyncio.gather(*tasks)

    async def _spend(self) -> None:
        await asyncio.sleep(self._chance.random())
        while not self.stopping:
            number = next(self._numbers)
            if not await self._once(number):
                await asyncio.sleep(_REST_S * (1 + self._chance.random()))

    async def _once(self, number: int) -> bool:
        """Make one call; say whether another may come at once."""
        spent, chance = self.spent, self._chance
        stream = chance.random() < 0.5  # noqa: PLR2004 - one half
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": f"call-{number} say something"}],
            "max_tokens": LONGEST,
            "stream": stream,
        }
        leave = chance.randrange(200, 2000) if chance.random() < _LEAVE else None
        spent.calls += 1
        try:
            where = self._gateways[number % len(self._gateways)]
            heard = await ask(where, "POST", "/chat/completions", self._key, body, leave_after=leave)
        except Unreached:
            spent.broken += 1
            return False
        if heard.status in _REFUSALS:
            spent.refused += 1
            spent.refused_in_a_row += 1
            spent.codes[heard.code] = spent.codes.get(heard.code, 0) + 1
            return False
        if leave is None and _is_whole(heard, stream=stream):
            spent.refused_in_a_row = 0
            spent.acknowledged.append(heard.headers.get("x-request-id", ""))
            spent.numbers.append(number)
        else:
            spent.broken += 1
        return True


def _is_whole(heard: Heard, *, stream: bool) -> bool:
    if heard.status != 200:  # noqa: PLR2004 - an answer
        return False
    return b"data: [DONE]" in heard.body if stream else bool((heard.json or {}).get("choices"))
