"""What admin requests carry besides a body: media type, versions in `If-Match` and `If-None-Match`, query parameters."""

import re
from collections.abc import Collection
from typing import Any

from litestar import Request
from msgspec import Struct

from switchgear.errors import InvalidRequest, UnsupportedMedia

PREFIX = "/admin/v1"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
_ETAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')


class Restore(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version to bring back."""

    version: int


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def expected_versions(request: Request[Any, Any, Any]) -> Collection[int] | None:
    """Return the versions `If-Match` allows; None: any. Compared strongly, so a weak tag matches nothing (RFC 9110 13.1.1)."""
    tags = _tags(request, "if-match")
    return None if tags is None else {int(tag) for weak, tag in tags if not weak and tag.isascii() and tag.isdigit()}


def is_known(request: Request[Any, Any, Any], version: int) -> bool:
    """Say whether `If-None-Match` names this version, so that a 304 will do."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return True
    return any(tag == str(version) for _, tag in _tags(request, "if-none-match") or ())


def _tags(request: Request[Any, Any, Any], header: str) -> list[tuple[bool, str]] | None:
    value = request.headers.get(header)
    if value is None or value.strip() == "*":
        return None
    tags = []
    for part in value.split(","):
        match = _ETAG.fullmatch(part)
        if match is None:
            raise InvalidRequest(
                f'{header} must be "*" or a list of entity tags such as "3"', code="bad_condition", param=header
            )
        tags.append((bool(match[1]), match[2][:18]))
    return tags


def require_media(request: Request[Any, Any, Any], *accepted: str) -> None:
    """Refuse a body of another media type; JSON alone also keeps HTML forms of other sites out."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in accepted:
        raise UnsupportedMedia(f"send the body with content-type {' or '.join(accepted)}", code="unsupported_media")


def parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the query parameters. Raises `InvalidRequest` if one is given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise InvalidRequest(f"`{name[:80]}` is given twice", code="bad_parameter", param=name[:80])
        found[name] = value
    return found


def number(found: dict[str, str], name: str, *, default: int | None, least: int, most: int) -> int | None:
    """Take an integer parameter out of `found`."""
    text = found.pop(name, None)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):  # noqa: PLR2004 - 64 bits
        raise InvalidRequest(f"`{name}` must be a number from {least} to {most}", code="bad_parameter", param=name)
    return int(text)


def no_more(found: dict[str, str]) -> None:
    """Refuse parameters nobody took."""
    if found:
        name = next(iter(found))[:80]
        raise InvalidRequest(f"there is no parameter `{name}` here", code="bad_parameter", param=name)
