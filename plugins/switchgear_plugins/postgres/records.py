"""Records as PostgreSQL keeps them: rows on their way in, and questions about them as parameters of statements."""

from collections.abc import Mapping, Sequence
from typing import Any

from switchgear.contracts.store import END_OF_TIME, RecordQuery, RecordRow, check_records, member_path
from switchgear.contracts.store_rules import summary_members

_LAST_ID = "\U0010ffff"


def rows_of(kind: str, rows: Sequence[RecordRow]) -> dict[str, Any]:
    """Return the parameters that append rows. Raises `RecordRefused`."""
    check_records(kind, rows)
    bodies = [row.body.decode() for row in rows]
    return {
        "kind": kind,
        "ids": [row.id for row in rows],
        "times": [row.at_us for row in rows],
        "bodies": bodies,
        "plain": [r"\u0000" not in body for body in bodies],
    }


def bounds(query: RecordQuery) -> dict[str, Any]:
    """Return the parameters of a query. Raises `StoreError`."""
    before_us, before_id = query.before or (END_OF_TIME, _LAST_ID)
    return {
        "kind": query.kind,
        "since_us": query.since_us,
        "until_us": END_OF_TIME if query.until_us is None else query.until_us,
        "before_us": before_us,
        "before_id": before_id,
        "limit": query.limit,
        **_equal(query.equals),
    }


def groups(by: Sequence[str], sums: Sequence[str]) -> dict[str, str | None]:
    """Return the further parameters of a summary. Raises `StoreError`."""
    return summary_members(by, sums, path_of)


def path_of(member: str) -> str:
    """Write the path of a member as a literal of an array; the names in it have no characters that would end one."""
    return "{" + ",".join(f'"{name}"' for name in member_path(member)) + "}"


def _equal(equals: Mapping[str, str | int | bool | None]) -> dict[str, list[Any]]:
    paths: list[str] = []
    types: list[str] = []
    texts: list[str | None] = []
    for member, wanted in equals.items():
        paths.append(path_of(member))
        if wanted is None:
            types.append("null")
            texts.append(None)
        elif isinstance(wanted, bool):
            types.append("boolean")
            texts.append(str(wanted).lower())
        elif isinstance(wanted, int):
            types.append("number")
            texts.append(str(wanted))
        else:  # no text here has a NUL in it, so what has one equals none
            types.append("none" if "\0" in wanted else "string")
            texts.append(wanted.replace("\0", ""))
    return {"paths": paths, "types": types, "texts": texts}
