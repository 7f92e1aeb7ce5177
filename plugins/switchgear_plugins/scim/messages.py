"""What SCIM says (RFC 7643, 7644): errors, lists, filters, and operations of a PATCH."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.dialect import RouteReply, RouteRequest
from switchgear.errors import ApiError, InvalidRequest

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_API = "urn:ietf:params:scim:api:messages:2.0"
MEDIA_TYPE = "application/scim+json"
_MOST = 200
_MOST_OPERATIONS = 1000
_FILTER = re.compile(
    r'\s*([A-Za-z.$:0-9_]{1,200}(?:\[type eq "[a-z]{1,20}"\]\.value)?)\s+(?i:eq)\s+("(?:[^"\\]|\\.)*"|true|false)\s*'
)
_SCIM_TYPES = {
    400: "invalidValue", 409: "uniqueness", 412: "invalidVers", 422: "invalidValue",
}  # fmt: skip


class Operation(Struct, frozen=True):
    """One operation; its verb in any case, its path None where `value` names the attributes."""

    op: str
    path: str | None = None
    value: Any = None


class Patch(Struct, frozen=True):
    """The body of a PATCH."""

    Operations: list[Operation]


def error(error: ApiError) -> bytes:
    """Encode an error."""
    said: dict[str, Any] = {"schemas": [f"{_API}:Error"], "status": str(error.status), "detail": error.message}
    known = error.code if error.code in ("invalidFilter", "invalidPath", "invalidValue", "uniqueness") else None
    if scim_type := known or _SCIM_TYPES.get(error.status):
        said["scimType"] = scim_type
    return msgspec.json.encode(said)


def reply(body: Any, status: int = 200, location: str | None = None) -> RouteReply:
    """Make an answer."""
    headers = () if location is None else ((b"location", location.encode()),)
    return RouteReply(msgspec.json.encode(body), status, MEDIA_TYPE, headers)


def listed(request: RouteRequest, found: Sequence[Any], shown: Callable[[Sequence[Any]], list[Any]]) -> RouteReply:
    """Answer with a page of what was found, as `shown` makes it of those on the page."""
    start, count = max(1, _number(request, "startIndex", 1)), min(max(0, _number(request, "count", _MOST)), _MOST)
    page = shown(found[start - 1 : start - 1 + count])
    return reply({
        "schemas": [f"{_API}:ListResponse"], "totalResults": len(found), "startIndex": start, "itemsPerPage": len(page),
        "Resources": page,
    })  # fmt: skip


def wanted(request: RouteRequest) -> tuple[str, str] | None:
    """Return the attribute, in lower case, and the value of the query's filter `attribute eq "value"`."""
    text = request.query.get("filter")
    if not text:
        return None
    match = _FILTER.fullmatch(text)
    try:
        value = None if match is None else msgspec.json.decode(match[2])
    except msgspec.DecodeError:
        value = None
    if match is None or value is None:
        raise InvalidRequest('A filter is `attribute eq "value"`.', code="invalidFilter", param="filter")
    return match[1].rpartition(":")[2].lower(), value if isinstance(value, str) else str(value).lower()


def operations(patch: Patch) -> Sequence[tuple[str, str, Any]]:
    """Return the verb, the path in lower case and the value of each operation; those without a path, attribute by attribute."""
    found: list[tuple[str, str, Any]] = []
    for it in patch.Operations[:_MOST_OPERATIONS]:
        verb = it.op.lower()
        if verb not in ("add", "replace", "remove"):
            raise InvalidRequest("An operation is `add`, `replace` or `remove`.", code="invalidValue", param="op")
        if it.path is not None:
            found.append((verb, it.path.removeprefix(f"{USER}:").removeprefix(f"{GROUP}:").lower(), it.value))
        elif isinstance(it.value, Mapping):
            found += [(verb, name.lower(), value) for name, value in it.value.items()]
        else:
            raise InvalidRequest("An operation without `path` has attributes in `value`.", code="invalidPath")
    return found


def truth(value: Any) -> bool:
    """Read a truth; some providers send it as text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidRequest("`active` is true or false.", code="invalidValue", param="active")
    return value


def text(value: Any, attribute: str) -> str | None:
    """Read a text or its absence."""
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"`{attribute}` is a text.", code="invalidValue", param=attribute)
    return value or None


def _number(request: RouteRequest, name: str, default: int) -> int:
    said = request.query.get(name, "")
    if said and not re.fullmatch(r"-?[0-9]{1,9}", said):
        raise InvalidRequest(f"`{name}` is a number.", code="invalidValue", param=name)
    return int(said) if said else default
