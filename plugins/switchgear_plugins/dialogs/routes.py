"""`/admin/v1/dialogs`: whose dialogs there are and what they cost, and nothing of what is said in them."""

from collections.abc import Callable
from typing import Annotated, Any

from litestar import delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from switchgear_plugins.dialogs.dialect import before, cursor, sums
from switchgear_plugins.dialogs.shelf import Shelf

_TITLE = "dialogs"


class DialogTotals(Struct, frozen=True):
    """What a dialog consumed. Times are seconds since 1970; answers of models without a price are counted in `unpriced`."""

    id: str
    owner: str
    message_count: int
    bytes: int
    usage: dict[str, int]
    cost_microusd: int
    unpriced: int
    created_at: int
    updated_at: int


class DialogTotalsPage(Struct, frozen=True):
    """A page of them, the one touched last in front."""

    data: list[DialogTotals]
    next_cursor: str | None


def dialog_handlers(shelf: Callable[[], Shelf]) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/dialogs",
        opt={"action": "list", "resource": "dialogs"},
        summary="Whose dialogs there are, and what they cost",
        tags=[_TITLE],
    )
    async def list_all(
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor_: Annotated[str | None, QueryParameter(name="cursor")] = None,
        owner: Annotated[str | None, QueryParameter(description="As `key:ID`, `user:ID`")] = None,
    ) -> DialogTotalsPage:
        rows = await shelf().page(owner, before(cursor_), limit + 1)
        found: list[Any] = [
            DialogTotals(id=it["id"], owner=it["owner"], bytes=it["bytes"], **sums(it)) for it in rows[:limit]
        ]
        return DialogTotalsPage(found, cursor(rows[limit - 1]) if len(rows) > limit else None)

    @delete(
        "/admin/v1/dialogs/{id:str}",
        opt={"action": "delete", "resource": "dialogs"},
        summary="Delete a dialog, whoever's it is",
        tags=[_TITLE],
    )
    async def remove(id: FromPath[str]) -> None:
        await shelf().delete(None, id)

    return [list_all, remove]
