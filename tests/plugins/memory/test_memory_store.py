from collections.abc import AsyncIterator

import pytest

from switchgear.contracts.store import Store
from switchgear.testing.store_suite import StoreSuite
from switchgear_plugins.memory.store import MemoryStore


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        await store.open()
        yield store
        await store.close()
