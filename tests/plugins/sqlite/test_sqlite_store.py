from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switchgear.ambient import Ambient
from switchgear.contracts.store import Store
from switchgear.testing.store_suite import StoreSuite
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
        await store.open()
        yield store
        await store.close()
