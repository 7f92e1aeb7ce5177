"""Tokens that are granted to principals, and used up by their calls."""

from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from switchgear import Offer, Plugin
from switchgear.ambient import Ambient
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.kernel import Migrations, Task
from switchgear.contracts.policy import Policy
from switchgear.contracts.tables import Tables, Transaction
from switchgear.errors import ApiError, InvalidRequest

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

NAME = "token_balance"
_ABANDONED_S = 86_400


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.token_balance]. `by` is the label that says whose balance pays (`key`, `team`); None: nobody pays."""

    by: str | None = None


class PaymentRequired(ApiError):
    """The balance does not cover what the call may use."""

    status = 402
    type = "insufficient_quota"
    source = "client"


class Books:
    """Balances, what calls hold of them, and the list of all transactions. Each method is one database transaction."""

    def __init__(self, tables: Tables, ambient: Ambient) -> None:
        self.tables = tables
        self._ambient = ambient

    async def grant(self, account: str, reference: str, tokens: int) -> None:
        """Add tokens, once for each `reference`."""
        async with self.tables.transaction() as t:
            await t.execute("open", account=account)
            if await self._note(t, account, "grant", reference, tokens):
                await t.execute("add", account=account, tokens=tokens)

    async def hold(self, account: str, call: str, tokens: int) -> bool:
        """Set tokens aside; False where there are not as many."""
        async with self.tables.transaction() as t:
            if not await t.execute("take", account=account, tokens=tokens):
                return False
            await t.execute("hold", call=call, account=account, tokens=tokens, at_us=self._ambient.now_us())
            return True

    async def close(self, call: str, used: int) -> None:
        """Take what a call used of what it holds, or more, and give the rest back. Does nothing if it holds nothing."""
        async with self.tables.transaction() as t:
            for held in await t.query("held", call=call):
                account = held["account"]
                await t.execute("release", call=call)
                await t.execute("add", account=account, tokens=held["tokens"] - used)
                await self._note(t, account, "call", call, -used)

    async def give_back(self) -> None:
        """Close, at no charge, what was held by gateways that died."""
        for held in await self.tables.query("held_before", at_us=self._ambient.now_us() - _ABANDONED_S * 1_000_000):
            await self.close(held["call"], 0)

    async def _note(self, t: Transaction, account: str, reason: str, reference: str, tokens: int) -> int:
        at_us = self._ambient.now_us()
        return await t.execute("note", account=account, reason=reason, reference=reference, tokens=tokens, at_us=at_us)


class TokenBalance(Policy):
    """Holds the most that a call may use before anybody is asked, and takes what it used."""

    on_error = "deny"
    budget_s = 10.0

    def __init__(self, by: str, books: Books) -> None:
        self._by = by
        self._books = books

    def admit(self, x: Exchange) -> Awaitable[None] | None:
        """Refuse what the balance does not cover; whoever has no such label does not pay."""
        account = None if x.principal is None else x.principal.labels.get(self._by)
        if account is None:
            return None
        most = x.estimate.max_output_tokens
        if most is None:
            raise InvalidRequest(
                "Bound the answer: it is paid for by its length.", code="unbounded", param="max_tokens"
            )
        x.notes[NAME] = True  # before the database is asked: who is interrupted meanwhile may hold something
        return self._hold(account, x.id, x.estimate.input_tokens + most)

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Take what was used."""
        if NAME not in x.notes:
            return None
        return self._books.close(x.id, 0 if x.usage is None else x.usage.input_tokens + x.usage.output_tokens)

    async def _hold(self, account: str, call: str, tokens: int) -> None:
        if not await self._books.hold(account, call, tokens):
            message = f"The balance does not cover the {tokens} tokens that this call may use."
            raise PaymentRequired(message, code="insufficient_balance")


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens to add. The same `reference` again adds nothing."""

    reference: str
    tokens: Annotated[int, msgspec.Meta(gt=0, le=10**15)]


class TokenBalancePlugin(Plugin[Settings]):
    """The policy, its tables, and the admin routes below /admin/v1/token-balances."""

    api = 1
    settings_type = Settings
    requires = ("store",)

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy, if anybody is to pay."""
        by = self.settings.by
        return [] if by is None else [Offer(NAME, lambda: TokenBalance(by, self.books()))]

    def switchgear_tasks(self) -> list[Task]:
        """Give back what nobody will settle any more."""
        return [Task("give_back", 3600, lambda: self.books().give_back())]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the routes."""
        from switchgear_token_balance.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.books)

    def books(self) -> Books:
        """Return the books; there are none before the store is open."""
        return Books(self.context.tables, self.context.ambient)
