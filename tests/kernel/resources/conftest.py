from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.resources.toys import KINDS, ToySealer
from switchgear.ambient import Ambient
from switchgear.resources import ResourceEngine
from switchgear_plugins.memory.store import MemoryStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

MakeEngine = Callable[..., Awaitable[ResourceEngine]]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    made: Any = MemoryStore() if request.param == "memory" else SqliteStore(SqliteSettings(), tmp_path, Ambient())
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def make_engine(store: Any) -> MakeEngine:
    async def make(kinds: Any = KINDS, sealer: Any = "default") -> ResourceEngine:
        engine = ResourceEngine(store, kinds, Ambient(), ToySealer(b"one") if sealer == "default" else sealer)
        await engine.start()
        return engine

    return make


@pytest.fixture
async def engine(make_engine: MakeEngine) -> ResourceEngine:
    return await make_engine()
