"""What every store does, as tests that third parties inherit.

    class TestMyStore(StoreSuite):
        @pytest.fixture
        async def store(self, tmp_path):
            store = MyStore(tmp_path)
            await store.open()
            yield store
            await store.close()

The fixture yields an open, empty store of this test alone; in pytest-asyncio's strict mode it is a `pytest_asyncio.fixture`.
"""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchgear.contracts.store import Change, Document, RecordQuery, RecordRow, Replay, Store, Write
from switchgear.errors import RecordRefused, StoreConflict, StoreError, StoreUnavailable
from switchgear.testing.lookup_suite import LookupSuite
from switchgear.testing.marks import asyncio_tests
from switchgear.testing.race_suite import RaceSuite, drop, put
from switchgear.testing.record_suite import RecordSuite
from switchgear.testing.store_model import ModelStore


async def conflict(store: Store, *batch: Write, replay: Replay | None = None) -> tuple[str, str, tuple[str, ...]]:
    """Write, expect to lose, and return the reason, the document and the others."""
    before = await store.revision()
    with pytest.raises(StoreConflict) as caught:
        await store.write(batch, at_us=99, replay=replay)
    assert before == await store.revision()
    return caught.value.reason, f"{caught.value.kind}/{caught.value.id}", caught.value.others


_KINDS = ("red", "blue")
_IDS = ("a", "B", "é", "\U0001f600")
_NAMES = st.tuples(st.sampled_from(_KINDS), st.sampled_from(_IDS))
_WRITES = st.builds(
    lambda name, spec, expect, keys, references: Write(
        name[0], name[1], spec, expect, tuple(("index", key) for key in keys), tuple(references)
    ),
    _NAMES,
    st.sampled_from([None, b"{}", b'{"n":1}']),
    st.sampled_from([None, None, None, 0, 1, 2, 3]),
    st.lists(st.sampled_from(["k1", "k2"]), unique=True, max_size=2),
    st.lists(_NAMES, unique=True, max_size=2),
)
_BATCHES = st.lists(st.lists(_WRITES, max_size=4, unique_by=lambda write: (write.kind, write.id)), max_size=20)


@asyncio_tests
class StoreSuite(LookupSuite, RaceSuite, RecordSuite):
    """Documents, keys, references, versions, replays and the change feed."""

    async def test_an_empty_store_has_nothing(self, store: Store) -> None:
        await store.ping()
        assert await store.revision() == 0
        assert await store.read("red", "a") is None
        assert await store.lookup("index", "a") is None
        assert await store.page("red") == []
        assert await store.versions("red", "a") == []
        assert await store.references_to("red", "a") == []
        assert await store.changes(0) == []
        assert await store.recall("scope", "key") is None
        assert await store.forget(10) == 0

    async def test_a_document_lives_through_create_update_delete_and_again(self, store: Store) -> None:
        written = [
            *await store.write([put("red", "a", b'{"n":1}', expect=0, owner="file", actor="ann")], at_us=10),
            *await store.write([put("red", "a", b'{"n":2}', expect=1)], at_us=20),
            *await store.write([drop("red", "a", expect=2, actor="bob")], at_us=30),
            *await store.write([put("red", "a", b'{"n":3}', expect=0)], at_us=40),
        ]
        expected = [
            Document("red", "a", 1, 1, b'{"n":1}', "file", 10, 10, "ann"),
            Document("red", "a", 2, 2, b'{"n":2}', "api", 10, 20),
            Document("red", "a", 3, 3, b"", "api", 10, 30, "bob", deleted=True),
            Document("red", "a", 4, 4, b'{"n":3}', "api", 40, 40),
        ]
        assert expected == written
        assert expected[3] == await store.read("red", "a")
        assert expected[::-1] == await store.versions("red", "a")
        assert expected[1::-1] == await store.versions("red", "a", before=3)
        assert [expected[2]] == await store.versions("red", "a", before=4, limit=1)
        assert [Change.of(document) for document in expected] == await store.changes(0)

    async def test_a_deleted_document_is_not_read_looked_up_or_listed(self, store: Store) -> None:
        await store.write([put("red", "a", keys=(("index", "k"),)), put("red", "b")], at_us=1)
        await store.write([drop("red", "a")], at_us=2)
        assert await store.read("red", "a") is None
        assert await store.lookup("index", "k") is None
        assert [document.id for document in await store.page("red")] == ["b"]

    @pytest.mark.parametrize(
        ("there", "write", "reason"),
        [
            (True, put("red", "a", expect=0), "exists"),
            (True, put("red", "a", expect=1), "stale"),
            (True, put("red", "a", expect=3), "stale"),
            (False, put("red", "a", expect=1), "missing"),
            (False, put("red", "a", expect=3), "missing"),
            (False, drop("red", "a"), "missing"),
            (False, drop("red", "a", expect=3), "missing"),
            (True, drop("red", "a", expect=1), "stale"),
        ],
    )
    async def test_an_expectation_that_does_not_hold_is_a_conflict(
        self, store: Store, write: Write, reason: str, *, there: bool
    ) -> None:
        await store.write([put("red", "a")], at_us=1)
        await store.write([put("red", "a")], at_us=2)
        if not there:
            await store.write([drop("red", "a")], at_us=3)
        assert (reason, "red/a", ()) == await conflict(store, write)

    @pytest.mark.parametrize(
        "write", [put("red", "a"), put("red", "a", expect=2), drop("red", "a"), drop("red", "a", expect=2)]
    )
    async def test_an_expectation_that_holds_is_met(self, store: Store, write: Write) -> None:
        await store.write([put("red", "a")], at_us=1)
        await store.write([put("red", "a")], at_us=2)
        (document,) = await store.write([write], at_us=3)
        assert document.version == 3

    async def test_a_batch_is_one_revision(self, store: Store) -> None:
        await store.write([put("red", "a")], at_us=1)
        documents = await store.write([put("red", "b"), put("blue", "a"), drop("red", "a")], at_us=2)
        assert [document.revision for document in documents] == [2, 2, 2]
        assert await store.revision() == 2
        assert {Change.of(document) for document in documents} == set(await store.changes(1))
        assert {("red", "b", False), ("blue", "a", False), ("red", "a", True)} == {
            (change.kind, change.id, change.deleted) for change in await store.changes(1)
        }

    async def test_a_batch_with_one_conflict_writes_nothing(self, store: Store) -> None:
        await store.write([put("red", "a", keys=(("index", "k"),))], at_us=1)
        batch = (
            put("red", "a", b'{"n":2}', keys=(("index", "new"),)),
            put("red", "b", references=(("red", "a"),)),
            put("red", "c", expect=7),
        )
        replay = Replay("scope", "key", "print", b"answer", 5)
        assert await conflict(store, *batch, replay=replay) == ("missing", "red/c", ())
        assert [document.spec for document in await store.page("red")] == [b"{}"]
        assert await store.lookup("index", "new") is None
        assert await store.references_to("red", "a") == []
        assert await store.recall("scope", "key") is None
        assert len(await store.changes(0)) == 1

    async def test_an_empty_batch_takes_no_revision(self, store: Store) -> None:
        replay = Replay("scope", "key", "print", b"answer", 5)
        assert await store.write([], at_us=1, replay=replay) == []
        assert await store.revision() == 0
        assert replay == await store.recall("scope", "key")

    async def test_a_batch_that_names_a_document_twice_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match="twice"):
            await store.write([put("red", "a"), put("red", "a", b'{"n":2}')], at_us=1)
        assert await store.revision() == 0

    async def test_specs_come_back_byte_for_byte(self, store: Store) -> None:
        for spec in (b' {"a" :1.0}', '{"é":"\U0001f600"}'.encode(), b'"' + b"x" * 1_000_000 + b'"'):
            await store.write([put("red", "a", spec)], at_us=1)
            document = await store.read("red", "a")
            assert document is not None
            assert spec == document.spec

    async def test_ids_may_hold_any_text(self, store: Store) -> None:
        for id in ("a'b", 'a"b', "a/b", "%", "_", " ", "é", "\U0001f600", "x" * 500):
            await store.write([put("red", id, expect=0)], at_us=1)
            document = await store.read("red", id)
            assert document is not None
            assert id == document.id
        assert await store.read("red", "b") is None

    async def test_a_key_is_unique_over_all_kinds(self, store: Store) -> None:
        (document,) = await store.write([put("red", "a", keys=(("index", "k"), ("other", "k")))], at_us=1)
        assert document == await store.lookup("index", "k")
        assert document == await store.lookup("other", "k")
        assert await store.lookup("index", "K") is None
        assert await conflict(store, put("blue", "b", keys=(("index", "k"),))) == ("key_taken", "blue/b", ("red/a",))
        await store.write([put("blue", "b", keys=(("third", "k"),))], at_us=2)

    async def test_two_documents_of_one_batch_cannot_have_the_same_key(self, store: Store) -> None:
        batch = (put("red", "a", keys=(("index", "k"),)), put("blue", "b", keys=(("index", "k"),)))
        assert await conflict(store, *batch) == ("key_taken", "blue/b", ("red/a",))

    async def test_a_put_keeps_replaces_and_releases_keys(self, store: Store) -> None:
        await store.write([put("red", "a", keys=(("index", "k1"), ("index", "k2")))], at_us=1)
        await store.write([put("red", "a", keys=(("index", "k2"), ("index", "k3")))], at_us=2)
        assert await store.lookup("index", "k1") is None
        for key in ("k2", "k3"):
            document = await store.lookup("index", key)
            assert document is not None
            assert document.version == 2
        await store.write([put("blue", "b", keys=(("index", "k1"),))], at_us=3)

    async def test_two_documents_may_swap_keys_in_one_batch(self, store: Store) -> None:
        await store.write([put("red", "a", keys=(("index", "k1"),)), put("red", "b", keys=(("index", "k2"),))], at_us=1)
        await store.write([put("red", "a", keys=(("index", "k2"),)), put("red", "b", keys=(("index", "k1"),))], at_us=2)
        first, second = await store.lookup("index", "k1"), await store.lookup("index", "k2")
        assert first is not None
        assert second is not None
        assert (first.id, second.id) == ("b", "a")

    async def test_a_reference_must_exist(self, store: Store) -> None:
        await store.write([put("blue", "b")], at_us=1)
        provider = put("red", "a", references=(("blue", "b"), ("blue", "c"), ("red", "d")))
        assert await conflict(store, provider) == ("missing_reference", "red/a", ("blue/c", "red/d"))

    async def test_a_document_that_is_named_cannot_be_deleted(self, store: Store) -> None:
        await store.write([put("blue", "b")], at_us=1)
        await store.write([put("red", f"{n:02}", references=(("blue", "b"),)) for n in range(25)], at_us=2)
        users = [("red", f"{n:02}") for n in range(25)]
        assert users[:20] == await store.references_to("blue", "b")
        assert users[:2] == await store.references_to("blue", "b", limit=2)
        assert ("in_use", "blue/b", tuple(f"red/{n:02}" for n in range(20))) == await conflict(store, drop("blue", "b"))

    async def test_references_end_with_a_put_without_them_or_a_delete(self, store: Store) -> None:
        batch = [put("blue", "b"), *(put("red", id, references=(("blue", "b"),)) for id in ("a", "c"))]
        await store.write(batch, at_us=1)
        await store.write([put("red", "a")], at_us=2)
        assert await store.references_to("blue", "b") == [("red", "c")]
        await store.write([drop("red", "c")], at_us=3)
        assert await store.references_to("blue", "b") == []
        await store.write([drop("blue", "b")], at_us=4)

    async def test_references_are_checked_against_the_state_after_the_batch(self, store: Store) -> None:
        circle = [put("red", "a", references=(("red", "b"),)), put("red", "b", references=(("red", "a"),))]
        await store.write(circle, at_us=1)
        assert await conflict(store, drop("red", "a")) == ("in_use", "red/a", ("red/b",))
        await store.write([drop("red", "a"), drop("red", "b")], at_us=2)
        await store.write([put("red", "self", references=(("red", "self"),))], at_us=3)
        await store.write([drop("red", "self")], at_us=4)
        await store.write([put("blue", "c"), put("red", "d", references=(("blue", "c"),))], at_us=5)
        both = (drop("blue", "c"), put("red", "e", references=(("blue", "c"),)))
        assert await conflict(store, *both) == ("missing_reference", "red/e", ("blue/c",))
        await store.write([drop("blue", "c"), put("red", "d")], at_us=6)

    async def test_an_answer_is_remembered_with_its_write(self, store: Store) -> None:
        replay = Replay("caller", "key", "print", b"\x00\xffanswer", 5)
        await store.write([put("red", "a", expect=0)], at_us=5, replay=replay)
        assert replay == await store.recall("caller", "key")
        assert await store.recall("another", "key") is None
        again = Replay("caller", "key", "other print", b"other", 6)
        assert await conflict(store, put("red", "b"), replay=again) == ("exists", "replay/key", ())
        assert await conflict(store, put("red", "a", expect=0), replay=again) == ("exists", "replay/key", ())
        assert replay == await store.recall("caller", "key")
        await store.write([put("red", "b")], at_us=6, replay=Replay("another", "key", "print", b"", 6))

    async def test_answers_are_forgotten_by_age(self, store: Store) -> None:
        for at_us in (5, 6, 7):
            await store.write([], at_us=at_us, replay=Replay("scope", str(at_us), "print", b"", at_us))
        assert await store.forget(7) == 2
        assert await store.recall("scope", "6") is None
        assert await store.recall("scope", "7") is not None

    async def test_the_feed_never_splits_a_revision(self, store: Store) -> None:
        for size in (1, 3, 1, 5, 2):
            await store.write([put("red", f"{size}-{n}") for n in range(size)], at_us=1)
        whole = await store.changes(0)
        assert [change.revision for change in whole] == [1, 2, 2, 2, 3, 4, 4, 4, 4, 4, 5, 5]
        for limit in (1, 2, 3, 4, 7, 12, 100):
            seen: list[Change] = []
            while part := await store.changes(seen[-1].revision if seen else 0, limit=limit):
                seen += part
            assert whole == seen
        assert whole[4:] == await store.changes(2)
        assert await store.changes(5) == []
        assert await store.changes(77) == []

    async def test_what_was_written_is_read_by_whoever_asks_next(self, store: Store) -> None:
        for n in range(50):
            (document,) = await store.write([put("red", "a", b"%d" % n, keys=(("index", "k"),))], at_us=n)
            seen = await asyncio.gather(*(store.read("red", "a") for _ in range(3)), store.lookup("index", "k"))
            assert [document] * 4 == seen

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,  # several stores inherit this in one run
        ],
    )
    @given(batches=_BATCHES)
    async def test_any_history_gives_what_a_plain_model_gives(self, store: Store, batches: list[list[Write]]) -> None:
        base = await store.revision()
        # The store outlives one example, so each has kinds and keys of its own.
        model = ModelStore(base)
        for at_us, batch in enumerate([_renamed(write, str(base)) for write in batch] for batch in batches):
            assert _outcome(model, batch, at_us) == await _real_outcome(store, batch, at_us)
        assert model.revision == await store.revision()
        assert _by_revision(model.changes()) == _by_revision(await store.changes(base, limit=7 * len(batches) + 7))
        for kind in (f"{kind}{base}" for kind in _KINDS):
            assert model.page(kind) == await store.page(kind)
            for id in _IDS:
                assert model.read(kind, id) == await store.read(kind, id)
                assert model.versions(kind, id) == await store.versions(kind, id)
                assert model.references_to(kind, id) == await store.references_to(kind, id)
        for key in ("k1", "k2"):
            assert model.lookup(f"index{base}", key) == await store.lookup(f"index{base}", key)
        # What an example leaves must not tie the next one's revision to its own.
        await store.write([put("example", "end")], at_us=0)

    async def test_records_are_stored_with_the_change_they_report(self, store: Store) -> None:
        facts = [("changes", RecordRow("1", 5, b'{"n":1}')), ("audit", RecordRow("1", 5, b'{"n":2}'))]
        await store.write([put("red", "a", expect=0)], at_us=5, records=facts)
        for kind, row in facts:
            assert [row] == await store.scan(RecordQuery(kind))
        with pytest.raises(StoreConflict):
            await store.write([put("red", "a", expect=0)], at_us=6, records=[("changes", RecordRow("2", 6, b"{}"))])
        with pytest.raises(RecordRefused):
            await store.write([put("red", "b")], at_us=6, records=[("changes", RecordRow("3", 6, b"[]"))])
        assert await store.read("red", "b") is None
        assert await store.write([], at_us=7, records=[("changes", RecordRow("4", 7, b"{}"))]) == []
        assert ["4", "1"] == [row.id for row in await store.scan(RecordQuery("changes"))]
        assert await store.revision() == 1

    async def test_a_change_ends_the_wait_for_it(self, store: Store) -> None:
        assert await store.wait_for_change(0, 0.0) == 0
        waiting = [asyncio.ensure_future(store.wait_for_change(0, 30.0)) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0.001)
        await store.write([put("red", "a")], at_us=1)
        assert [1, 1, 1] == await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert await store.wait_for_change(0, 30.0) == 1
        assert await store.wait_for_change(1, 0.01) == 1

    async def test_of_50_who_want_a_lease_one_has_it_until_it_ends_or_is_given_back(self, store: Store) -> None:
        taken = await asyncio.gather(*(store.lease("work", str(n), 60.0) for n in range(50)))
        [holder] = [str(n) for n, mine in enumerate(taken) if mine]
        assert await store.lease("work", holder, 60.0)
        assert await store.lease("other work", "somebody", 60.0)
        await store.release("work", "somebody")
        assert not await store.lease("work", "somebody", 60.0)
        await store.release("work", holder)
        assert await store.lease("work", "somebody", 0.0)
        assert await store.lease("work", "next", 60.0)
        assert not await store.lease("work", "somebody", 60.0)

    async def test_a_closed_store_is_unavailable(self, store: Store) -> None:
        await store.write([put("red", "a")], at_us=1)
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            await store.read("red", "a")
        with pytest.raises(StoreUnavailable):
            await store.write([put("red", "b")], at_us=1)

    async def test_closing_finishes_what_was_begun(self, store: Store) -> None:
        writes = [asyncio.ensure_future(store.write([put("red", str(n))], at_us=n)) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
        batches = await asyncio.gather(*writes)
        assert list(range(1, 21)) == sorted(document.revision for batch in batches for document in batch)


def _renamed(write: Write, suffix: str) -> Write:
    return Write(
        write.kind + suffix,
        write.id,
        write.spec,
        write.expect,
        tuple((index + suffix, value) for index, value in write.keys),
        tuple((kind + suffix, id) for kind, id in write.references),
    )


def _outcome(model: ModelStore, batch: list[Write], at_us: int) -> Any:
    try:
        return model.write(batch, at_us)
    except StoreConflict as lost:
        return lost.reason, lost.kind, lost.id, set(lost.others)


async def _real_outcome(store: Store, batch: list[Write], at_us: int) -> Any:
    try:
        return await store.write(batch, at_us=at_us)
    except StoreConflict as lost:
        return lost.reason, lost.kind, lost.id, set(lost.others)


def _by_revision(changes: list[Change]) -> dict[int, set[Change]]:
    grouped: dict[int, set[Change]] = {}
    for change in changes:
        grouped.setdefault(change.revision, set()).add(change)
    return grouped
