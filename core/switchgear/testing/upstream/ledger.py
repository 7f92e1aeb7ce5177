"""What the upstream saw and billed: the oracle that money tests compare the gateway with."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from switchgear.testing.stopwatch import Stopwatch

Finish = Literal["open", "complete", "cut", "client_gone", "stopped"]


class Entry(Struct, kw_only=True):
    """One request that reached the upstream, good or bad.

    Times are seconds on the machine's monotonic clock, which all its processes share. `prompt_tokens`
    and `completion_tokens` are what a provider would bill: the prompt once an answer with a 2xx status
    was begun, and of the completion every token that went out whole (all of an answer that is not
    streamed). `finish` is `open` until the script was played (`complete`), ended the answer early
    (`cut`), the client left first (`client_gone`) or the upstream was stopped.
    """

    id: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    arrived_at: float
    connection: int
    status: int = 0
    first_byte_at: float | None = None
    finished_at: float | None = None
    client_closed_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    body_bytes: int = 0
    finish: Finish = "open"
    answer: bytes | None = None  # the body that went out, where the upstream was told to `keep_answers`

    @property
    def client_left_early(self) -> bool:
        return self.finish == "client_gone"

    @property
    def billed(self) -> bool:
        return self.prompt_tokens + self.completion_tokens > 0

    def close(self, finish: Finish) -> None:
        """Note how it ended; the first word counts."""
        if self.finish == "open":
            self.finish = finish
            self.finished_at = time.monotonic()


class Ledger:
    """Every entry since the start or the last `clear`, in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.finish == "open"]

    @property
    def billed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.billed]

    def totals(self) -> tuple[int, int]:
        """Return the prompt and completion tokens billed in all."""
        entries = self.entries
        return sum(e.prompt_tokens for e in entries), sum(e.completion_tokens for e in entries)

    def clear(self) -> None:
        self.entries.clear()

    async def until(self, condition: Callable[["Ledger"], bool], timeout_s: float = 5.0) -> None:
        """Wait until `condition(ledger)`; TimeoutError, with the ledger in it, if it does not come."""
        watch = Stopwatch()
        while not condition(self):
            if watch.wall_s > timeout_s and watch.s > timeout_s:
                seen = [(entry.id, entry.path, entry.status, entry.finish) for entry in self.entries]
                raise TimeoutError(f"the ledger did not come to that in {timeout_s} s: {seen}")
            await asyncio.sleep(0.002)

    async def settled(self, count: int = 1, timeout_s: float = 5.0) -> list[Entry]:
        """Wait until `count` requests have arrived and none is open; return the entries."""
        await self.until(lambda ledger: len(ledger) >= count and not ledger.open, timeout_s)
        return list(self.entries)
