"""The part of `StoreSuite` that is about finding documents by what they hold."""

from switchgear.contracts.store import Store
from switchgear.testing.marks import asyncio_tests
from switchgear.testing.race_suite import drop, put


@asyncio_tests
class LookupSuite:
    """What is found, and in which order, is the same however many there are."""

    async def test_pages_go_through_a_kind_in_order_of_code_points(self, store: Store) -> None:
        ids = ["B", "Z", "a", "a1", "aa", "z", "é", "\uffee", "\U0001f600"]
        await store.write([put("red", id) for id in reversed(ids)] + [put("blue", "b")], at_us=1)
        seen: list[str] = []
        while page := await store.page("red", after=seen[-1] if seen else "", limit=2):
            assert len(page) <= 2
            seen += [document.id for document in page]
        assert ids == seen

    async def test_a_page_may_be_of_those_alone_that_name_something(self, store: Store) -> None:
        named = (("blue", "b"),)
        batch = [put("blue", "b"), put("red", "other"), put("green", "g", references=named)]
        await store.write([*batch, *(put("red", id, references=named) for id in ("z", "a", "é"))], at_us=1)
        seen: list[str] = []
        while page := await store.page("red", after=seen[-1] if seen else "", limit=2, naming=("blue", "b")):
            assert len(page) <= 2
            seen += [document.id for document in page]
        assert ["a", "z", "é"] == seen
        assert [] == await store.page("red", naming=("blue", "nobody"))

    async def test_keys_are_found_by_what_they_begin_with(self, store: Store) -> None:
        keys = ["a", "ab", "ab%", "aB", "ab\uffff", "abc", "ab\U0001f600", "b", "_b"]
        await store.write(
            [put("red", f"r{at}", keys=(("index", key), ("other", f"x{key}"))) for at, key in enumerate(keys)], at_us=1
        )

        async def found(prefix: str, limit: int = 100) -> list[str]:
            documents = await store.search("index", prefix, limit=limit)
            return [keys[int(document.id[1:])] for document in documents]

        assert ["ab", "ab%", "abc", "ab\uffff", "ab\U0001f600"] == await found("ab")
        assert ["ab", "ab%"] == await found("ab", limit=2)
        assert ["_b"] == await found("_")
        assert ["ab%"] == await found("ab%")
        assert sorted(keys) == await found("")
        await store.write([drop("red", "r1")], at_us=2)
        assert ["ab%", "abc"] == await found("ab", limit=2)

    async def test_a_search_may_be_of_those_alone_that_name_something(self, store: Store) -> None:
        named = (("blue", "b"),)
        batch = [put("blue", "b"), put("red", "other", keys=(("index", "ab"),))]
        ours = {"1": "ac", "2": "aa", "3": "b"}
        batch += [put("red", id, keys=(("index", key),), references=named) for id, key in ours.items()]
        await store.write(batch, at_us=1)
        assert ["2", "1"] == [it.id for it in await store.search("index", "a", naming=("blue", "b"))]
        assert ["2"] == [it.id for it in await store.search("index", "", limit=1, naming=("blue", "b"))]
        assert [] == await store.search("index", "a", naming=("blue", "nobody"))
