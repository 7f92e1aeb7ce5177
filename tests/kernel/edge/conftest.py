"""A real server in the test's loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop

from support.edge import App, Edge
from switchgear.edge.limits import EdgeLimits
from switchgear.edge.server import serve


def pytest_asyncio_loop_factories(config, item):
    """Run these tests on the loop that serves in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Edge]]]:
    """Return a function that starts a server with the limits it is given."""

    @asynccontextmanager
    async def running(limits: EdgeLimits, app: App | None) -> AsyncIterator[Edge]:
        edge = Edge()
        begun = asyncio.Event()

        def ready(port: int) -> None:
            edge.port = port
            begun.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                serve(
                    app or edge.app,
                    host="127.0.0.1",
                    port=0,
                    limits=limits,
                    grace=0,
                    on_drain=edge.proceed.set,
                    abort_streams=lambda: None,
                    ready=ready,
                    on_refused=lambda code: edge.refused.update([code]),
                    stop=edge.stop,
                )
            )
            await begun.wait()
            try:
                yield edge
            finally:
                await edge.clients.aclose()
                edge.stop.set()

    async with AsyncExitStack() as servers:

        async def begin(app: App | None = None, **limits: Any) -> Edge:
            return await servers.enter_async_context(running(EdgeLimits(**limits), app))

        yield begin


@pytest.fixture
async def edge(start: Callable[..., Awaitable[Edge]]) -> Edge:
    return await start()
