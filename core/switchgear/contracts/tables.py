"""Tables of a plugin's own, in the active store: `context.tables`.

A plugin that brings migrations (`switchgear_migrations`) puts its statements beside them, in a file for each backend it supports:

    migrations/sqlite/0001_balances.sql
    migrations/sqlite/queries.sql
    migrations/postgres/0001_balances.sql
    migrations/postgres/queries.sql

Each statement of `queries.sql` has a name, and parameters bound by name as the backend writes them:

    -- name: debit
    UPDATE acme_balances SET balance = balance - :amount WHERE id = :id AND balance >= :amount;

A backend that a plugin has no folder for refuses to open. `switchgear.testing.TablesSuite` is the behaviour in full.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = str | int | float | bytes | bool | None
"""What can be bound, and what comes back; how a backend keeps a bool is its own affair."""


class Transaction(Protocol):
    """Statements that take effect together, or not at all. Of no use once its block has ended."""

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        """Run a named statement; return its rows, by column. Raises `StoreError`."""
        ...

    async def execute(self, statement: str, /, **values: Value) -> int:
        """Run a named statement; return how many rows it changed. Raises as `query` does.

        A constraint that does not hold is a `StoreConflict` (reason `constraint`, the plugin as kind, the statement as id).
        """
        ...


class Tables(Protocol):
    """A plugin's own tables."""

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        """Read with one named statement, beside whatever is being written."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction that is serialised with every other writer: what it reads stays so until it ends.

            async with context.tables.transaction() as t:
                [row] = await t.query("balance", id=id)
                await t.execute("debit", id=id, amount=5)

        Ends with the block: committed, or rolled back if that raised or was cancelled. Others wait meanwhile, so the block awaits
        nothing but the transaction: one that takes longer than five seconds is rolled back (`StoreError`).
        """
        ...
