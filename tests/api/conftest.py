import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import get
from litestar.params import FromQuery
from msgspec import Struct

from kernel.resources.toys import KINDS, ToySealer
from switchgear.admin.admin import create_admin_app
from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.principal import Credentials, Grant, Principal, operator
from switchgear.resources import ResourceEngine
from switchgear_plugins.memory.store import MemoryStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

READER = Principal("reader", "user", grants=(Grant("list", "*"), Grant("read", "*")))
PEOPLE = {"root": operator("root"), "ann": operator("ann"), "reader": READER}


class People:
    """Knows everybody by their name."""

    def authenticate(self, credentials: Credentials) -> Principal | None:
        return PEOPLE.get(credentials.token or "")


AUTHORITY = Authority([People()])


class Weather(Struct):
    degrees: int


@get("/admin/v1/weather", opt={"action": "read", "resource": "weather"})
async def weather(limit: FromQuery[int] = 1) -> Weather:
    return Weather(degrees=20 // limit)


@get("/admin/v1/undeclared")
async def undeclared() -> None:
    """Forgot to say what it is about."""


class PromptServer(uvicorn.Server):
    """Ends when it is told to, and not at the next look ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        await self.ending.wait()


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only on sockets it made itself
    server = PromptServer(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=2))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.ending.set()
        await task


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    made: Any = MemoryStore() if request.param == "memory" else SqliteStore(SqliteSettings(), tmp_path, Ambient())
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def sealer() -> Any:
    return ToySealer(b"one")


@pytest.fixture
async def engine(store: Any, sealer: Any) -> ResourceEngine:
    engine = ResourceEngine(store, KINDS, Ambient(), sealer)
    await engine.start()
    return engine


@pytest.fixture
async def client(engine: ResourceEngine) -> AsyncIterator[httpx.AsyncClient]:
    app = create_admin_app(engine, authority=AUTHORITY, extra_handlers=[weather, undeclared])
    async with (
        serving(app) as url,
        httpx.AsyncClient(
            base_url=url, headers={"authorization": "Bearer root"}, trust_env=False, timeout=60
        ) as client,
    ):
        yield client
