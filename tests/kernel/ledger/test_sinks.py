"""Record sinks get what the store has, at their own pace and without loss."""

import asyncio

import pytest
from msgspec import Struct

from polling import eventually
from switchgear.ambient import Ambient
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordQuery
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear.ledger.sinks import SinkAdapter, SinkQueue, TeeSink
from switchgear_plugins.memory.store import MemoryStore

KINDS = {name: RecordKind(name, Struct) for name in ("usage", "audit")}


class Listed:
    """Lists what it took; raises while it is away."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)
        self.away = False
        self.took = []

    async def write(self, kind, rows):
        if self.away:
            raise OSError("gone fishing")
        self.took += [(kind.name, row.id) for row in rows]


class House:
    """A journal drained into a store and into sinks, over one directory."""

    def __init__(self, root, instance, *sinks):
        self.failures = []
        self.store = MemoryStore()
        self.outlets = []
        self.adapters = []
        self.journals = [Journal(root / "journal", instance)]
        for number, sink in enumerate(sinks):
            journal = Journal(root / "sinks" / str(number), instance)
            offered = SinkAdapter(str(number), sink, KINDS, lambda what, how: self.failures.append((what, how)))
            self.adapters.append(offered)
            self.outlets.append(SinkQueue(offered, journal, Drain(journal, offered, Ambient(), interval_s=0.01)))
            self.journals.append(journal)
        self.drain = Drain(self.journals[0], TeeSink(self.store, self.outlets), Ambient())

    async def __aenter__(self):
        await self.store.open()
        for journal in self.journals:
            await journal.open()
        self.running = [asyncio.create_task(outlet.drain.run()) for outlet in self.outlets]
        return self

    async def __aexit__(self, *_):
        for task in self.running:
            task.cancel()
        await asyncio.wait(self.running)
        for outlet in self.outlets:
            await outlet.close(1.0)
        await self.journals[0].close()

    async def record(self, kind, *ids):
        for id_ in ids:
            self.journals[0].append(kind, id_, 1, b"{}")
        await self.drain.drain_now()


async def test_a_sink_gets_the_kinds_it_wants_each_in_order(tmp_path):
    everything, some, nothing = Listed(), Listed("audit"), Listed("other")
    async with House(tmp_path, "one", everything, some, nothing) as house:
        await house.record("usage", "u1", "u2")
        await house.record("audit", "a1")
        await house.record("usage", "u3")
    assert ["u1", "u2", "u3"] == [id_ for kind, id_ in everything.took if kind == "usage"]
    assert ("audit", "a1") in everything.took
    assert ([("audit", "a1")], []) == (some.took, nothing.took)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_a_sink_that_is_away_holds_up_neither_the_store_nor_the_others(tmp_path):
    away, there = Listed(), Listed()
    away.away = True
    async with House(tmp_path, "one", away, there) as house:
        await house.record("usage", "u1", "u2")
        assert 2 == len(await house.store.scan(RecordQuery("usage")))
        await eventually(lambda: len(there.took) == 2)
        await eventually(lambda: house.failures)
        away.away = False
        await house.record("usage", "u3")
        await eventually(lambda: len(away.took) == 3)
    assert there.took == away.took
    what, how = house.failures[0]
    assert ("record sink 0", True) == (what, how.startswith("OSError: gone fishing"))


async def test_a_sink_that_does_not_say_what_it_wants_is_named_and_the_others_go_on(tmp_path):
    class Silent:
        async def write(self, kind, rows):
            raise AssertionError

    there = Listed()
    async with House(tmp_path, "one", Silent(), there) as house:
        await house.record("usage", "u1")
        await eventually(lambda: there.took)
        assert ["failing", "ok"] == [outlet.state.status for outlet in house.outlets]
        assert "which kinds" in house.outlets[0].state.why
    assert ["record sink 0"] == [what for what, _ in house.failures]


async def test_a_sink_that_is_at_one_batch_for_long_is_failing_and_is_left_behind(tmp_path):
    class Stuck:
        kinds = frozenset()

        def __init__(self):
            self.done = asyncio.Event()

        async def write(self, kind, rows):
            while not self.done.is_set():
                try:
                    await self.done.wait()
                except asyncio.CancelledError:
                    continue

    stuck, there = Stuck(), Listed()
    async with House(tmp_path, "one", stuck, there) as house:
        await house.record("usage", "u1")
        await eventually(lambda: there.took)
        await eventually(lambda: house.adapters[0]._began is not None)
        house.adapters[0]._began -= 31.0
        state = house.outlets[0].state
        assert ("failing", "it has been at one batch for 31 s") == (state.status, state.why)
        stuck.done.set()
        await eventually(lambda: house.outlets[0].state.status == "ok")


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
async def test_a_sink_ends_nothing_but_its_own_try(tmp_path, error):
    class Ending(Listed):
        async def write(self, kind, rows):
            if self.away:
                raise error
            await super().write(kind, rows)

    sink = Ending()
    sink.away = True
    async with House(tmp_path, "one", sink) as house:
        await house.record("usage", "u1")
        await eventually(lambda: house.outlets[0].state.status == "failing")
        sink.away = False
        await eventually(lambda: sink.took)
        assert "ok" == house.outlets[0].state.status


async def test_what_a_sink_has_not_taken_waits_for_the_next_process(tmp_path):
    sink = Listed()
    sink.away = True
    async with House(tmp_path, "one", sink) as house:
        await house.record("usage", "u1", "u2")
    assert [] == sink.took
    sink.away = False
    async with House(tmp_path, "two", sink):
        await eventually(lambda: sink.took)
    assert [("usage", "u1"), ("usage", "u2")] == sink.took
