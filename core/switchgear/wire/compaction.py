"""A conversation put in short: what the model is asked for it, and the item that carries its answer.

Wire: developers.openai.com/api/docs/guides/compaction. The one member of such an item that nobody but its maker reads holds the
summary; a mark tells ours from others'.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from switchgear.errors import InvalidRequest
from switchgear.wire.members import raw
from switchgear.wire.texts import first, items_of, members_of, text_of

COMPACT = (
    "Summarise this conversation for another model that will go on with it and will see nothing but your summary. Say what the "
    "user wants, what was decided and done, which files, names and values matter, what failed, and what is still to be done. "
    "Call no tools. Answer with the summary alone."
)
"""What a model is asked that has no compaction of its own."""
_MARK = "sg1c."


def compaction_item(stem: str, summary: str) -> dict[str, Any]:
    """Make the item."""
    packed = _MARK + base64.urlsafe_b64encode(summary.encode("utf-8", "replace")).decode()
    return {"id": f"cmp_{stem}", "type": "compaction", "encrypted_content": packed}


def read_summary(content: str | None, where: str) -> str:
    """Read what `compaction_item` packed. Raises `InvalidRequest` naming the item of another maker, or a damaged one."""
    if content is None or not content.startswith(_MARK):
        message = (
            f"`{where}` is a compaction that another provider made, which nobody else can read: go on with a model of that "
            "provider, or begin a new conversation."
        )
        raise InvalidRequest(message, param=where, code="unsupported_item")
    try:
        return base64.b64decode(content[len(_MARK) :], altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        message = f"`{where}.encrypted_content` is damaged: give compaction items back as they came."
        raise InvalidRequest(message, param=f"{where}.encrypted_content", code="invalid_encrypted_content") from None


def told_summary(summary: str) -> str:
    """Say what went before to the model that goes on."""
    return f"What went before in this conversation, in short:\n\n{summary}"


def unpacked(members: Mapping[str, Raw]) -> Mapping[str, Raw]:
    """Return a request's members with the gateway's own summaries as messages, for a provider that has compactions of its own.

    Its own items stay as they are.
    """
    given = members.get("input")
    if given is None or _MARK.encode() not in bytes(given) or first(given) != b"[":
        return members
    items = []
    for place, item in enumerate(items_of(given)):
        content = text_of(members_of(item).get("encrypted_content"))
        if content is not None and content.startswith(_MARK):
            summary = told_summary(read_summary(content, f"input[{place}]"))
            item = raw({"type": "message", "role": "user", "content": summary})  # noqa: PLW2901 - it is the same item
        items.append(item)
    return {**members, "input": raw(items)}
