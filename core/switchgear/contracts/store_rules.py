"""What every store decides in the same way, whatever it keeps documents and records in; for whoever writes one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from switchgear.contracts.store import Document, Write
from switchgear.errors import StoreConflict, StoreError

LAST_CHARACTER = "\U0010ffff"
"""What comes after all that follows a prefix, in the order of code points."""
MOST_OTHERS = 20
"""How many of the documents in the way a conflict names."""
MOST_BY = 3
MOST_SUMS = 16
"""Members that a summary groups by, and adds up, at most."""
TIMES: Mapping[str, str] = MappingProxyType({"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00Z", "minute": "%Y-%m-%dT%H:%MZ"})
"""What a summary groups by besides members: the time of a record in UTC, written so."""


def check_batch(batch: Sequence[Write]) -> None:
    """Raise `StoreError` for a batch that names a document twice."""
    if len({(write.kind, write.id) for write in batch}) < len(batch):
        raise StoreError("a batch names a document twice: give only its last state")


def next_version(write: Write, latest: tuple[int, int, bool] | None, revision: int, at_us: int) -> Document:
    """Return the version that a write makes. `latest` is the newest there is: its number, `created_us` and whether it is deleted.

    Raises `StoreConflict` where another version is expected.
    """
    version, created_us, deleted = latest or (0, at_us, True)
    if deleted:
        if write.spec is None or write.expect:
            raise StoreConflict("missing", write.kind, write.id)
        created_us = at_us
    elif write.expect == 0:
        raise StoreConflict("exists", write.kind, write.id)
    elif write.expect not in {None, version}:
        raise StoreConflict("stale", write.kind, write.id)
    return Document(
        kind=write.kind,
        id=write.id,
        version=version + 1,
        revision=revision,
        spec=write.spec or b"",
        owner=write.owner,
        created_us=created_us,
        updated_us=at_us,
        actor=write.actor,
        deleted=write.spec is None,
    )


def refuse(reason: str, write: Write, others: Iterable[tuple[str, str]]) -> None:
    """Raise `StoreConflict` if there are others, (kind, id) each, in the way of a write."""
    names = tuple(dict.fromkeys(f"{kind}/{id}" for kind, id in others))
    if names:
        raise StoreConflict(reason, write.kind, write.id, names[:MOST_OTHERS])


def check_summary(by: Sequence[str], sums: Sequence[str]) -> None:
    """Raise `StoreError` for a summary of too many members."""
    if len(by) > MOST_BY or len(sums) > MOST_SUMS:
        raise StoreError(f"a summary takes at most {MOST_BY} members to group by and {MOST_SUMS} to add up")


def summary_members(by: Sequence[str], sums: Sequence[str], path: Callable[[str], str]) -> dict[str, str | None]:
    """Return the members of a summary as parameters `by_1` … and `sum_1` …, as `path` writes them; None where there is none.

    Raises `StoreError`.
    """
    check_summary(by, sums)
    values: dict[str, str | None] = {}
    for n in range(MOST_BY):
        values[f"by_{n + 1}"] = (by[n] if by[n] in TIMES else path(by[n])) if n < len(by) else None
    for n in range(MOST_SUMS):
        values[f"sum_{n + 1}"] = path(sums[n]) if n < len(sums) else None
    return values


def parents_first(parents: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Put tables in an order in which each comes after those that it refers to; what refers to each other stays by name."""
    ordered: list[str] = []
    left = dict(sorted(parents.items()))
    while left:
        ready = [name for name, its in left.items() if not (its - {name}) & left.keys()] or [next(iter(left))]
        for name in ready:
            del left[name]
        ordered += ready
    return ordered
