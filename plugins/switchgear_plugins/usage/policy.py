import asyncio
from collections.abc import Awaitable
from typing import ClassVar

from switchgear import Context
from switchgear.contracts.exchange import Exchange, Outcome
from switchgear.contracts.policy import Policy
from switchgear.errors import ApiError, InternalError, RecordRefused, StoreError, StoreUnavailable, Unavailable
from switchgear_plugins.usage.encoder import UsageEncoder, attempt_record
from switchgear_plugins.usage.record import ATTEMPTS, USAGE
from switchgear_plugins.usage.refusals import Refusals

_LONGEST_FLUSH_S = 30.0


class UsagePolicy(Policy):
    """Keeps the record of each exchange before its client sees the end of the answer; else the client sees an error instead."""

    order: ClassVar[int] = -1000
    """The first policy settles last: what the others account for, and their labels, stand by then."""
    budget_s: ClassVar[float] = 2 * _LONGEST_FLUSH_S
    guarded: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self._context = context
        self._encoder = UsageEncoder()
        self._refusals = Refusals(context)

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Keep the record. Raises `ApiError` where that cannot be done."""
        if x.principal is None or (not x.attempts and x.outcome is Outcome.REJECTED and not self._refusals.takes(x)):
            return None
        try:
            if len(x.attempts) > 1:
                for number in range(len(x.attempts)):
                    one = attempt_record(x, number)
                    self._context.record(ATTEMPTS, one.id, one.at_us, one)
            flushing = self._context.record(USAGE, x.id, x.started_us, self._encoder.encode(x))
        except StoreError as lost:
            raise self._lost(x, lost) from lost
        return None if flushing is None else self._flushed(x, flushing)

    async def _flushed(self, x: Exchange, flushing: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_LONGEST_FLUSH_S):
                await flushing
        except TimeoutError as late:
            raise self._lost(x, StoreUnavailable("the disk of the journal does not answer")) from late
        except StoreError as lost:
            raise self._lost(x, lost) from lost

    def _lost(self, x: Exchange, lost: StoreError) -> ApiError:
        self._context.log.error("usage could not be recorded", request_id=x.id, exc_info=lost)
        if isinstance(lost, RecordRefused):
            return InternalError("This call cannot be recorded.", code="record_refused")
        return Unavailable("Usage could not be recorded.", code="journal_full", retry_after=5)
