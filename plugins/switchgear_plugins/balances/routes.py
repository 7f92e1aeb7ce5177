"""`/admin/v1/balances`: accounts of tokens, what changed them, and changes."""

from collections.abc import Callable
from typing import Annotated, Any

from litestar import get, post
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.times import timestamp
from switchgear.errors import NotFound
from switchgear_plugins.balances.books import Books, Kind

_MOST = 10**15
Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Account(Struct, frozen=True):
    """Tokens that there are (`balance`), those that calls in flight hold, and those that new calls may hold."""

    id: str
    balance: int
    held: int
    available: int
    created_at: str


class Accounts(Struct, frozen=True):
    """A page of accounts, in order of their ids."""

    data: list[Account]
    next_cursor: str | None


class Line(Struct, frozen=True):
    """One change of a balance, and the balance that it made. `reference` is said once of each kind; of a call, it is its id."""

    number: int
    kind: str
    reference: str
    tokens: int
    balance: int
    reason: str
    actor: str
    at: str


class Lines(Struct, frozen=True):
    """A page of changes, newest first."""

    data: list[Line]
    next_before: int | None


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens to add or take. The same `reference` again changes nothing."""

    tokens: Annotated[int, Meta(gt=0, le=_MOST)]
    reference: Text
    reason: Annotated[str, Meta(max_length=1000)] = ""


class Adjustment(Struct, frozen=True, forbid_unknown_fields=True):
    """A correction by an administrator, up or down, also below 0, with its reason."""

    tokens: Annotated[int, Meta(ge=-_MOST, le=_MOST)]
    reference: Text
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


def handlers(books: Callable[[], Books]) -> list[HTTPRouteHandler]:
    """Make the routes. An account may be named before whoever it is for has called."""

    @get(
        "/admin/v1/balances",
        opt={"action": "list", "resource": "balances"},
        summary="Accounts of tokens",
        tags=["balances"],
    )
    async def accounts(
        cursor: Annotated[str, QueryParameter(description="The last id of the page before")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
    ) -> Accounts:
        found = await books().accounts(cursor, limit + 1)
        data = [_account(row) for row in found[:limit]]
        return Accounts(data, data[-1].id if len(found) > limit else None)

    @get(
        "/admin/v1/balances/{id:str}",
        opt={"action": "read", "resource": "balances"},
        summary="An account",
        tags=["balances"],
    )
    async def account(id: FromPath[str]) -> Account:
        return _account(await _known(books(), id))

    @get(
        "/admin/v1/balances/{id:str}/transactions",
        opt={"action": "read", "resource": "balances"},
        summary="What changed an account, newest first",
        tags=["balances"],
    )
    async def transactions(
        id: FromPath[str],
        before: Annotated[int, QueryParameter(ge=1, description="`next_before` of the page before")] = 2**62,
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
    ) -> Lines:
        await _known(books(), id)
        found = await books().transactions(id, before, limit + 1)
        data = [Line(at=timestamp(row.pop("at_us")), **row) for row in found]
        return Lines(data[:limit], data[limit - 1].number if len(data) > limit else None)

    def changing(kind: Kind, sign: int, summary: str) -> HTTPRouteHandler:
        @post(
            f"/admin/v1/balances/{{id:str}}/{kind}",
            opt={"action": kind, "resource": "balances", "body": Change},
            name=f"balances_{kind}",
            operation_id=f"balances_{kind}",
            status_code=200,
            summary=summary,
            tags=["balances"],
        )
        async def change(id: FromPath[str], data: JSONBody[Change], request: Request[Any, Any, Any]) -> Account:
            actor = _actor(request)
            row = await books().change(
                id, kind, sign * data.tokens, reference=data.reference, reason=data.reason, actor=actor
            )
            return _account(row)

        return change

    @post(
        "/admin/v1/balances/{id:str}/adjustment",
        opt={"action": "adjust", "resource": "balances", "body": Adjustment},
        status_code=200,
        summary="Correct an account, with a reason",
        tags=["balances"],
    )
    async def adjust(id: FromPath[str], data: JSONBody[Adjustment], request: Request[Any, Any, Any]) -> Account:
        row = await books().change(
            id, "adjustment", data.tokens, reference=data.reference, reason=data.reason, actor=_actor(request), may_overdraw=True
        )  # fmt: skip
        return _account(row)

    return [
        accounts,
        account,
        transactions,
        changing("grant", 1, "Grant tokens"),
        changing("debit", -1, "Take tokens"),
        changing("refund", 1, "Give tokens back"),
        adjust,
    ]


async def _known(books: Books, id: str) -> dict[str, Any]:
    found = await books.account(id)
    if found is None:
        raise NotFound(f"`{id[:64]}` has no account: grant something.", code="not_found")
    return found


def _account(row: dict[str, Any]) -> Account:
    return Account(row["id"], row["balance"], row["held"], row["available"], timestamp(row["made_us"]))


def _actor(request: Request[Any, Any, Any]) -> str:
    principal: Principal = request.state.principal
    return principal.id
