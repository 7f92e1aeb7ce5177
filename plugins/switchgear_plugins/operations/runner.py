"""Does what was asked, in the name of whoever asked, as a job: begun by the job queue, and again where its process dies.

An operation that has to wait for its limits, or for the gateway to have room, is begun again later. Whatever else it comes to
is its end.
"""

import asyncio
from typing import Any

import msgspec

from switchgear import Context
from switchgear.contracts.event import Event
from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.jobs import Job, JobRun
from switchgear.contracts.principal import Principal
from switchgear.errors import ApiError, AuthenticationFailed, InternalError, RateLimited, Unavailable, UpstreamFailed
from switchgear_plugins.operations.book import Asked, Book, Operation
from switchgear_plugins.operations.settings import OperationsSettings

JOB = "operations.run"
FINISHED = "operations.finished"
_S = 1_000_000
_LONGEST_WAIT_S = 60.0
_LATE_US = 10 * _S
_MOST_SWEPT = 200
_HEARD_S = 10.0
"""How long event handlers may take to note the end of one: a job ends when they have."""


class Runner:
    """Runs operations in this process; `cancel` ends one that runs here at once."""

    def __init__(self, context: Context, book: Book, settings: OperationsSettings) -> None:
        self._context = context
        self._book = book
        self._settings = settings
        self._running: dict[str, asyncio.Task[InsideAnswer]] = {}

    async def enqueue(self, id: str, turn: int, *, delay_s: float = 0.0) -> Job:
        """Have an operation begun. Doing so again in the same turn changes nothing."""
        job = await self._context.jobs.enqueue(
            JOB,
            f"{id} {turn}".encode(),
            key=f"{id} {turn}",
            delay_s=delay_s,
            max_tries=self._settings.tries,
            keep_s=self._settings.patience_s,
        )
        await self._book.queued(id, turn, job.id)
        return job

    async def run(self, run: JobRun) -> None:
        """Do the operation that a job is for, if it has not ended."""
        id, _, turn = run.job.payload.decode().partition(" ")
        asked = await self._book.begin(id, int(turn))
        if asked is None:
            return
        try:
            answer = await self._answer(id, asked)
        except (RateLimited, Unavailable) as error:
            if error.source != "gateway" or error.retry_after is None or not self._may_wait(asked):
                await self._fail(id, error)
            elif await self._book.later(id, int(turn)):
                delay_s = min(max(error.retry_after, 0.1), _LONGEST_WAIT_S)
                await self.enqueue(id, int(turn) + 1, delay_s=delay_s)
        except ApiError as error:
            await self._fail(id, error)
        else:
            if answer is not None:
                await self._complete(id, answer)

    async def cancel(self, operation: Operation) -> bool:
        """Cancel an operation; return whether this ended it. What it asks a provider is given up."""
        if not await self._book.end(operation.id, "cancelled"):
            return False
        if operation.job is not None:
            await self._context.jobs.cancel(operation.job)
        if (task := self._running.get(operation.id)) is not None:
            task.cancel()
        await self._tell(operation.id)
        return True

    async def sweep(self) -> None:
        """See to what a process left behind that died: operations that have no job, or whose end nobody was told of."""
        before_us = self._context.ambient.now_us() - _LATE_US
        for row in await self._book.unended(before_us, _MOST_SWEPT):
            job = await self.enqueue(row["id"], row["turn"])
            if job.ended_us is not None:
                message = f"It was begun {job.tries} times and never came to its end."
                await self._fail(row["id"], InternalError(message, code="operation_lost"))
        for operation in await self._book.untold(before_us):
            await self._announce(operation)

    async def _answer(self, id: str, asked: Asked) -> InsideAnswer | None:
        """Have it answered; None if it was cancelled."""
        principal = await self._principal(asked.owner)
        labels = {"operation": id, "operation_try": str(asked.tries)}
        call = self._context.call(asked.path, asked.body, principal=principal, headers=asked.headers, labels=labels)
        task = self._running[id] = asyncio.ensure_future(call)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            del self._running[id]
        return None if task.cancelled() else task.result()

    async def _principal(self, owner: str) -> Principal:
        known = await self._context.dry_run.known(owner)
        if known is None or known.refused is not None:
            message = "The credentials that asked for this are not valid any more."
            raise AuthenticationFailed(message, code="invalid_api_key")
        return known.principal

    def _may_wait(self, asked: Asked) -> bool:
        return self._context.ambient.now_us() < asked.created_us + self._settings.patience_s * _S

    async def _complete(self, id: str, answer: InsideAnswer) -> None:
        if len(answer.body) > self._settings.most_bytes:
            message = f"The answer has {len(answer.body)} bytes, and {self._settings.most_bytes} are kept at most."
            await self._fail(id, UpstreamFailed(message, code="result_too_large"), request=answer.id)
        elif await self._book.end(id, "completed", request=answer.id, status=200, result=answer.body):
            await self._tell(id)

    async def _fail(self, id: str, error: ApiError, request: str | None = None) -> None:
        if await self._book.end(id, "failed", request=request, status=error.status, result=said(error)):
            await self._tell(id)

    async def _tell(self, id: str) -> None:
        operation = await self._book.find(id)
        if operation is not None:
            await self._announce(operation)

    async def _announce(self, operation: Operation) -> None:
        data: dict[str, Any] = {
            "id": operation.id,
            "owner": operation.owner,
            "status": operation.state,
            "endpoint": operation.path,
            "model": operation.model,
        }
        event = Event(FINISHED, operation.ended_us or 0, data, id=operation.id)
        try:
            async with asyncio.timeout(_HEARD_S):
                was_heard = await self._context.announce(event)
        except TimeoutError:
            return  # it is announced again when what was left behind is seen to
        if was_heard:
            await self._book.told(operation.id)


def said(error: ApiError) -> bytes:
    """Write an error as clients get it."""
    members = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({**error.extra, **members})
