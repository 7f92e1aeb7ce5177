"""Has calls paid for in tokens: what a call may use at most is held before anybody is asked, and what it used is taken."""

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from msgspec import Raw

from switchgear.contracts.estimate import answers
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import COUNT, Call
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.members import raw
from switchgear_plugins.balances.books import Books, insufficient
from switchgear_plugins.balances.settings import BalancesSettings

NAME = "balances"
_LEASE_MARGIN_S = 30.0
_BOUNDS = {
    "chat": "max_tokens",
    "messages": "max_tokens",
    "responses": "max_output_tokens",
    "completions": "max_tokens",
}


class BalancesPolicy(Policy):
    """Holds tokens in `admit` and takes what was used in `settle`."""

    on_error: ClassVar = "deny"
    budget_s: ClassVar[float] = 15.0
    guarded: ClassVar[bool] = False

    def __init__(self, settings: BalancesSettings, books: Books) -> None:
        self._by = settings.by
        self._required = settings.required
        self._most = settings.max_tokens
        self._books = books

    def admit(self, x: Exchange) -> Awaitable[None] | None:
        """Refuse what the balance does not cover; whoever has no such label does not pay."""
        account = self._account(x)
        if account is None or x.call is None or x.call.operation == COUNT:
            return None
        most = x.estimate.max_output_tokens
        if most is None:
            _bound(x.call, self._most)
            most = self._most * answers(x.call)
        tokens = x.estimate.input_tokens + most
        x.notes[NAME] = account  # before the database is asked: who is interrupted meanwhile may hold something
        return self._hold(x, account, tokens)

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Take what was used."""
        account = x.notes.get(NAME)
        if account is None:
            return None
        return self._books.close(account, x.id, 0 if x.usage is None else x.usage.input_tokens + x.usage.output_tokens)

    async def explain(self, x: Exchange) -> Mapping[str, Any] | None:
        """Say what is available."""
        account = self._account(x)
        found = None if account is None else await self._books.account(account)
        return None if found is None else {"account": account, "available_tokens": max(0, found["available"])}

    def _account(self, x: Exchange) -> str | None:
        principal = x.principal
        if principal is None:
            return None
        found = principal.labels.get(self._by)
        return principal.id if found is None and self._by == principal.kind else found

    async def _hold(self, x: Exchange, account: str, tokens: int) -> None:
        available = await self._books.hold(account, x.id, tokens, _lease_s(x))
        if available is None:
            return
        if available < 0 and not self._required:
            del x.notes[NAME]  # nobody gave it an account
            return
        raise insufficient(account, tokens, available)


def _bound(call: Call, tokens: int) -> None:
    name = _BOUNDS.get(call.wire)
    if name is None:
        raise _unbounded()
    call.max_tokens = tokens
    call.members[name] = Raw(raw(tokens))


def _unbounded() -> ApiError:
    message = "The answer is paid for by its length: say how long it may be."
    return InvalidRequest(message, code="unbounded", param="max_tokens")


def _lease_s(x: Exchange) -> float:
    steps = () if x.plan is None else x.plan.steps
    return max((step.target.timeouts.total for step in steps), default=600.0) + _LEASE_MARGIN_S
