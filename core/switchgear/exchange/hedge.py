"""Two targets asked for one answer: whoever has something to say first is heard, the other is stopped."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from switchgear.background import mark_exception_retrieved
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Exchange, Step
from switchgear.contracts.provider import ProviderFault
from switchgear.errors import SwitchgearError
from switchgear.exchange.attempt_context import AttemptContext
from switchgear.exchange.continuation import Continuation
from switchgear.exchange.faults import most_telling
from switchgear.exchange.invoke import Ending
from switchgear.exchange.reply import Reply
from switchgear.plugin_faults import Misbehaviour
from switchgear.upstream.watch import Watch

_STOPS_S = 1.0
HEDGED = "hedged"
"""The cause of an attempt that another one was faster than, or that was stopped together with another one."""

Ask: TypeAlias = Callable[[AttemptContext, Step], Awaitable[Ending]]
_LEARNT = ("attempts", "committed", "first_byte_s", "headers", "sent", "stream_bytes", "stream_events", "usage")
"""What of an exchange is each runner's own, until one has won."""


class Race:
    """One target asked, and after a while a second one.

    `ask` tries a step, `leads_on` says whether a failure leaves the answer to others. Each runner has an exchange, a reply, a
    watch and a `continuation` of its own; what it learns becomes the exchange's once the race is over. `abandoned` keeps
    those that do not heed that they are stopped, each to its own deadline.
    """

    def __init__(
        self,
        ctx: AttemptContext,
        ask: Ask,
        leads_on: Callable[[Exception, Step], bool],
        continuation: Callable[[], Continuation | None],
        abandoned: set[asyncio.Task[Ending]],
    ) -> None:
        self._ctx = ctx
        self._ask = ask
        self._leads_on = leads_on
        self._continuation = continuation
        self._abandoned = abandoned
        self._is_over = False
        self._runners: list[_Runner] = []
        self._winner: _Runner | None = None
        self._told: _Runner | None = None

    async def run(self, first: Step, second: Callable[[], Step | None], after_s: float) -> Ending:
        """Return the bytes of the last write. `second` chooses whom to ask when the first has been silent for `after_s`.

        Raises the more telling of their failures, and leaves in the inquiry which step that was.
        """
        try:
            one = self._start(first)
            await asyncio.wait({one.task}, timeout=after_s)
            if not (one.task.done() or one.was_heard) and (step := second()) is not None:
                self._start(step)
            return await self._first_answer()
        finally:
            await self._stop()

    def claim(self, runner: "_Runner") -> None:
        """Let one runner answer and stop the other. Raises CancelledError in the one that comes too late."""
        if self._winner is None and not self._is_over:
            self._winner = runner
            for other in self._runners:
                if other is not runner:
                    other.task.cancel()
            self._gather_attempts(runner)
        elif self._winner is not runner:
            raise asyncio.CancelledError

    def _start(self, step: Step) -> "_Runner":
        runner = _Runner(self, self._ctx, step, self._ask, self._continuation())
        self._runners.append(runner)
        self._ctx.racing.append(runner.x)
        return runner

    async def _first_answer(self) -> Ending:
        failures: dict[Exception, _Runner] = {}
        running = {runner.task: runner for runner in self._runners}
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                runner = running.pop(task)
                if task.cancelled() or self._winner not in (None, runner):
                    continue  # whoever lost has nothing to say any more, not even that it failed
                error = task.exception()
                if error is None:
                    self.claim(runner)
                    return task.result()
                if (
                    not isinstance(error, (SwitchgearError, ProviderFault))
                    or runner is self._winner
                    or not self._leads_on(error, runner.step)
                ):
                    self._told = runner
                    raise error
                failures[error] = runner
        error = most_telling(list(failures))
        self._told = failures[error]
        raise error

    async def _stop(self) -> None:
        """End whoever still runs, and make what was learnt the exchange's own."""
        self._is_over = True
        tasks = [runner.task for runner in self._runners]
        for task in tasks:
            task.cancel()
        try:
            await self._end(tasks)
        finally:
            self._hand_back()

    async def _end(self, tasks: list[asyncio.Task[Ending]]) -> None:
        """Wait until tasks that were stopped have ended, but not for long: a plugin may not heed it."""
        done, others = await asyncio.wait(tasks, timeout=_STOPS_S)
        for task in others:
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
            task.add_done_callback(mark_exception_retrieved)
        for task in done:
            mark_exception_retrieved(task)

    def _hand_back(self) -> None:
        asked = [runner for runner in self._runners if runner.x.attempts]
        last = self._winner or self._told or (asked or self._runners)[-1]
        if self._winner is None:
            self._gather_attempts(last)
        for attempt in last.x.attempts:
            if attempt.cause is None and attempt is not last.x.attempts[-1]:
                attempt.cause = HEDGED
        for name in _LEARNT:
            setattr(self._ctx.x, name, getattr(last.x, name))
        self._ctx.racing.clear()
        self._ctx.step = last.step
        self._ctx.continuation = last.continuation

    def _gather_attempts(self, last: "_Runner") -> None:
        """List the attempts of all, those of one runner last."""
        last.x.attempts[:0] = [it for runner in self._runners if runner is not last for it in runner.x.attempts]


class _Runner:
    """One of those who are asked."""

    def __init__(
        self, race: Race, ctx: AttemptContext, step: Step, ask: Ask, continuation: Continuation | None
    ) -> None:
        self.race = race
        self.step = step
        self.continuation = continuation
        self.x = _apart(ctx.x)
        self._ctx = ctx
        self._ask = ask
        self.task = asyncio.create_task(self._run())

    @property
    def was_heard(self) -> bool:
        """Whether its target has begun to answer."""
        return self.x.first_byte_s is not None or self.x.stream_bytes > 0

    async def _run(self) -> Ending:
        outer = self._ctx
        watch = Watch(asyncio.get_running_loop(), self.step.target.timeouts.total, began=outer.watch.began)
        try:
            reply = _Gate(self, outer.reply)
            ctx = AttemptContext(self.x, outer.endpoint, reply, watch, self.step, self.continuation, outer.racing)
            return await self._ask(ctx, self.step)
        except asyncio.CancelledError:
            # It may have been waiting for its next try, where nobody else asks why.
            if (cause := watch.cause()) is None:
                raise
            raise cause from None
        except (SystemExit, KeyboardInterrupt) as error:  # which would end the loop from a task of its own
            raise Misbehaviour(type(error).__name__) from error
        finally:
            watch.close()


class _Gate:
    """The reply as one runner has it: it opens for the first that has something to say."""

    encoder: StreamEncoder

    def __init__(self, runner: _Runner, reply: Reply) -> None:
        self._runner = runner
        self._reply = reply

    @property
    def started(self) -> bool:
        return self._reply.started

    def claim(self) -> None:
        self._runner.race.claim(self._runner)
        self._reply.claim()
        self._reply.encoder = self.encoder

    async def whole(self, status: int, lines: bytes, body: bytes, media_type: bytes = b"application/json") -> None:
        await self._reply.whole(status, lines, body, media_type)

    def start(self, lines: bytes, media_type: bytes) -> None:
        self._reply.encoder = self.encoder
        self._reply.start(lines, media_type)

    async def write(self, data: bytes) -> None:
        await self._reply.write(data)

    def write_if_ready(self, data: bytes) -> None:
        self._reply.write_if_ready(data)

    async def close(self, data: bytes) -> None:
        await self._reply.close(data)


def _apart(x: Exchange) -> Exchange:
    """Make the exchange of one runner: what it asks and learns is its own, all else is everybody's."""
    assert x.call is not None
    apart = copy.copy(x)
    apart.call = x.call.with_members(dict(x.call.members))
    apart.attempts = []
    apart.headers = list(x.headers)
    return apart
