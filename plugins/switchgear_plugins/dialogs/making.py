"""One answer in the making: whoever makes it holds the dialog's turn, which ends once, whatever happens."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from switchgear.contracts.dialect import RouteRequest
from switchgear.errors import StoreError
from switchgear_plugins.dialogs.heard import Heard
from switchgear_plugins.dialogs.shelf import TURN_S, Answered, Row, Shelf, Spent, Turn
from switchgear_plugins.dialogs.summary import known

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

T = TypeVar("T")


class Workers:
    """Does what must be done whatever becomes of the client, in tasks of their own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def surely(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end, also where whoever waits for it is cancelled."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Wait for what is being done."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)


class Making:
    """A turn, for as long as its answer is made. As a context it ends the turn, unless that was `passed_on`."""

    def __init__(
        self, turn: Turn, request: RouteRequest, shelf: Shelf, workers: Workers, log: "FilteringBoundLogger"
    ) -> None:
        self.turn = turn
        self.request = request
        self.spent = Spent()
        self.summary = known(turn)
        self.is_over = False
        self.passed_on = False
        self._shelf = shelf
        self._workers = workers
        self._log = log
        self._holding = asyncio.ensure_future(self._hold())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.is_over or (error is None and self.passed_on):
            return
        if isinstance(error, Exception):  # its client is told, and may send it again
            await self._end(self._shelf.withdraw(self.turn))
        else:  # its client left: what was sent stays, and may be answered later
            await self._end(self._shelf.release(self.turn, self.spent))

    async def keep(self, heard: Heard, call: str, status: str) -> Row | None:
        """Keep the answer, and end the turn; None where nothing was heard. Raises `ApiError` and `StoreError`."""
        message = heard.message(partial=status != "complete")
        if message is None:
            await self._end(self._shelf.release(self.turn, self.spent))
            return None
        answer = Answered(msgspec.json.encode(message), status, heard.model, call, heard.finish_reason, self.spent)
        return await self._end(self._shelf.finish(self.turn, answer))

    async def _end(self, work: Coroutine[Any, Any, T]) -> T:
        self.is_over = True
        self._holding.cancel()
        return await self._workers.surely(work)

    async def _hold(self) -> None:
        """Hold the turn, until cancelled."""
        while True:
            await asyncio.sleep(TURN_S / 3)
            try:
                await self._shelf.renew(self.turn)
            except StoreError as away:
                self._log.warning("dialog not held", dialog=self.turn.dialog["id"], reason=str(away))


def shown(turn: Turn, row: Row | None) -> dict[str, Any]:
    """Say what was kept of an answer."""
    kept = (
        {} if row is None else {"message_id": row["id"], "status": row["status"], "cost_microusd": row["cost_microusd"]}
    )
    return {"id": turn.dialog["id"], **kept}
