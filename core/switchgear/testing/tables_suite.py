"""What tables of a plugin's own do in every store that has them, as tests that third parties inherit.

    class TestMyTables(TablesSuite):
        @pytest.fixture
        async def store(self, tmp_path):
            store = MyStore(tmp_path)
            await store.open(MIGRATIONS)
            yield store
            await store.close()

`MIGRATIONS` are tables of an imaginary plugin, for the backends that this suite knows.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from switchgear.contracts.store import Store, Write
from switchgear.contracts.tables import Tables
from switchgear.errors import StoreConflict, StoreError
from switchgear.testing.marks import asyncio_tests

PLUGIN = "suite"
MIGRATIONS = [(PLUGIN, Path(__file__).parent / "tables")]


async def _open(tables: Tables, id: str, balance: int, note: bytes | None = None) -> None:
    async with tables.transaction() as t:
        await t.execute("open", id=id, balance=balance, note=note)


async def _balance(tables: Tables, id: str) -> int:
    [row] = await tables.query("balance", id=id)
    balance: int = row["balance"]
    return balance


@asyncio_tests
class TablesSuite:
    """Named statements, in transactions that are serialised."""

    @pytest.fixture
    def tables(self, store: Store) -> Tables:
        """Return the imaginary plugin's tables."""
        return store.tables(PLUGIN)

    async def test_rows_come_back_by_column(self, tables: Tables) -> None:
        await _open(tables, "a", 5, b"\x00\xff")
        await _open(tables, "b", 0)
        expected: list[dict[str, Any]] = [
            {"id": "a", "balance": 5, "note": b"\x00\xff"},
            {"id": "b", "balance": 0, "note": None},
        ]
        assert expected == await tables.query("accounts")
        assert await tables.query("balance", id="nobody") == []

    async def test_a_transaction_sees_what_it_wrote_and_others_do_not_until_it_ends(self, tables: Tables) -> None:
        await _open(tables, "a", 5)
        async with tables.transaction() as t:
            assert 1 == await t.execute("debit", id="a", amount=3)
            assert 0 == await t.execute("debit", id="a", amount=3)
            assert [{"balance": 2}] == await t.query("balance", id="a")
            assert 5 == await _balance(tables, "a")
        assert 2 == await _balance(tables, "a")

    async def test_a_block_that_raises_leaves_nothing(self, tables: Tables) -> None:
        await _open(tables, "a", 5)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what was done before it is what is asked
            async with tables.transaction() as t:
                await t.execute("debit", id="a", amount=3)
                raise ZeroDivisionError
        assert 5 == await _balance(tables, "a")

    async def test_a_block_that_is_cancelled_leaves_nothing_and_holds_nobody_up(self, tables: Tables) -> None:
        await _open(tables, "a", 5)

        async def debit() -> None:
            async with tables.transaction() as t:
                await t.execute("debit", id="a", amount=3)
                await t.query("balance", id="a")
                await asyncio.sleep(60)

        for steps in range(12):
            task = asyncio.ensure_future(debit())
            for _ in range(steps):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert 5 == await _balance(tables, "a")
        await _open(tables, "b", 1)

    async def test_of_200_racing_debits_exactly_as_many_win_as_there_is_balance_for(self, tables: Tables) -> None:
        await _open(tables, "a", 700)

        async def debit() -> bool:
            async with tables.transaction() as t:
                [row] = await t.query("balance", id="a")
                if row["balance"] < 7:
                    return False
                await t.execute("set", id="a", balance=row["balance"] - 7)
                return True

        won = await asyncio.gather(*(debit() for _ in range(200)))
        assert (100, 0) == (sum(won), await _balance(tables, "a"))

    async def test_writes_of_the_store_wait_for_a_transaction_and_are_not_part_of_it(
        self, store: Store, tables: Tables
    ) -> None:
        await _open(tables, "a", 5)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what was done before it is what is asked
            async with tables.transaction() as t:
                await t.execute("debit", id="a", amount=3)
                write = asyncio.ensure_future(store.write([Write("red", "a", b"{}")], at_us=1))
                for _ in range(5):
                    await asyncio.sleep(0.001)
                await t.query("balance", id="a")
                raise ZeroDivisionError
        await write
        assert 5 == await _balance(tables, "a")
        assert await store.read("red", "a") is not None

    async def test_a_constraint_that_does_not_hold_is_a_conflict(self, tables: Tables) -> None:
        await _open(tables, "a", 5)
        with pytest.raises(StoreConflict) as caught:
            await _open(tables, "a", 5)
        assert ("constraint", PLUGIN, "open") == (caught.value.reason, caught.value.kind, caught.value.id)
        with pytest.raises(StoreConflict):
            async with tables.transaction() as t:
                await t.execute("set", id="a", balance=-1)
        assert 5 == await _balance(tables, "a")

    async def test_a_statement_that_is_not_there_is_named(self, tables: Tables) -> None:
        with pytest.raises(StoreError, match=f"plugin `{PLUGIN}` has no statement `close`"):
            await tables.query("close")
        with pytest.raises(StoreError, match="debit"):
            async with tables.transaction() as t:
                await t.execute("debit", id="a")

    async def test_a_transaction_is_of_no_use_after_its_block(self, tables: Tables) -> None:
        async with tables.transaction() as t:
            pass
        with pytest.raises(StoreError, match="ended"):
            await t.query("accounts")

    async def test_a_plugin_without_tables_has_none(self, store: Store) -> None:
        with pytest.raises(StoreError, match="plugin `other` has no tables"):
            store.tables("other")
