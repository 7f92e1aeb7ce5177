"""Ids and cursors."""

import base64
import binascii
import re

from switchgear.errors import InvalidRequest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,49}")
ID_PATTERN = f"^{_ID.pattern}$"
ID_RULE = (
    "use 1 to 50 letters, digits, hyphens, underscores, dots and colons, a letter or digit first, no two dots in a row"
)


MAX_ID = 50


def is_id(value: object, *, slashes: bool = False) -> bool:
    """Say whether a value may name a resource: nothing that a path, URL or file name could read as something else.

    With `slashes`, several such joined by them, no longer together.
    """
    if not isinstance(value, str) or len(value) > MAX_ID or ".." in value:
        return False
    return all(_ID.fullmatch(part) for part in (value.split("/") if slashes else [value]))


def id_pattern(*, slashes: bool) -> str:
    """Return the regular expression of ids, for descriptions."""
    return f"^(?=.{{1,{MAX_ID}}}$){_ID.pattern}(/{_ID.pattern})*$" if slashes else ID_PATTERN


def id_rule(*, slashes: bool) -> str:
    """Say what an id may be."""
    return f"{ID_RULE}; slashes may stand between such" if slashes else ID_RULE


def encode_cursor(kind: str, after: str) -> str:
    """Return the opaque form of "after this id of this kind"."""
    return base64.urlsafe_b64encode(f"{kind}/{after}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str, *, slashes: bool = False) -> str:
    """Return the id a cursor stands at. Raises `InvalidRequest` for anything `encode_cursor` did not make for this kind."""
    try:
        text = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    owner, _, after = text.partition("/")
    if owner != kind or not is_id(after, slashes=slashes):
        raise InvalidRequest(
            "this is not a cursor of this list; take `next_cursor` of the page before as it is",
            code="bad_cursor",
            param="cursor",
        )
    return after
