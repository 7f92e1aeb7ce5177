"""Ids and cursors."""

import base64
import binascii
import re

from switchgear.errors import InvalidRequest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
ID_PATTERN = f"^{_ID.pattern}$"
ID_RULE = "use 1 to 50 letters, digits, hyphens, underscores and dots, a letter or digit first, no two dots in a row"


def is_id(value: object) -> bool:
    """Say whether a value may name a resource: nothing that a path, URL or file name could read as something else."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None and ".." not in value


def encode_cursor(kind: str, after: str) -> str:
    """Return the opaque form of "after this id of this kind"."""
    return base64.urlsafe_b64encode(f"{kind}/{after}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str) -> str:
    """Return the id a cursor stands at. Raises `InvalidRequest` for anything `encode_cursor` did not make for this kind."""
    try:
        text = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    owner, _, after = text.partition("/")
    if owner != kind or not is_id(after):
        raise InvalidRequest(
            "this is not a cursor of this list; take `next_cursor` of the page before as it is",
            code="bad_cursor",
            param="cursor",
        )
    return after
