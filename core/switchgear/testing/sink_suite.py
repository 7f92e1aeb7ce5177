"""What everybody who is told of what happened must do, as tests to inherit: sinks of records, listeners to events.

    class TestMine(RecordSinkSuite):
        kind = USAGE
        def make(self): return MySink(self.path)
        def held(self, sink): return [row["id"] for row in read(self.path)]      # ids of the records that arrived

    class TestMine(EventHandlerSuite):
        def make(self): return MyListener()

All of these may be coroutines. A test that cannot hold is overridden with a docstring that says why.
"""

import inspect
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Any, ClassVar

import msgspec
import pytest

from switchgear.contracts.event import Event, EventHandler
from switchgear.contracts.kernel import RecordSink
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow
from switchgear.testing.counters_bench import given_by
from switchgear.testing.marks import asyncio_tests


class Fact(msgspec.Struct):
    """A record as no sink knows it before."""

    id: str
    text: str = ""
    count: int = 0
    labels: dict[str, str] = {}


_TEXTS = (
    "plain",
    'quotes " and \\',
    "lines\r\nand\ttabs",
    "commas, ; and |",
    "\u2028 \u00e9 \U0001f600",
    "",
    "=1+1",
    "x" * 10_000,
)


@asyncio_tests
class RecordSinkSuite:
    """Whatever it was given is there, in order, and given again it is not lost."""

    kind: ClassVar[RecordKind] = RecordKind("facts", Fact, ("text", "labels.*"), ("count",))

    def make(self) -> RecordSink | Awaitable[RecordSink]:
        """Make the sink over an empty place."""
        raise AssertionError("override `make` to return the sink under test")

    def held(self, sink: RecordSink) -> Sequence[str] | Awaitable[Sequence[str]]:  # noqa: ARG002 - whoever overrides it uses it
        """Return the ids of the records that have arrived, in order, as often as they are there."""
        raise AssertionError("override `held` to return the ids of what the sink has taken")

    def breaks(self, sink: RecordSink) -> bool | Awaitable[bool]:  # noqa: ARG002 - whoever overrides it uses it
        """Make the place that it writes to unavailable; say whether that is possible."""
        return False

    def row(self, id: str, text: str = "") -> RecordRow:
        """Make a record of the kind. Override it for a sink that takes a kind of its own alone."""
        return RecordRow(id, 1_700_000_000_000_000, msgspec.json.encode(Fact(id, text, 1, {"team": text[:9]})))

    async def test_it_says_which_kinds_it_wants(self) -> None:
        sink = await given_by(self.make())
        assert isinstance(getattr(sink, "kinds", None), frozenset), (
            "`kinds` is a frozenset of names of kinds; empty for all"
        )
        assert all(isinstance(name, str) for name in sink.kinds)
        assert inspect.iscoroutinefunction(sink.write), "`write` is a coroutine"

    async def test_everything_arrives_in_order(self) -> None:
        sink = await given_by(self.make())
        chance, given = Random(7), 0  # noqa: S311 - a replay must be predictable
        for size in (1, 3, 0, 200, 1, 17):
            rows = [self.row(f"r{given + n:04}", chance.choice(_TEXTS)) for n in range(size)]
            await sink.write(self.kind, rows)
            given += size
        assert [f"r{n:04}" for n in range(given)] == list(await given_by(self.held(sink))), (
            "a batch for which `write` returned is forgotten: all of it must have arrived, in order"
        )

    async def test_what_is_given_again_is_not_lost(self) -> None:
        """A batch is given again when nobody knows whether it arrived. It may be there twice, and must not be gone."""
        sink = await given_by(self.make())
        first, second = [self.row("a"), self.row("b")], [self.row("b"), self.row("c")]
        for batch in (first, first, second):
            await sink.write(self.kind, batch)
        found = list(await given_by(self.held(sink)))
        assert {"a", "b", "c"} == {*found}
        assert ["a", "b", "c"] == list(dict.fromkeys(found)), "of what is there twice, the first is in its order"

    async def test_what_does_not_arrive_is_an_error(self) -> None:
        sink = await given_by(self.make())
        if not await given_by(self.breaks(sink)):
            return
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, the batch is given again
            await sink.write(self.kind, [self.row("lost")])


@asyncio_tests
class EventHandlerSuite:
    """A listener is told of what it asked for, and of what it did not expect. `events` are some that it knows."""

    events: ClassVar[Sequence[Event]] = ()

    def make(self) -> EventHandler | Awaitable[EventHandler]:
        """Make the listener under test."""
        raise AssertionError("override `make` to return the event handler under test")

    async def test_it_says_which_events_it_wants(self) -> None:
        one = await given_by(self.make())
        assert isinstance(getattr(one, "names", None), frozenset), (
            "`names` is a frozenset of names of events; empty for all"
        )
        assert all(isinstance(name, str) for name in one.names)
        assert isinstance(one, EventHandler), "`handle(event)` is missing"

    async def test_it_takes_every_event_that_it_asked_for(self) -> None:
        """Members of an event's data come and go with who announces it."""
        one = await given_by(self.make())
        names = sorted(one.names) or ["models.changed", "acme.something"]
        odd: list[dict[str, Any]] = [{}, {"id": None}, {"id": 5, "revision": "x"}, {"unknown": [1]}]
        for event in (*self.events, *(Event(name, 1, data) for name in names for data in odd)):
            try:
                await given_by(one.handle(event))
            except Exception as error:
                raise AssertionError(f"it raised {error!r} for the event {event}") from error
