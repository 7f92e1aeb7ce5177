"""A record sink, a listener and a price book that are right, and what is wrong with others."""

import csv
import io
from typing import ClassVar

import msgspec

from switchgear.contracts.usage import Pricing
from switchgear.testing.price_suite import PriceBookSuite
from switchgear.testing.sink_suite import EventHandlerSuite, RecordSinkSuite


class Right:
    kinds: ClassVar = frozenset()

    def __init__(self):
        self.file = io.StringIO(newline="")

    async def write(self, kind, rows):
        for row in rows:
            csv.writer(self.file).writerow([kind.name, row.id, row.at_us, row.body.decode()])


class NoKinds(Right):
    kinds = None


class Plain(Right):
    def write(self, kind, rows):
        return super().write(kind, rows)


class LosesTheLast(Right):
    async def write(self, kind, rows):
        await super().write(kind, rows[:-1])


class Overwrites(Right):
    async def write(self, kind, rows):
        self.file = io.StringIO(newline="")
        await super().write(kind, rows)


class Backwards(Right):
    async def write(self, kind, rows):
        await super().write(kind, rows[::-1])


class BreaksLines(Right):
    """Writes texts as they are."""

    async def write(self, kind, rows):
        for row in rows:
            said = msgspec.json.decode(row.body)
            self.file.write(f"{kind.name},{row.id},{row.at_us},{said['text']}\r\n")


class Swallows(Right):
    async def write(self, kind, rows):
        try:
            await super().write(kind, rows)
        except ValueError:
            return


class ForgetsTheRepeated(Right):
    """Takes a batch that it has seen the first of for one that it has."""

    seen: ClassVar = None

    async def write(self, kind, rows):
        self.seen = self.seen or set()
        if rows and rows[0].id not in self.seen:
            await super().write(kind, rows)
        self.seen |= {row.id for row in rows}


class TestRight(RecordSinkSuite):
    make: ClassVar = Right

    def held(self, sink):
        return [row[1] for row in csv.reader(io.StringIO(sink.file.getvalue(), newline=""))]

    def breaks(self, sink):
        sink.file.close()
        return True


class RightListener:
    names: ClassVar = frozenset({"models.changed"})

    def __init__(self):
        self.heard = []

    async def handle(self, event):
        self.heard.append(event.data.get("id"))


class TrustsMembers(RightListener):
    async def handle(self, event):
        self.heard.append(event.data["id"])


class ListsNames(RightListener):
    names = ("models.changed",)


class TrustsTypes(RightListener):
    def handle(self, event):
        if event.data.get("id"):
            self.heard.append(event.data["id"].upper())


class TestRightListener(EventHandlerSuite):
    make: ClassVar = RightListener


class RightBook:
    def price(self, provider_type, provider_model, at_us, host):
        known = {("acme", "large"): {"input": 2_000_000, "output": 8_000_000}}
        units = known.get((provider_type, provider_model))
        return None if units is None else Pricing(units, version="1")


class PricesEverything(RightBook):
    def price(self, provider_type, provider_model, at_us, host):
        return super().price("acme", "large", at_us, host)


class Dollars(RightBook):
    def price(self, provider_type, provider_model, at_us, host):
        found = super().price(provider_type, provider_model, at_us, host)
        return found and Pricing({"input": 2.5, "output": 8.5})


class Breaks(RightBook):
    def price(self, provider_type, provider_model, at_us, host):
        return Pricing({("acme", "large"): {"input": 1}}[provider_type, provider_model])


class OutputAlone(RightBook):
    def price(self, provider_type, provider_model, at_us, host):
        return super().price(provider_type, provider_model, at_us, host) and Pricing({"output": 1})


class TestRightBook(PriceBookSuite):
    make: ClassVar = RightBook
    known: ClassVar = (("acme", "large"),)


MUTANTS = (
    (
        TestRight,
        "make",
        (NoKinds, Plain, LosesTheLast, Overwrites, Backwards, BreaksLines, Swallows, ForgetsTheRepeated),
    ),
    (TestRightListener, "make", (TrustsMembers, ListsNames, TrustsTypes)),
    (TestRightBook, "make", (PricesEverything, Dollars, Breaks, OutputAlone)),
)
