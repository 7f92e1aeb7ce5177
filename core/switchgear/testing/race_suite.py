"""The part of `StoreSuite` that is about who wins."""

import asyncio
from typing import Any

from switchgear.contracts.store import Replay, Store, Write
from switchgear.errors import StoreConflict
from switchgear.testing.marks import asyncio_tests


def put(kind: str, id: str, spec: bytes = b"{}", **rest: Any) -> Write:
    """Return a write that puts a document."""
    return Write(kind, id, spec, **rest)


def drop(kind: str, id: str, **rest: Any) -> Write:
    """Return a write that deletes a document."""
    return Write(kind, id, None, **rest)


@asyncio_tests
class RaceSuite:
    """Of many who want the same thing, one gets it, and nobody gets half of it."""

    async def test_of_200_creates_of_one_id_exactly_one_wins(self, store: Store) -> None:
        racers = [store.write([put("red", "a", b"%d" % n, expect=0)], at_us=n) for n in range(200)]
        outcomes = await asyncio.gather(*racers, return_exceptions=True)
        lost = [outcome.reason for outcome in outcomes if isinstance(outcome, StoreConflict)]
        won = [outcome for outcome in outcomes if isinstance(outcome, list)]
        assert lost == ["exists"] * 199
        assert len(won) == 1
        assert won[0] == await store.versions("red", "a")

    async def test_of_50_updates_of_one_version_exactly_one_wins(self, store: Store) -> None:
        await store.write([put("red", "a")], at_us=0)
        racers = [store.write([put("red", "a", b"%d" % n, expect=1)], at_us=n) for n in range(50)]
        outcomes = await asyncio.gather(*racers, return_exceptions=True)
        lost = [outcome.reason for outcome in outcomes if isinstance(outcome, StoreConflict)]
        assert lost == ["stale"] * 49
        assert len(await store.versions("red", "a")) == 2

    async def test_of_50_claims_of_one_key_exactly_one_wins(self, store: Store) -> None:
        racers = [store.write([put("red", str(n), keys=(("index", "k"),))], at_us=n) for n in range(50)]
        outcomes = await asyncio.gather(*racers, return_exceptions=True)
        lost = [outcome.reason for outcome in outcomes if isinstance(outcome, StoreConflict)]
        assert lost == ["key_taken"] * 49
        (winner,) = await store.page("red")
        assert winner == await store.lookup("index", "k")

    async def test_of_50_writes_with_one_idempotency_key_exactly_one_wins(self, store: Store) -> None:
        racers = [
            store.write([put("red", str(n))], at_us=n, replay=Replay("scope", "key", "print", b"%d" % n, n))
            for n in range(50)
        ]
        outcomes = await asyncio.gather(*racers, return_exceptions=True)
        assert len([outcome for outcome in outcomes if isinstance(outcome, StoreConflict)]) == 49
        (winner,) = await store.page("red")
        answer = await store.recall("scope", "key")
        assert answer is not None
        assert winner.id.encode() == answer.answer

    async def test_a_reference_never_outlives_what_it_names(self, store: Store) -> None:
        for n in range(20):
            await store.write([put("credentials", str(n))], at_us=1)
            racers = [
                store.write([drop("credentials", str(n))], at_us=2),
                store.write([put("providers", str(n), references=(("credentials", str(n)),))], at_us=2),
            ]
            if n % 2:
                racers.reverse()
            outcomes = await asyncio.gather(*racers, return_exceptions=True)
            (lost,) = [outcome for outcome in outcomes if isinstance(outcome, StoreConflict)]
            assert lost.reason in {"in_use", "missing_reference"}
            credential = await store.read("credentials", str(n))
            provider = await store.read("providers", str(n))
            assert (credential is None) == (provider is None)

    async def test_concurrent_batches_each_get_a_revision_of_their_own(self, store: Store) -> None:
        written = await asyncio.gather(
            *(store.write([put("red", str(n)), put("blue", str(n))], at_us=n) for n in range(60))
        )
        assert [{revision} for revision in range(1, 61)] == sorted(
            ({document.revision for document in batch} for batch in written), key=min
        )

    async def test_a_cancelled_write_is_done_whole_or_not_at_all(self, store: Store) -> None:
        for attempt in range(20):
            batch = [put(f"kind{attempt}", str(n)) for n in range(20)]
            task = asyncio.ensure_future(store.write(batch, at_us=1))
            for _ in range(attempt):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # A write of one's own comes after whatever the cancelled one still does.
            await store.write([put("barrier", str(attempt))], at_us=2)
            assert len(await store.page(f"kind{attempt}")) in {0, 20}
