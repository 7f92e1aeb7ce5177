from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Migrations
from switchgear.contracts.usage import PriceBook, Pricing

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

    from switchgear_plugins.prices.book import Book, Whole


class PricesPlugin(Plugin[NoSettings]):
    """What models cost whose resource does not say it: a book that comes with the gateway, or a newer one that was taken over."""

    api = 1
    requires = ("store",)

    _data: bytes | None = None
    _book: "Book | None" = None

    def switchgear_price_books(self) -> list[Offer[PriceBook]]:
        """Offer the book `prices`."""
        return [Offer("prices", lambda: self, summary="Prices of the vendors' models, with the date they are of")]

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the table of books."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/prices."""
        from switchgear_plugins.prices.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context, self)

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear catalogue`."""
        from switchgear_plugins.prices.commands import catalogue  # noqa: PLC0415 - a gateway that serves has no use for it

        return [catalogue]

    async def start(self) -> None:
        """Look for a book that was taken over."""
        for row in await self.context.tables.query("newest"):
            self._data = row["body"]

    def price(self, provider_type: str, provider_model: str, at_us: int, host: str | None) -> Pricing | None:
        """Return the prices of a provider's model at a time; the book is opened when somebody asks for one of them."""
        if host is None and provider_type not in _KNOWN:
            return None
        return self.book.price(provider_type, provider_model, at_us, host)

    @property
    def book(self) -> "Book":
        """The book in force."""
        if self._book is None:
            from switchgear_plugins.prices.book import Book  # noqa: PLC0415 - a gateway whose models need none has no use for it

            self._book = Book(self.data)
        return self._book

    @property
    def data(self) -> bytes:
        """The book in force, as a file."""
        if self._data is None:
            self._data = files("switchgear_plugins.prices").joinpath("book.json").read_bytes()
        return self._data

    async def take(self, book: "Whole") -> None:
        """Put a book in the place of the one in force: from the next start of each gateway on."""
        from switchgear_plugins.prices.book import encode  # noqa: PLC0415 - as above

        body = encode(book)
        async with self.context.tables.transaction() as t:
            await t.execute("keep", at_us=self.context.ambient.now_us(), source=book.source, date=book.date, body=body)
            await t.execute("forget")
        self._data, self._book = body, None


_KNOWN = frozenset({"openai", "anthropic", "vertex", "bedrock", "azure_openai"})
