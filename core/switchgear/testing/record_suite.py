"""The part of `StoreSuite` that is about records."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchgear.contracts.store import Aggregate, RecordQuery, RecordRow, Store
from switchgear.errors import RecordRefused, StoreError
from switchgear.testing.marks import asyncio_tests

DAY_US = 86_400_000_000


def record(id: str, at_us: int, **members: Any) -> RecordRow:
    """Return a record whose body has these members."""
    return RecordRow(id, at_us, json.dumps(members).encode())


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.sampled_from(["", "x", "1", "true", "é", "'"])
)
_BODIES = st.dictionaries(st.sampled_from(["model", "team", "n", "cost"]), _VALUES)
_ROWS = st.lists(st.tuples(st.integers(0, 3 * DAY_US), _BODIES), max_size=15)
_QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "since_us": st.integers(0, 3 * DAY_US),
        "until_us": st.integers(0, 3 * DAY_US),
        "equals": st.dictionaries(st.sampled_from(["model", "team", "n"]), _VALUES, max_size=2),
        "limit": st.integers(1, 5),
    },
)


@asyncio_tests
class RecordSuite:
    """Append-only facts: kept once, read newest first, added up."""

    async def test_records_are_kept_once_by_kind_time_and_id(self, store: Store) -> None:
        rows = [record("a", 1, n=1), record("b", 2, n=2)]
        assert await store.append("usage", rows) == 2
        assert await store.append("usage", [record("b", 2, n=99), record("c", 3, n=3), record("c", 3, n=4)]) == 1
        assert await store.append("audit", [record("a", 5, n=5)]) == 1
        assert await store.append("usage", []) == 0
        assert [record("c", 3, n=3), rows[1], rows[0]] == await store.scan(RecordQuery("usage"))
        assert [record("a", 5, n=5)] == await store.scan(RecordQuery("audit"))
        assert await store.scan(RecordQuery("nothing")) == []

    async def test_bodies_come_back_byte_for_byte(self, store: Store) -> None:
        bodies = [b' {"a" : 1.0}', '{"é":"\U0001f600 \\u00e9 \\" \\\\"}'.encode(), b'{"n":12345678901234567890}']
        await store.append("usage", [RecordRow(str(n), n, body) for n, body in enumerate(bodies)])
        assert bodies[::-1] == [row.body for row in await store.scan(RecordQuery("usage"))]

    @pytest.mark.parametrize(
        "bad",
        [
            RecordRow("bad", 1, b"[]"),
            RecordRow("bad", 1, b'"text"'),
            RecordRow("bad", 1, b""),
            RecordRow("bad", 1, b'{"a":'),
            RecordRow("bad", 1, b'{"a":"\xff"}'),
            RecordRow("bad", 1, b"{},{}"),
            RecordRow("bad", 1, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
            RecordRow("bad", 1, b'{"a":' + b"[" * 950 + b"]" * 950 + b"}"),
            RecordRow("bad", -1, b"{}"),
            RecordRow("bad", 2**62, b"{}"),
        ],
    )
    async def test_rows_that_can_never_be_kept_are_named_and_nothing_is_written(
        self, store: Store, bad: RecordRow
    ) -> None:
        with pytest.raises(RecordRefused) as caught:
            await store.append("usage", [record("a", 1), bad, record("c", 1)])
        assert caught.value.ids == ("bad",)
        assert await store.scan(RecordQuery("usage")) == []
        assert await store.append("usage", [record("a", 1), record("c", 1)]) == 2

    async def test_a_scan_covers_since_to_before_until(self, store: Store) -> None:
        await store.append("usage", [record(str(at), at) for at in range(10)])
        found = await store.scan(RecordQuery("usage", since_us=3, until_us=7))
        assert [row.at_us for row in found] == [6, 5, 4, 3]

    async def test_pages_go_from_newest_to_oldest_then_by_id_downwards(self, store: Store) -> None:
        rows = [record(id, at) for at in range(5) for id in (f"A{at}", f"a{at}", f"é{at}")]
        await store.append("usage", rows[::2] + rows[1::2])
        seen: list[RecordRow] = []
        while page := await store.scan(
            RecordQuery("usage", before=(seen[-1].at_us, seen[-1].id) if seen else None, limit=2)
        ):
            assert len(page) <= 2
            seen += page
        assert rows[::-1] == seen

    @pytest.mark.parametrize(
        ("equals", "ids"),
        [
            ({"model": "x"}, "a"),
            ({"model": "X"}, ""),
            ({"model": None}, "bcdef"),
            ({"v": 1}, "b"),
            ({"v": True}, "c"),
            ({"v": False}, "e"),
            ({"v": "1"}, "d"),
            ({"v": 0}, ""),
            ({"v": None}, "af"),
            ({"v": 1, "w_2": "y"}, "b"),
            ({"v": 1, "w_2": "z"}, ""),
            ({"w_2": "it's"}, "c"),
        ],
    )
    async def test_members_are_compared_with_their_type(self, store: Store, equals: dict[str, Any], ids: str) -> None:
        rows = [
            record("a", 1, model="x"),
            record("b", 2, model=None, v=1, w_2="y"),
            record("c", 3, v=True, w_2="it's"),
            record("d", 4, v="1"),
            record("e", 5, v=False),
            record("f", 6, v=None),
        ]
        await store.append("usage", rows)
        assert ids[::-1] == "".join(row.id for row in await store.scan(RecordQuery("usage", equals=equals)))

    @pytest.mark.parametrize(
        ("equals", "ids"),
        [
            ({"labels.team": "a"}, "1"),
            ({"labels.team": None}, "345"),
            ({"labels.a.b-c": "x"}, "2"),
            ({"labels.team": "b", "labels.a.b-c": "x", "n": 2}, "2"),
            ({"labels.team": "b", "labels.a.b-c": "y"}, ""),
            ({"labels.n": 1}, "3"),
            ({"labels.n": "1"}, ""),
            ({"labels": None}, "5"),
            ({"labels": None, "labels.team": None}, "5"),
            ({"labels": None, "labels.team": "a"}, ""),
        ],
    )
    async def test_members_of_a_nested_object_have_a_path(self, store: Store, equals: dict[str, Any], ids: str) -> None:
        rows = [
            record("1", 1, labels={"team": "a"}, n=1),
            record("2", 2, labels={"team": "b", "a.b-c": "x"}, n=2),
            record("3", 3, labels={"team": None, "n": 1}),
            record("4", 4, labels="team"),
            record("5", 5),
        ]
        await store.append("usage", rows)
        assert ids[::-1] == "".join(row.id for row in await store.scan(RecordQuery("usage", equals=equals)))
        everything = RecordQuery("usage")
        by_team = [Aggregate((None,), 3, (1,)), Aggregate(("a",), 1, (None,)), Aggregate(("b",), 1, (None,))]
        assert by_team == await store.summarise(everything, ["labels.team"], ["labels.n"])
        by_both = [(None, None), ("a", None), ("b", "x")]
        assert by_both == [found.by for found in await store.summarise(everything, ["labels.team", "labels.a.b-c"], [])]

    async def test_the_oldest_records_of_a_kind_expire_in_steps(self, store: Store) -> None:
        await store.append("usage", [record(str(at), at) for at in range(10)])
        await store.append("audit", [record("0", 0)])
        assert await store.expire("usage", 7, limit=3) == 3
        assert [row.at_us for row in await store.scan(RecordQuery("usage"))] == [9, 8, 7, 6, 5, 4, 3]
        assert await store.expire("usage", 7) == 4
        assert await store.expire("usage", 7) == 0
        assert [row.at_us for row in await store.scan(RecordQuery("usage"))] == [9, 8, 7]
        assert len(await store.scan(RecordQuery("audit"))) == 1
        assert await store.append("usage", [record("6", 6)]) == 1

    @pytest.mark.parametrize(
        "name",
        ["", "a.", ".b", "a.b c", 'a."b"', "a.é", "a." + "x" * 65, "a b", 'a"b', "a'", "$", "a[0]", "é", "1a", "a\n"],
    )
    async def test_what_is_not_the_name_of_a_member_is_refused(self, store: Store, name: str) -> None:
        await store.append("usage", [record("a", 1, a=1)])
        with pytest.raises(StoreError):
            await store.scan(RecordQuery("usage", equals={name: 1}))
        with pytest.raises(StoreError):
            await store.summarise(RecordQuery("usage"), [name], [])
        with pytest.raises(StoreError):
            await store.summarise(RecordQuery("usage"), [], [name])

    async def test_a_summary_groups_and_adds_up(self, store: Store) -> None:
        rows = [
            record("a", 1, model="x", team="t1", tokens=1, cost=10),
            record("b", 2, model="x", team="t1", tokens=2, cost=None),
            record("c", 3, model="x", team="t2", tokens=4),
            record("d", 4, model="y", team="t2", tokens=0, cost=5),
            record("e", 5, team="t2", tokens=True, cost="7"),
        ]
        await store.append("usage", rows)
        everything = RecordQuery("usage")
        assert [Aggregate((), 5, (7, 15))] == await store.summarise(everything, [], ["tokens", "cost"])
        by_model = [Aggregate((None,), 1, (None,)), Aggregate(("x",), 3, (10,)), Aggregate(("y",), 1, (5,))]
        assert by_model == await store.summarise(everything, ["model"], ["cost"])
        by_both = [
            Aggregate(("t1", "x"), 2, (3,)),
            Aggregate(("t2", None), 1, (None,)),
            Aggregate(("t2", "x"), 1, (4,)),
            Aggregate(("t2", "y"), 1, (0,)),
        ]
        assert by_both == await store.summarise(everything, ["team", "model"], ["tokens"])
        assert by_both[:2] == await store.summarise(RecordQuery("usage", limit=2), ["team", "model"], ["tokens"])
        some = RecordQuery("usage", since_us=2, until_us=4, equals={"model": "x"})
        assert [Aggregate(("t1",), 1, ()), Aggregate(("t2",), 1, ())] == await store.summarise(some, ["team"], [])

    async def test_a_summary_of_nothing_has_no_groups(self, store: Store) -> None:
        assert await store.summarise(RecordQuery("usage"), ["model"], ["cost"]) == []

    async def test_a_summary_by_day_uses_utc_dates(self, store: Store) -> None:
        times = [0, DAY_US - 1, DAY_US, 1_709_164_800_000_000, 1_767_225_599_999_999]
        await store.append("usage", [record(str(at), at, model="x", n=1, day="ignored") for at in times])
        expected = [
            Aggregate(("1970-01-01", "x"), 2, (2,)),
            Aggregate(("1970-01-02", "x"), 1, (1,)),
            Aggregate(("2024-02-29", "x"), 1, (1,)),
            Aggregate(("2025-12-31", "x"), 1, (1,)),
        ]
        assert expected == await store.summarise(RecordQuery("usage"), ["day", "model"], ["n"])
        found = await store.summarise(RecordQuery("usage", limit=3), ["hour", "minute"], [])
        assert [("1970-01-01T00:00Z", "1970-01-01T00:00Z"), ("1970-01-01T23:00Z", "1970-01-01T23:59Z"),
                ("1970-01-02T00:00Z", "1970-01-02T00:00Z")] == [group.by for group in found]  # fmt: skip

    async def test_a_summary_writes_keys_as_text(self, store: Store) -> None:
        values = [True, False, 7, -3, "7", "true", None, ""]
        await store.append("usage", [record(str(n), n, v=value) for n, value in enumerate(values)])
        found = await store.summarise(RecordQuery("usage"), ["v"], [])
        expected = [(None, 1), ("", 1), ("-3", 1), ("7", 2), ("false", 1), ("true", 2)]
        assert expected == [(group.by[0], group.count) for group in found]

    async def test_a_summary_has_bounds(self, store: Store) -> None:
        members = [f"m{n}" for n in range(17)]
        await store.append("usage", [record("a", 1, **dict.fromkeys(members, 2))])
        assert [Aggregate((), 1, (2,) * 16)] == await store.summarise(RecordQuery("usage"), [], members[:16])
        with pytest.raises(StoreError):
            await store.summarise(RecordQuery("usage"), [], members)
        with pytest.raises(StoreError):
            await store.summarise(RecordQuery("usage"), members[:4], [])

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,  # several stores inherit this in one run
        ],
    )
    @given(
        rows=_ROWS, query=_QUERIES, by=st.lists(st.sampled_from(["model", "team", "n", "day"]), unique=True, max_size=3)
    )
    async def test_any_records_are_found_and_added_up_as_by_hand(
        self, store: Store, rows: list[tuple[int, dict[str, Any]]], query: dict[str, Any], by: list[str]
    ) -> None:
        # The store outlives one example, so each has a kind of its own.
        (examples,) = await store.summarise(RecordQuery("examples"), [], []) or [Aggregate((), 0, ())]
        await store.append("examples", [record(str(examples.count), 1)])
        kind = f"example{examples.count}"
        kept = [record(f"{n:02}", at_us, **members) for n, (at_us, members) in enumerate(rows)]
        await store.append(kind, kept)
        asked = RecordQuery(kind, **query)
        matching = sorted(
            (row for row in kept if _matches(row, asked)), key=lambda row: (row.at_us, row.id), reverse=True
        )
        assert matching[: asked.limit] == await store.scan(asked)
        groups: dict[tuple[str | None, ...], list[dict[str, Any]]] = {}
        for row in matching:
            groups.setdefault(tuple(_member(row, name) for name in by), []).append(msgspec.json.decode(row.body))
        ordered = sorted(groups.items(), key=lambda group: [(value is not None, value) for value in group[0]])
        expected = [
            Aggregate(key, len(bodies), (_total(bodies, "n"), _total(bodies, "cost"))) for key, bodies in ordered
        ]
        assert expected[: asked.limit] == await store.summarise(asked, by, ["n", "cost"])


def _matches(row: RecordRow, query: RecordQuery) -> bool:
    body = msgspec.json.decode(row.body)
    in_time = query.since_us <= row.at_us and (query.until_us is None or row.at_us < query.until_us)
    return in_time and all(
        (type(body.get(name)), body.get(name)) == (type(value), value) for name, value in query.equals.items()
    )


def _member(row: RecordRow, name: str) -> str | None:
    if name == "day":
        return ("1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04")[row.at_us // DAY_US]
    value = msgspec.json.decode(row.body).get(name)
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _total(bodies: list[dict[str, Any]], name: str) -> int | None:
    numbers = [body[name] for body in bodies if type(body.get(name)) is int]
    return sum(numbers) if numbers else None
