"""`/admin/v1/prices`: what models cost, which have no price, and what a period would cost now."""

from typing import TYPE_CHECKING, Annotated

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from switchgear import Context
from switchgear_plugins.prices.prices import ModelPrice, prices
from switchgear_plugins.prices.reprice import Repricing, reprice

if TYPE_CHECKING:
    from switchgear_plugins.prices.plugin import PricesPlugin

_LATER = 2**62


class Prices(Struct, frozen=True):
    """Prices of models as they are now, and the book they are from where their resources do not say them."""

    book: str
    notice: str
    unpriced: int
    data: list[ModelPrice]


class Period(Struct, frozen=True, forbid_unknown_fields=True):
    """A period in microseconds since 1970, and how many records of it are looked at, the newest."""

    since_us: Annotated[int, Meta(ge=0, le=_LATER)] = 0
    until_us: Annotated[int, Meta(ge=0, le=_LATER)] | None = None
    most: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000


def handlers(context: Context, plugin: "PricesPlugin") -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/prices",
        opt={"action": "list", "resource": "prices"},
        summary="What models cost, and which have no price",
        tags=["prices"],
    )
    async def all_prices(
        unpriced: Annotated[bool, QueryParameter(description="Only models without a price")] = False,  # noqa: FBT002 - a query parameter
    ) -> Prices:
        found = prices(context.resources.snapshot)
        without = [one for one in found if one.units is None]
        return Prices(plugin.book.version, plugin.book.notice, len(without), without if unpriced else found)

    @post(
        "/admin/v1/prices/reprice",
        opt={"action": "list", "resource": "usage", "body": Period},
        status_code=200,
        summary="What recorded calls would cost at the prices of now; nothing is changed",
        tags=["prices"],
    )
    async def repriced(data: JSONBody[Period]) -> Repricing:
        return await reprice(context, data.since_us, data.until_us, data.most)

    return [all_prices, repriced]
