"""Questions about records, as statements: which members they name decides how they are written, values are always bound."""

from collections.abc import Mapping, Sequence
from typing import Any

from switchgear.contracts.store import END_OF_TIME, RecordQuery, RecordRow, check_records, member_path
from switchgear.errors import StoreError

_MOST_BY = 3
_MOST_SUMS = 16
_READABLE = r"(CASE WHEN plain THEN body ELSE replace(body, '\u0000', '\ufffd') END)::json"
"""The body as JSON whose texts PostgreSQL can hold."""


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


def scan(query: RecordQuery) -> tuple[str, list[Any]]:
    """Return the statement that finds records, and what it is given. Raises `StoreError`."""
    where, values = _where(query)
    statement = f"SELECT id, at_us, body FROM records WHERE {where} ORDER BY at_us DESC, id DESC LIMIT %s"  # noqa: S608 - bound
    return statement, [*values, query.limit]


def summarise(query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the statement that groups records and adds up, and what it is given. Raises `StoreError`."""
    if len(by) > _MOST_BY or len(sums) > _MOST_SUMS:
        raise StoreError(f"a summary takes at most {_MOST_BY} members to group by and {_MOST_SUMS} to add up")
    columns: list[str] = []
    values: list[Any] = []
    for n, member in enumerate(by):
        if member == "day":
            columns.append(f"to_char(to_timestamp(at_us / 1000000), 'YYYY-MM-DD') AS by_{n}")
        else:
            path = list(member_path(member))
            columns.append(f"CASE json_typeof(j #> %s) WHEN 'null' THEN NULL ELSE j #>> %s END AS by_{n}")
            values += (path, path)
    for n, member in enumerate(sums):
        path = list(member_path(member))
        columns.append(
            f"CASE WHEN json_typeof(j #> %s) = 'number' AND (j #>> %s) ~ '^-?[0-9]+$' THEN (j #>> %s)::numeric END AS sum_{n}"
        )
        values += (path, path, path)
    where, bound = _where(query)
    grouped = [f'by_{n} COLLATE "C"' for n in range(len(by))]
    told = [*grouped, "count(*)", *(f"sum(sum_{n})" for n in range(len(sums)))]
    inner = ", ".join(columns) or "1"
    ends = f" GROUP BY {', '.join(grouped)}" if grouped else " HAVING count(*) > 0"
    order = f" ORDER BY {', '.join(f'{one} NULLS FIRST' for one in grouped)}" if grouped else ""
    statement = (  # made of what is written here; what comes from outside is bound
        f"SELECT {', '.join(told)} FROM (SELECT {inner} FROM"  # noqa: S608
        f" (SELECT at_us, {_READABLE} AS j FROM records WHERE {where}) AS readable) AS found{ends}{order} LIMIT %s"
    )
    return statement, [*values, *bound, query.limit]


def _where(query: RecordQuery) -> tuple[str, list[Any]]:
    until_us = END_OF_TIME if query.until_us is None else query.until_us
    conditions = ["kind = %s", "at_us >= %s", "at_us < %s"]
    values: list[Any] = [query.kind, query.since_us, until_us]
    if query.before is not None:
        conditions.append("(at_us, id) < (%s, %s)")
        values += query.before
    for condition, bound in _equal(query.equals):
        conditions.append(condition)
        values += bound
    return " AND ".join(conditions), values


def _equal(equals: Mapping[str, str | int | bool | None]) -> list[tuple[str, list[Any]]]:
    found: list[tuple[str, list[Any]]] = []
    for member, wanted in equals.items():
        path = list(member_path(member))
        if wanted is None:
            found.append((f"coalesce(json_typeof({_READABLE} #> %s), 'null') = 'null'", [path]))
        elif isinstance(wanted, str) and "\0" in wanted:
            found.append(("false", []))
        else:
            of_type = {bool: "boolean", int: "number"}.get(type(wanted), "string")
            text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
            found.append(
                (f"json_typeof({_READABLE} #> %s) = '{of_type}' AND {_READABLE} #>> %s = %s", [path, path, text])
            )
    return found
