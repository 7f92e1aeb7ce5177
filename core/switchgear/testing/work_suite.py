"""What work in the background must do, as tests to inherit: handlers of jobs, and tasks.

    class TestMine(JobHandlerSuite):
        payload = b'{"to": "ann"}'            # of a job that it can do
        def make(self): return JobHandler("acme.deliver", self.plugin.deliver)

    class TestMine(TaskSuite):
        def make(self): return Task("acme.sweep", 60.0, self.plugin.sweep)

A test that cannot hold is overridden with a docstring that says why.
"""

import inspect
from typing import ClassVar

import pytest

from switchgear.contracts.jobs import Job, JobHandler
from switchgear.contracts.kernel import Task
from switchgear.errors import JobRefused
from switchgear.testing.marks import asyncio_tests, check_it_stops


class RecordedRun:
    """One try of a job; `reports` is what its handler said of how far it is."""

    def __init__(self, kind: str, payload: bytes, tries: int = 1) -> None:
        self.job = Job("job-1", kind, payload, "running", 5, 0, 0, tries=tries)
        self.reports: list[bytes] = []

    async def report(self, progress: bytes) -> None:
        """Keep it."""
        assert isinstance(progress, bytes), "how far it is is bytes"
        self.reports.append(progress)


@asyncio_tests
class JobHandlerSuite:
    """It may be begun again at any time, stops when it is told to, and gives up what cannot be done."""

    payload: ClassVar[bytes]
    garbage: ClassVar[tuple[bytes, ...]] = (b"", b"{", b"\xff", b"null", b"[]")

    def make(self) -> JobHandler:
        """Make the handler under test."""
        raise AssertionError("override `make` to return the job handler under test")

    async def run(self, payload: bytes, tries: int = 1) -> bytes | None:
        """Do a job."""
        handler = self.make()
        assert inspect.iscoroutinefunction(handler.run), "`run` is a coroutine function"
        result = await handler.run(RecordedRun(handler.name, payload, tries))
        assert result is None or isinstance(result, bytes), f"a result is bytes or None, not {result!r}"
        return result

    async def test_a_job_may_be_done_twice(self) -> None:
        first = await self.run(self.payload)
        assert first == await self.run(self.payload, tries=2), "done again it comes to something else"

    async def test_what_cannot_be_done_is_refused_and_not_tried_again(self) -> None:
        for payload in self.garbage:
            with pytest.raises(JobRefused):
                await self.run(payload)

    async def test_it_stops_when_it_is_cancelled(self) -> None:
        await check_it_stops(lambda: self.run(self.payload))


@asyncio_tests
class TaskSuite:
    """It can be run again and again, and stops when it is told to."""

    def make(self) -> Task:
        """Make the task under test."""
        raise AssertionError("override `make` to return the task under test")

    async def run(self) -> None:
        """Run it once."""
        await self.make().run()

    async def test_it_runs_again_and_again(self) -> None:
        task = self.make()
        for _ in range(3):
            await task.run()

    async def test_it_stops_when_it_is_cancelled(self) -> None:
        await check_it_stops(self.run)
