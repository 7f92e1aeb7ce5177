"""`/admin/v1/token-balances`: grant tokens, and see what became of them."""

from collections.abc import Callable
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from switchgear.errors import NotFound
from switchgear_token_balance import Books, Grant


def handlers(books: Callable[[], Books]) -> list[HTTPRouteHandler]:
    """Make the routes. A balance may be named before anybody with that label has called."""

    @get("/admin/v1/token-balances/{id:str}", opt={"action": "read", "resource": "token-balances"})
    async def read(id: FromPath[str], before: FromQuery[int] = 2**62) -> dict[str, Any]:
        tables = books().tables
        found = await tables.query("balance", account=id)
        if not found:
            raise NotFound(f"`{id}` was never granted anything.", code="not_found")
        return {"id": id, **found[0], "transactions": await tables.query("transactions", account=id, before=before)}

    @post(
        "/admin/v1/token-balances/{id:str}/grant",
        opt={"action": "grant", "resource": "token-balances", "body": Grant},
        status_code=200,
    )
    async def grant(id: FromPath[str], data: JSONBody[Grant]) -> dict[str, Any]:
        await books().grant(id, data.reference, data.tokens)
        return {"id": id, **(await books().tables.query("balance", account=id))[0]}

    return [read, grant]
