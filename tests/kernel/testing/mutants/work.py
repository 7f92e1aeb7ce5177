"""A handler of jobs and a task that are right, and what is wrong with others."""

import asyncio
from typing import ClassVar

import msgspec

from switchgear.contracts.jobs import JobHandler
from switchgear.contracts.kernel import Task
from switchgear.errors import JobRefused
from switchgear.testing.work_suite import JobHandlerSuite, TaskSuite


async def right(run):
    try:
        to = msgspec.json.decode(run.job.payload, type=dict[str, str])["to"]
    except (msgspec.DecodeError, KeyError):
        raise JobRefused("not a delivery") from None
    await run.report(b"half")
    await asyncio.sleep(0)
    return to.encode()


async def swallows(run):
    try:
        return await right(run)
    except asyncio.CancelledError:
        raise ValueError("not now") from None


async def tries_garbage_again(run):
    return msgspec.json.decode(run.job.payload, type=dict[str, str])["to"].encode()


async def counts_tries(run):
    return b"%d" % run.job.tries


async def returns_text(run):
    return (await right(run)).decode()


async def reports_text(run):
    await run.report("half")
    return await right(run)


class TestRight(JobHandlerSuite):
    run_: ClassVar = right
    payload = b'{"to": "ann"}'

    def make(self):
        return JobHandler("acme.deliver", type(self).run_)


async def sweep():
    await asyncio.sleep(0)


async def breaks_when_cancelled():
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        raise RuntimeError("not now") from None


def once():
    ran = []

    async def run():
        ran.append(1)
        if len(ran) > 1:
            raise ValueError("again")

    return run


class TestRightTask(TaskSuite):
    work: ClassVar = sweep

    def make(self):
        return Task("acme.sweep", 60.0, type(self).work)


def named(name, run):
    run.__name__ = name
    return run


MUTANTS = (
    (TestRight, "run_", (swallows, tries_garbage_again, counts_tries, returns_text, reports_text)),
    (TestRightTask, "work", (breaks_when_cancelled, named("once", once()))),
)
