"""Questions about usage as people write them: filters, times, cursors."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from switchgear.contracts.exchange import Outcome
from switchgear.contracts.principal import Scope
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import Aggregate, RecordQuery, member_path
from switchgear.errors import InvalidRequest, PermissionDenied, StoreError

MOST_BY = 3
ONLY_SUMMARY = ("day", "hour", "minute")
_MICROSECONDS = re.compile(r"[0-9]{1,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAST_MICROSECONDS = 10**14
"""In March 1973: what is less are seconds, milliseconds, or a date without its dashes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OTHERS = frozenset({"limit", "cursor", "by", "format"})
TIMES = (
    "A time is RFC 3339 (UTC if it does not say), or microseconds since 1970. A date is a whole day in UTC: "
    "`since=2026-11-30&until=2026-11-30` is that day. `labels.NAME=…` is a label; `null` is no value."
)


def groups_of(by: str, kind: RecordKind) -> list[str]:
    """Read what to group by. Raises `InvalidRequest`."""
    names = [name for name in by.split(",") if name]
    if not 0 < len(names) <= MOST_BY or not all(name in ONLY_SUMMARY or _is_dimension(kind, name) for name in names):
        known = ", ".join((*kind.dimensions, *ONLY_SUMMARY))
        raise InvalidRequest(f"`by` takes one to three of {known}.", param="by", code="invalid_value")
    return names


def query_of(
    params: Mapping[str, Any], kind: RecordKind, *, limit: int, before: tuple[int, str] | None = None
) -> RecordQuery:
    """Read filters. Raises `InvalidRequest`."""
    equals: dict[str, str | int | bool | None] = {}
    fields = {field.name: field.type for field in msgspec.structs.fields(kind.type)}
    since, until = 0, None
    for name, value in params.items():
        if name in _OTHERS:
            continue
        if name == "since":
            since = _instant(name, value)
        elif name == "until":
            until = _instant(name, value, end=True)
        elif _is_dimension(kind, name):
            equals[name] = _typed(name, value, fields.get(name, str))
        else:
            message = f"There is no filter `{name}`; filters are since, until, {', '.join(kind.dimensions)}."
            raise InvalidRequest(message, param=name, code="unknown_parameter")
    return RecordQuery(kind.name, since, until, equals, before, limit)


def sums_of(group: Aggregate, kind: RecordKind) -> dict[str, int | None]:
    """Return the sums of a group by name. A cost of nothing, where calls have no price, is not known."""
    sums = dict(zip(kind.measures, group.sums, strict=True))
    if sums["unpriced"] and not sums["cost_microusd"]:
        sums["cost_microusd"] = None
    return sums


def bounded(query: RecordQuery, scope: Scope, kind: RecordKind) -> RecordQuery:
    """Leave of a query what is within somebody's bounds, which are dimensions with one value each. Raises `PermissionDenied`."""
    equals = dict(query.equals)
    for name, values in (scope.filter or {}).items():
        if not _is_dimension(kind, name) or len(values) != 1:
            raise PermissionDenied("You may not see usage here.", code="not_permitted")
        if equals.setdefault(name, values[0]) != values[0]:
            return msgspec.structs.replace(query, since_us=0, until_us=0)  # somebody else's: nothing is there
    return msgspec.structs.replace(query, equals=equals)


def _typed(name: str, value: str, type: Any) -> str | int | bool | None:
    if value == "null":
        return None
    if name == "outcome" and value not in list(Outcome):
        known = ", ".join(Outcome)
        raise InvalidRequest(f"`outcome` is one of {known}.", param=name, code="invalid_value")
    try:
        converted: str | int | bool | None = msgspec.convert(value, type, strict=False)
    except msgspec.ValidationError:
        raise InvalidRequest(f"`{name}` cannot be {value[:50]!r}.", param=name, code="invalid_value") from None
    return converted


def _is_dimension(kind: RecordKind, name: str) -> bool:
    if not kind.has_dimension(name):
        return False
    try:
        member_path(name)
    except StoreError:
        return False
    return True


def _instant(name: str, value: str, *, end: bool = False) -> int:
    """Read microseconds since the epoch, or an RFC 3339 time (UTC if it does not say), or a date: its begin or its `end`."""
    if _MICROSECONDS.fullmatch(value) and (int(value) >= _LEAST_MICROSECONDS or not int(value)):
        return int(value)
    try:
        if _MICROSECONDS.fullmatch(value):
            raise ValueError(value)  # noqa: TRY301 - what is no time is refused in one place
        moment = datetime.fromisoformat(value)
        if _DATE.fullmatch(value) and end:
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        message = f"`{name}` is a time as 2026-01-31T12:00:00Z, a date as 2026-01-31, or microseconds since 1970."
        raise InvalidRequest(message, param=name, code="invalid_value") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, (moment - _EPOCH) // _MICROSECOND)


def encode_cursor(at_us: int, id: str) -> str:
    """Write where a page ended."""
    return base64.urlsafe_b64encode(f"{at_us}:{id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[int, str] | None:
    """Read where a page ended. Raises `InvalidRequest`."""
    if cursor is None:
        return None
    try:
        at_us, _, id_ = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except (binascii.Error, ValueError):
        at_us, id_ = "", ""
    if not _MICROSECONDS.fullmatch(at_us):
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(at_us), id_
