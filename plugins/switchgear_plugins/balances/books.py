"""Accounts of tokens, what calls hold of them, and the list of all that ever changed them."""

from typing import Any, Literal

from switchgear.ambient import Ambient
from switchgear.contracts.tables import Tables, Transaction
from switchgear.errors import ApiError

Kind = Literal["grant", "debit", "refund", "adjustment", "call"]


class PaymentRequired(ApiError):
    """The balance does not cover what is to be taken of it."""

    status = 402
    type = "insufficient_quota"
    source = "client"


def insufficient(account: str, wanted: int, available: int) -> ApiError:
    """Make the error of a balance that does not cover something."""
    message = f"The balance of `{account}` does not cover {wanted} tokens: {max(0, available)} are available."
    return PaymentRequired(message, code="insufficient_balance")


class Books:
    """Each method is one database transaction."""

    def __init__(self, tables: Tables, ambient: Ambient) -> None:
        self._tables = tables
        self._ambient = ambient

    async def account(self, account: str) -> dict[str, Any] | None:
        """Return an account: `balance`, `held` and `available`; None if nothing was ever granted."""
        found = await self._tables.query("account", account=account)
        return found[0] if found else None

    async def accounts(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return accounts in order of their ids."""
        return await self._tables.query("accounts", after=after, limit=limit)

    async def transactions(self, account: str, before: int, limit: int) -> list[dict[str, Any]]:
        """Return what changed a balance, newest first."""
        return await self._tables.query("transactions", account=account, before=before, limit=limit)

    async def change(
        self,
        account: str,
        kind: Kind,
        tokens: int,
        *,
        reference: str,
        reason: str,
        actor: str,
        may_overdraw: bool = False,
    ) -> dict[str, Any]:
        """Add tokens to a balance, or take them (`tokens` less than 0), once for each reference; return the account.

        Raises `ApiError` where less is available than is to be taken, and not `may_overdraw`.
        """
        async with self._tables.transaction() as t:
            await t.execute("open", account=account, at_us=self._ambient.now_us())
            if not await t.query("known", account=account, kind=kind, reference=reference):
                [now] = await t.query("account", account=account)
                if tokens < 0 and not may_overdraw and now["available"] < -tokens:
                    raise insufficient(account, -tokens, now["available"])
                await self._note(t, account, kind, tokens, reference=reference, reason=reason, actor=actor)
            [after] = await t.query("account", account=account)
            return after

    async def hold(self, account: str, call: str, tokens: int, lease_s: float) -> int | None:
        """Set tokens aside for a call. Returns None, or how many are available where that is fewer; -1: there is no account."""
        async with self._tables.transaction() as t:
            if not await t.execute("take", account=account, tokens=tokens):
                found = await t.query("account", account=account)
                return max(0, found[0]["available"]) if found else -1
            until_us = self._ambient.now_us() + int(lease_s * 1e6)
            await t.execute("hold", call=call, account=account, tokens=tokens, until_us=until_us)
            return None

    async def close(self, account: str, call: str, used: int) -> None:
        """Take what a call used, once, and give back what it held besides; also after its hold has lapsed."""
        async with self._tables.transaction() as t:
            await self._release(t, call)
            if used and not await t.query("known", account=account, kind="call", reference=call):
                await self._note(t, account, "call", -used, reference=call, reason="", actor="")

    async def give_back(self) -> int:
        """Give back what calls held whose gateways died; return how many."""
        count = 0
        for lapsed in await self._tables.query("lapsed", now_us=self._ambient.now_us()):
            async with self._tables.transaction() as t:
                count += await self._release(t, lapsed["call"])
        return count

    async def _release(self, t: Transaction, call: str) -> int:
        held = await t.query("held", call=call)
        for one in held:
            await t.execute("release", call=call)
            await t.execute("give_back", account=one["account"], tokens=one["tokens"])
        return len(held)

    async def _note(
        self, t: Transaction, account: str, kind: Kind, tokens: int, *, reference: str, reason: str, actor: str
    ) -> None:
        await t.execute("add", account=account, tokens=tokens)
        await t.execute(
            "note", account=account, kind=kind, reference=reference, tokens=tokens, reason=reason, actor=actor,
            at_us=self._ambient.now_us(),
        )  # fmt: skip
