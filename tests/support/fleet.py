"""A gateway before several upstreams that can stand for each other: the models `m0`, `m1` … and the chain `c` of all in order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from support.faultup import FaultUpstream, Script
from support.gateway import SOURCE, Running, running


class Fleet:
    """The gateway `run` and its upstreams."""

    def __init__(self, run: Running, ups: list[FaultUpstream]) -> None:
        self.run = run
        self.ups = ups

    @property
    def asked(self) -> int:
        """How often any upstream was asked."""
        return sum(len(up.ledger) for up in self.ups)

    def all_do(self, script: Script) -> None:
        for up in self.ups:
            up.default = script


@asynccontextmanager
async def fleet(directory: Path, count: int, *, routing: str = "", **members: Any) -> AsyncIterator[Fleet]:
    """Serve. `routing` is TOML of further tables, as `[gateway.routing.breaker]`; `members` are those of `running`."""
    async with AsyncExitStack() as stack:
        ups = [await stack.enter_async_context(FaultUpstream(seed=number)) for number in range(count)]
        run = await stack.enter_async_context(running(directory, plugins=routing, **{"retries": 1, **members}))
        for number, up in enumerate(ups):
            await add(run, up, number)
        await run.create("chains", id="c", steps=[{"target": f"m{number}"} for number in range(count)])
        yield Fleet(run, ups)


async def add(run: Running, up: FaultUpstream, number: int) -> None:
    """Make the model `m<number>` at an upstream, where it is called `upstream-<number>`."""
    await run.create("credentials", id=f"c{number}", type="openai", source=SOURCE)
    where = {"base_url": up.base_url, "credential_id": f"c{number}"}
    await run.create("providers", id=f"p{number}", type="openai", **where)
    await run.create("models", id=f"m{number}", provider_id=f"p{number}", provider_model=f"upstream-{number}")
