import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.postgres_server import new_database, postgres_url
from switchgear.contracts.store import Store
from switchgear.errors import ApiError, StoreError
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins import balances
from switchgear_plugins.balances.books import Books
from switchgear_plugins.postgres.settings import PostgresSettings
from switchgear_plugins.postgres.store import PostgresStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

MIGRATIONS = [("balances", Path(balances.__file__).parent / "migrations")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def books(request: Any, tmp_path: Path, ambient: FixedAmbient) -> AsyncIterator[Books]:
    with ExitStack() as stack:
        store: Store
        if request.param == "sqlite":
            store = SqliteStore(SqliteSettings(), tmp_path, ambient)
        else:
            url = stack.enter_context(new_database(request.getfixturevalue("server")))
            store = PostgresStore(PostgresSettings(url=url), ambient)
        await store.open(MIGRATIONS)
        yield Books(store.tables("balances"), ambient)
        await store.close()


async def grant(books: Books, tokens: int, reference: str = "r", account: str = "ann") -> Any:
    return await books.change(account, "grant", tokens, reference=reference, reason="", actor="cli")


async def test_a_grant_counts_once_and_every_change_says_the_balance_it_made(books: Books) -> None:
    await grant(books, 100)
    await grant(books, 100)
    await books.change("ann", "debit", -30, reference="r", reason="", actor="cli")
    await books.change("ann", "refund", 5, reference="r", reason="", actor="cli")
    with pytest.raises(ApiError, match="75 are available"):
        await books.change("ann", "debit", -76, reference="s", reason="", actor="cli")
    await books.change("ann", "adjustment", -100, reference="r", reason="typo", actor="ops", may_overdraw=True)
    lines = await books.transactions("ann", 2**62, 100)
    assert [("adjustment", -100, -25), ("refund", 5, 75), ("debit", -30, 70), ("grant", 100, 100)] == [
        (it["kind"], it["tokens"], it["balance"]) for it in lines
    ]
    assert ("typo", "ops") == (lines[0]["reason"], lines[0]["actor"])
    assert [lines[3]] == await books.transactions("ann", 2, 100)


async def test_two_hundred_holds_at_once_never_hold_more_than_there_is(books: Books) -> None:
    await grant(books, 1000)
    answers = await asyncio.gather(*(books.hold("ann", f"c{n}", 30, 60) for n in range(200)))
    assert 33 == answers.count(None)
    assert {10, None} == set(answers)
    await asyncio.gather(*(books.close("ann", f"c{n}", 7) for n in range(200) if answers[n] is None for _ in range(2)))
    found = await books.account("ann")
    assert found is not None
    assert (1000 - 33 * 7, 0) == (found["balance"], found["held"])
    assert -1 == await books.hold("nobody", "c", 1, 60)


async def test_what_nobody_settles_is_given_back_and_settled_all_the_same(books: Books, ambient: FixedAmbient) -> None:
    await grant(books, 100)
    await books.hold("ann", "a", 60, 60)
    ambient.advance(59)
    assert 0 == await books.give_back()
    ambient.advance(2)
    assert 1 == await books.give_back()
    await books.close("ann", "a", 60)
    found = await books.account("ann")
    assert found is not None
    assert (40, 0) == (found["balance"], found["held"])


@pytest.mark.parametrize(
    "statement", ["UPDATE balances_transactions SET tokens = 1", "DELETE FROM balances_transactions"]
)
async def test_a_transaction_is_never_changed(books: Books, statement: str) -> None:
    await grant(books, 1)
    tables: Any = books._tables
    statements = getattr(tables._statements, "_statements", tables._statements)
    statements["evil"] = statement
    with pytest.raises(StoreError):
        async with tables.transaction() as t:
            await t.execute("evil")
    assert 1 == len(await books.transactions("ann", 2**62, 10))


class BalanceMachine(RuleBasedStateMachine):
    """An account against a model of it: a number, and what is held of it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.ambient = FixedAmbient()
        self.store = SqliteStore(SqliteSettings(), Path(self.directory.name), self.ambient)
        self.run(self.store.open(MIGRATIONS))
        self.books = Books(self.store.tables("balances"), self.ambient)
        self.balance: int | None = None
        self.open: dict[str, tuple[int, float]] = {}
        self.lapsed: list[str] = []
        self.number = 0

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.directory.cleanup()

    @property
    def held(self) -> int:
        return sum(tokens for tokens, _ in self.open.values())

    @rule(tokens=st.integers(1, 500))
    def grants(self, tokens: int) -> None:
        self.number += 1
        for _ in range(2):
            self.run(grant(self.books, tokens, f"g{self.number}"))
        self.balance = (self.balance or 0) + tokens

    @rule(tokens=st.integers(-300, 300))
    def adjusts(self, tokens: int) -> None:
        self.number += 1
        change = self.books.change(
            "ann", "adjustment", tokens, reference=f"a{self.number}", reason="r", actor="x", may_overdraw=True
        )
        self.run(change)
        self.balance = (self.balance or 0) + tokens

    @rule(tokens=st.integers(0, 400))
    def holds(self, tokens: int) -> None:
        self.number += 1
        call = f"c{self.number}"
        answer = self.run(self.books.hold("ann", call, tokens, 100))
        if self.balance is None:
            assert -1 == answer
        elif self.balance - self.held >= tokens:
            assert answer is None
            self.open[call] = tokens, self.ambient.monotonic() + 100
        else:
            assert max(0, self.balance - self.held) == answer

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settles(self, data: Any) -> None:
        call = data.draw(st.sampled_from(sorted(self.open)))
        used = data.draw(st.integers(0, 450))
        del self.open[call]
        for _ in range(2):
            self.run(self.books.close("ann", call, used))
        assert self.balance is not None
        self.balance -= used

    @rule(seconds=st.integers(1, 80))
    def time_passes(self, seconds: int) -> None:
        self.ambient.advance(seconds)
        self.run(self.books.give_back())
        now = self.ambient.monotonic()
        self.open = {call: it for call, it in self.open.items() if it[1] >= now}

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        found = self.run(self.books.account("ann"))
        if self.balance is None:
            assert found is None
            return
        assert (self.balance, self.held) == (found["balance"], found["held"])
        lines = self.run(self.books.transactions("ann", 2**62, 500))
        assert self.balance == sum(it["tokens"] for it in lines)
        assert not lines or self.balance == lines[0]["balance"]


BalanceMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestBalanceMachine = BalanceMachine.TestCase
