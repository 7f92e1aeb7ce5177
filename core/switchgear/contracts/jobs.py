"""Background jobs that outlive the process: run at least once, and never two at once while a worker's lease holds.

A plugin declares what it does with jobs of a kind (`switchgear_job_handlers`) and hands jobs in with `context.jobs.enqueue`. The
kernel runs the handlers while the gateway serves. `switchgear.testing.jobs_suite.JobQueueSuite` is a queue's behaviour in full.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

DAY_S = 86_400.0


class Job(Struct, frozen=True):
    """A job as it is now.

    id        the queue's own
    kind      the name of its handler
    key       at most one job of a kind has it, until that is forgotten; None: nothing is checked
    payload   the handler's own bytes
    tries     how often it was begun; it is begun at most `max_tries` times
    due_us    when it will be run: wall clock microseconds; while it runs, when its worker's lease ends
    progress  what its handler reported last
    result    what its handler returned
    error     why the last try failed
    ended_us  when it was done, failed for good or was cancelled
    """

    id: str
    kind: str
    payload: bytes
    state: JobState
    max_tries: int
    due_us: int
    created_us: int
    key: str | None = None
    tries: int = 0
    progress: bytes | None = None
    result: bytes | None = None
    error: str | None = None
    ended_us: int | None = None


class JobRun(Protocol):
    """One try of a job, as its handler sees it."""

    job: Job

    async def report(self, progress: bytes) -> None:
        """Say how far it is. If the job was cancelled or its lease is lost, the handler is cancelled soon after."""
        ...


class JobHandler(Struct, frozen=True):
    """What a plugin does with jobs of a kind.

    `run` returns the result, or raises: then it is tried again, `retry_s` seconds later at first, twice as long each time up to
    `retry_most_s`, with jitter; a `JobRefused` is final. A try may be cut short at any point and begun again elsewhere, so what
    it does must be harmless to do twice. It is cancelled when the gateway stops or the job is, and when its lease is lost.

    name         the kind
    concurrency  tries at once in this process
    lease_s      how long a worker that says nothing more is waited for; renewed in the background while `run` runs
    timeout_s    longest time of a try; None: none
    """

    name: str
    run: Callable[[JobRun], Awaitable[bytes | None]]
    concurrency: int = 1
    lease_s: float = 60.0
    timeout_s: float | None = None
    retry_s: float = 1.0
    retry_most_s: float = 300.0

    def __post_init__(self) -> None:
        if not (self.concurrency > 0 and self.lease_s > 0 and self.retry_s >= 0):
            raise ValueError(f"the job handler `{self.name}` needs `concurrency` and `lease_s` above 0")


class JobQueue(Protocol):
    """Durable jobs. Handing in and asking is for everybody; `take` to `put_back` are for the kernel's workers.

    Every method raises `StoreUnavailable` when the database is away.
    """

    async def enqueue(
        self,
        kind: str,
        payload: bytes,
        *,
        key: str | None = None,
        delay_s: float = 0.0,
        max_tries: int = 5,
        keep_s: float = DAY_S,
    ) -> Job:
        """Add a job, due after `delay_s`; if one of this kind has the `key` already, return that one instead.

        It survives the death of the process once this returns. `keep_s` is how long it is remembered after its end, its key too.
        """
        ...

    async def get(self, id: str) -> Job | None:
        """Return a job, None if there is none or it was forgotten."""
        ...

    async def cancel(self, id: str) -> bool:
        """Cancel a job: at once if it waits; if it runs, its worker is told within a third of its lease. False if it is over."""
        ...

    async def wait(self, kind: str, timeout_s: float) -> None:
        """Return when a job of a kind may be due, or after `timeout_s` seconds."""
        ...

    async def take(self, kind: str, worker: str, *, lease_s: float, limit: int) -> Sequence[Job]:
        """Begin up to `limit` due jobs of a kind: those that wait, and those whose worker let its lease end.

        One that was begun `max_tries` times by workers that died is failed instead.
        """
        ...

    async def renew(self, id: str, worker: str, *, lease_s: float, progress: bytes | None = None) -> bool:
        """Go on for `lease_s` seconds. False: stop, it was cancelled or is another worker's now."""
        ...

    async def complete(self, id: str, worker: str, result: bytes | None) -> bool:
        """End a job well. False if it is not this worker's any more."""
        ...

    async def fail(self, id: str, worker: str, error: str, *, retry_s: float | None) -> bool:
        """End a try badly: again after `retry_s` seconds if tries are left, for good if None. False as in `complete`."""
        ...

    async def put_back(self, id: str, worker: str) -> bool:
        """Let another worker begin it, at once, as if this try had not been. False as in `complete`."""
        ...

    async def forget(self) -> int:
        """Forget jobs that ended longer ago than they are to be remembered; return how many."""
        ...
