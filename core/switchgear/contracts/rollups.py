"""Sums by the hour that a store keeps as records come, and which questions they answer. For whoever writes a store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from switchgear.contracts.store import Aggregate, RecordQuery

MOST_DIMENSIONS = 6
MOST_MEASURES = 8
HOUR_US = 3_600_000_000
_END = 2**62
_TIMES = frozenset({"day", "hour"})


class Rollup(Struct, frozen=True):
    """Sums of `sums`, integer members, by `by`: at most eight by at most six, which are texts; and by so many `hours`."""

    kind: str
    by: tuple[str, ...]
    sums: tuple[str, ...]
    hours: int = 1

    @property
    def name(self) -> str:
        """What tells it from others of its kind."""
        return f"{','.join(self.by)}:{','.join(self.sums)}:{self.hours}"


@runtime_checkable
class RollsUp(Protocol):
    """A store that keeps sums, beyond the `Store` contract: its `summarise` answers from them what they can answer."""

    async def roll_up(self, kind: str, rollups: Sequence[Rollup]) -> None:
        """Keep these sums of a kind from now on, of the records that are there as well, and no others."""
        ...


class FromHours(Struct, frozen=True):
    """How a question is answered from sums: hours `since` to `until`, and for the `edges` that are left at both ends those of
    shorter times, if such sums know an answer (`finer`), else records themselves.
    """

    rollup: Rollup
    since: int
    until: int
    edges: tuple[tuple[int, int | None], ...]

    def finer(self, rollups: Sequence[Rollup]) -> list[Rollup]:
        """Return the sums of shorter times than these."""
        return [it for it in rollups if it.hours < self.rollup.hours]

    def places(self, by: Sequence[str]) -> list[str | None]:
        """Return what each of three groups is: the place of a member, `day` or `hour`."""
        found: list[str | None] = [name if name in _TIMES else str(self.rollup.by.index(name) + 1) for name in by]
        return found + [None] * (3 - len(found))


def from_hours(
    rollups: Sequence[Rollup], query: RecordQuery, by: Sequence[str], sums: Sequence[str]
) -> FromHours | None:
    """Return how sums answer a question; None where they do not."""
    wanted = set(by) - _TIMES | query.equals.keys()
    longest = 1 if "hour" in by else 24
    texts = all(value is None or isinstance(value, str) for value in query.equals.values())
    if query.before is not None or not texts:
        return None
    known = (it for it in rollups if it.kind == query.kind and it.hours <= longest)
    fitting = [it for it in known if wanted <= set(it.by) and set(sums) <= set(it.sums)]
    plans = [plan for it in fitting if (plan := _plan(it, query)) is not None]
    return min(plans, key=lambda it: (-it.rollup.hours, len(it.rollup.by)), default=None)


def _plan(rollup: Rollup, query: RecordQuery) -> FromHours | None:
    length_us = rollup.hours * HOUR_US
    since_us = -(-query.since_us // length_us) * length_us
    until_us = (_END if query.until_us is None else query.until_us) // length_us * length_us
    if until_us <= since_us:
        return None
    edges: list[tuple[int, int | None]] = []
    if query.since_us < since_us:
        edges.append((query.since_us, since_us))
    if query.until_us is not None and until_us < query.until_us:
        edges.append((until_us, query.until_us))
    return FromHours(rollup, since_us // HOUR_US, until_us // HOUR_US, tuple(edges))


def merged(parts: Sequence[Sequence[Aggregate]], limit: int) -> list[Aggregate]:
    """Add groups of several summaries up, in the order of a summary."""
    if len(parts) == 1:
        return list(parts[0])
    found: dict[tuple[str | None, ...], Aggregate] = {}
    for group in (group for part in parts for group in part):
        known = found.get(group.by)
        found[group.by] = group if known is None else _added(known, group)
    ordered = sorted(found.values(), key=lambda it: [(name is not None, name or "") for name in it.by])
    return ordered[:limit]


def values(rollup: Rollup, equals: Mapping[str, str | int | bool | None]) -> dict[str, str | int | None]:
    """Return the parameters `is_1`, `value_1` … of a statement that holds places to values."""
    found: dict[str, str | int | None] = {}
    for place in range(MOST_DIMENSIONS):
        name = rollup.by[place] if place < len(rollup.by) else None
        is_wanted = name is not None and name in equals
        value = equals[name] if name is not None and is_wanted else None
        found[f"is_{place + 1}"] = int(is_wanted)
        found[f"value_{place + 1}"] = value if isinstance(value, str) else None
    return found


def _added(one: Aggregate, other: Aggregate) -> Aggregate:
    sums = tuple(b if a is None else a if b is None else a + b for a, b in zip(one.sums, other.sums, strict=True))
    return Aggregate(one.by, one.count + other.count, sums)


def named(kind: str, name: str) -> Rollup:
    """Return the sums that a name says."""
    by, sums, hours = name.split(":")
    return Rollup(kind, tuple(by.split(",")), tuple(filter(None, sums.split(","))), int(hours))


def paths_of(rollup: Rollup, path: Callable[[str], str]) -> dict[str, str | int | None]:
    """Return what a store keeps of sums: the members as `path` writes them, None where there is none."""
    found: dict[str, str | int | None] = {"kind": rollup.kind, "name": rollup.name, "hours": rollup.hours}
    for prefix, members, most in (("by", rollup.by, MOST_DIMENSIONS), ("sum", rollup.sums, MOST_MEASURES)):
        for place in range(most):
            found[f"{prefix}_{place + 1}"] = path(members[place]) if place < len(members) else None
    return found


def hours_of(plan: FromHours, query: RecordQuery, by: Sequence[str]) -> dict[str, str | int | None]:
    """Return the parameters of a statement that adds up hours."""
    groups = {f"by_{place + 1}": group for place, group in enumerate(plan.places(by))}
    return {
        "kind": query.kind,
        "rollup": plan.rollup.name,
        "from_hour": plan.since,
        "to_hour": plan.until,
        "limit": query.limit,
        **groups,
        **values(plan.rollup, query.equals),
    }
