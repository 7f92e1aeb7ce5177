"""What every price book must do, as tests to inherit.

class TestMine(PriceBookSuite):
    known = (("openai", "gpt-4o"),)       # types of providers, and names of models there, that it has prices of
    def make(self): return MyBook()
"""

from collections.abc import Sequence
from typing import ClassVar

from switchgear.contracts.usage import PriceBook, Pricing, Usage

_NOW_US = 1_700_000_000_000_000


class PriceBookSuite:
    """Prices are whole microdollars for a million of a unit; of a model that it does not know it says so."""

    known: ClassVar[Sequence[tuple[str, str]]]

    def make(self) -> PriceBook:
        """Make the book under test."""
        raise AssertionError("override `make` to return the price book under test")

    def test_it_knows_its_prices(self) -> None:
        book = self.make()
        for type, model in self.known:
            pricing = book.price(type, model, _NOW_US, None)
            assert isinstance(pricing, Pricing), f"`price({type!r}, {model!r})` is no Pricing but {pricing!r}"
            assert pricing == book.price(type, model, _NOW_US, None), "asked again it says another price"
            for unit, price in pricing.units.items():
                assert isinstance(unit, str), "units are named"
                assert _is_whole(price), (
                    f"the price of `{unit}` is {price!r}: whole microusd for a million of it, not less than 0"
                )
            cost = pricing.cost(Usage.plain(1_000_000, 0))
            assert _is_whole(cost), f"what {model} reads has no price"

    def test_of_other_models_it_says_nothing(self) -> None:
        book = self.make()
        for type in ("no-such-type", "", *{type for type, _ in self.known}):
            for model in ("no-such-model", "", "a/b:c", "\u00e9"):
                assert book.price(type, model, _NOW_US, None) is None, (
                    "of a model that it does not know a book says None"
                )


def _is_whole(value: object) -> bool:
    """Say whether this is a whole number that is not less than 0."""
    return type(value) is int and value >= 0
