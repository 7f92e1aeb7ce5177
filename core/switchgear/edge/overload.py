"""When there is too much to do: how many requests may be in flight, learnt from how late the event loop is.

A process that begins whatever arrives serves nobody once more arrives than it can do: everything waits for everything. So
new requests below /v1 are refused while as many are in flight as may be, before anything is looked up for them, and what
is in flight ends undisturbed. How many that is follows from what one tick of a timer tells: how long the event loop worked since
the last, beyond the time between them, is how long everything that is ready waits. Processor time is what counts, so that a
machine that gave the core to somebody else is not taken for work to do.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence, Sized
from time import thread_time
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import Dialect
from switchgear.edge.refusals import OVERLOADED, Refusal
from switchgear.edge.settings import OverloadSettings
from switchgear.errors import Unavailable
from switchgear.paths import Owners
from switchgear.telemetry.metrics import Metrics

RETRY_AFTER_S = 1
"""When a refused client is told to come back."""

_TICK_S = 0.02
# So few are never what makes a loop late, and are always let in: what blocks it then is something else.
_FEWEST = 32
# A burst makes the loop late too, and is best served. So it must be late for a while before anything is refused; and nobody
# waits for a turn longer than so many times `max_lag`.
_PATIENCE_S = 0.2
_LATEST = 10
# One turn of the loop can read thousands of requests before any tick sees them: as many more may be in flight by the next as
# can be begun within `max_lag`, at so many a second.
_BEGUN_A_S = 5000
_SHRINK, _HALF = 0.9, 0.5
_GROWTH = 8  # a tick lets the ceiling grow by an eighth
_CALM_S = 1.0
# Once new requests are refused the loop is held to a fraction of `max_lag`, so that refusals and the admin API are prompt.
_HELD_TO = 0.25
_REFUSALS_A_S = 1000  # a few hundredths of a core


class Busy(Refusal, frozen=True, kw_only=True):
    """The refusal in a dialect's own shape: `body` and the headers named hold the id of the request, here `stand_in`."""

    body: bytes
    headers: tuple[bytes, ...]
    stand_in: bytes

    def render(self, request_id: str, date_line: bytes, *, with_body: bool, close: bool = True) -> bytes:
        """Render the whole answer."""
        answer = b"".join(
            (
                b"HTTP/1.1 503 Service Unavailable\r\n",
                date_line,
                b"content-type: application/json\r\ncontent-length: %d\r\n" % len(self.body),
                *(b"%b: %b\r\n" % (name, self.stand_in) for name in self.headers),
                b"x-switchgear-error-source: gateway\r\nretry-after: %d\r\n" % RETRY_AFTER_S,
                b"connection: close\r\n\r\n" if close else b"\r\n",
                self.body if with_body else b"",
            )
        )
        return answer.replace(self.stand_in, request_id.encode())


class Overload:
    """Says how many requests may be in flight; one a server. The edge refuses what is below /v1 from `ceiling` on.

    What is `learnt` is `max_in_flight` until the loop was later than `max_lag` for a while; then each tick that is late cuts it
    to between a half and nine tenths of what is in flight, and each that is not lets it grow. The ceiling until the next tick is
    that, and at most a burst more than what is in flight.
    """

    def __init__(
        self,
        limits: OverloadSettings,
        *,
        ambient: Ambient,
        dialects: Sequence[Dialect] = (),
        metrics: Metrics | None = None,
        worked: Callable[[], float] = thread_time,
    ) -> None:
        metrics = metrics or Metrics()
        self.learnt = limits.max_in_flight
        self.shedding = False
        """Whether requests are refused, or were a moment ago."""
        self._burst = max(_FEWEST, int(limits.max_lag * _BEGUN_A_S))
        self.ceiling = min(self.learnt, self._burst)
        self.lag_s = 0.0
        self._limits = limits
        self._log = structlog.get_logger()
        self._ambient = ambient
        stand_in = ambient.new_id()
        answers = [(dialect, _busy(dialect, stand_in)) for dialect in dialects]
        self._owners = Owners([(e.path, busy) for d, busy in answers for e in (*d.inference, *d.routes)])
        self._tasks: Sized = ()
        self._timer: asyncio.TimerHandle | None = None
        self._worked = worked
        self._worked_before = 0.0
        self._prompt_at = 0.0
        self._shed = metrics.counter("requests_shed", "Requests refused because there was too much to do.").child()
        self._shed_before = 0  # this overload
        self._shed_seen = 0  # at the last tick
        self._calm_since = 0.0
        self._refusals = 0  # until the next tick, before connections rest
        self._resting: deque[HttpToolsProtocol] = deque()
        metrics.observe_with(
            "in_flight_ceiling", "Requests that may be in flight before new ones are refused.", lambda: self.learnt
        )

    def shed(self, path: str) -> Refusal:
        """Count a request that is not begun and return its answer."""
        self._shed.value += 1
        return self._owners.of(path) if self._owners.roots else OVERLOADED

    def too_late(self, asked_at: float) -> bool:
        """Say whether a request has waited so long for its turn that it is not begun any more.

        That is so for the end of a burst, which arrives whole before any tick could tell. `asked_at` is on the ambient's clock.
        """
        return len(self._tasks) > _FEWEST and self._ambient.monotonic() - asked_at > self._limits.max_lag * _LATEST

    def rest(self, connection: HttpToolsProtocol) -> None:
        """Once refusals are many, read a refused client's connection no more until its turn comes.

        Reading and refusing takes a sixth of the time of a whole answer: whoever does it at ten times the load does nothing else.
        """
        if self._shed.value - self._shed_seen > self._refusals:
            connection.flow.pause_reading()
            self._resting.append(connection)

    def view(self) -> dict[str, Any]:
        """Say how things are, for /health/detailed."""
        return {
            "shedding": self.shedding,
            "requests_in_flight": len(self._tasks),
            "ceiling": self.learnt,
            "lag_ms": round(self.lag_s * 1e3, 1),
            "requests_shed": self._shed.value,
        }

    def start(self, tasks: Sized) -> None:
        """Watch the running loop, which is this thread's, from now on; `tasks` are the requests in flight."""
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._prompt_at = self._ambient.monotonic()
        self._again()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._worked_before = self._worked()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        now = self._ambient.monotonic()
        self.lag_s = lag = max(self._worked() - self._worked_before - _TICK_S, 0.0)
        in_flight = len(self._tasks)
        most = self._limits.max_in_flight
        learning = self.learnt < most
        allowed = self._limits.max_lag * (_HELD_TO if learning else 1.0)
        if lag > allowed:
            if learning or now - self._prompt_at >= _PATIENCE_S:
                cut = max(_HALF, min(_SHRINK, allowed / lag))
                self.learnt = min(most, max(_FEWEST, int(in_flight * cut)))
        else:
            self._prompt_at = now
            if learning:
                self.learnt = min(most, self.learnt + self.learnt // _GROWTH)
        self.ceiling = min(self.learnt, in_flight + self._burst)
        self._note(now)
        self._wake(lag + _TICK_S)
        self._again()

    def _wake(self, since_s: float) -> None:
        """Read as many connections again as there is room for, and as many as may be refused until the next tick."""
        self._refusals = max(1, int(since_s * _REFUSALS_A_S))
        count = max(0, self.ceiling - len(self._tasks)) + self._refusals
        for _ in range(min(count, len(self._resting))):
            connection = self._resting.popleft()
            if not connection.transport.is_closing():
                connection.flow.resume_reading()

    def _note(self, now: float) -> None:
        """Log when shedding begins, and when there was none for a while."""
        shed = self._shed.value
        if shed != self._shed_seen:
            self._shed_seen = shed
            self._calm_since = now
            if not self.shedding:
                self.shedding = True
                self._log.warning(
                    "too much to do: new requests are refused",
                    in_flight=len(self._tasks),
                    ceiling=self.learnt,
                    lag_ms=round(self.lag_s * 1e3),
                )
        elif self.shedding and now - self._calm_since >= _CALM_S:
            self.shedding = False
            self._log.info("new requests are served again", refused=shed - self._shed_before)
            self._shed_before = shed


def _busy(dialect: Dialect, stand_in: str) -> Busy:
    error = Unavailable(OVERLOADED.message, code=OVERLOADED.code, retry_after=RETRY_AFTER_S)
    own = dialect.request_id_header
    return Busy(
        OVERLOADED.status,
        OVERLOADED.code,
        OVERLOADED.message,
        RETRY_AFTER_S,
        body=dialect.error(error, stand_in),
        headers=(b"x-request-id",) if own is None else (b"x-request-id", own),
        stand_in=stand_in.encode(),
    )
