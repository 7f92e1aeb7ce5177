"""A conversation put in short: what the model is asked for it, and the item that carries its answer.

Wire: developers.openai.com/api/docs/guides/compaction. The one member of such an item that nobody but its maker reads holds the
summary; a mark tells ours from others'.
"""

import base64
import binascii
from typing import Any

from switchgear.errors import InvalidRequest

COMPACT = (
    "Summarise this conversation for another model that will go on with it and will see nothing but your summary. Say what the "
    "user wants, what was decided and done, which files, names and values matter, what failed, and what is still to be done. "
    "Call no tools. Answer with the summary alone."
)
"""What a model is asked that has no compaction of its own."""
MARK = "sg1c."


def compaction_item(stem: str, summary: str) -> dict[str, Any]:
    """Make the item."""
    packed = MARK + base64.urlsafe_b64encode(summary.encode("utf-8", "replace")).decode()
    return {"id": f"cmp_{stem}", "type": "compaction", "encrypted_content": packed}


def read_summary(content: str | None, where: str) -> str:
    """Read what `compaction_item` packed. Raises `InvalidRequest` naming the item of another maker, or a damaged one."""
    if content is None or not content.startswith(MARK):
        message = (
            f"`{where}` is a compaction that another provider made, which nobody else can read: go on with a model of that "
            "provider, or begin a new conversation."
        )
        raise InvalidRequest(message, param=where, code="unsupported_item")
    try:
        return base64.b64decode(content[len(MARK) :], altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        message = f"`{where}.encrypted_content` is damaged: give compaction items back as they came."
        raise InvalidRequest(message, param=f"{where}.encrypted_content", code="invalid_encrypted_content") from None


def told_summary(summary: str) -> str:
    """Say what went before to the model that goes on."""
    return f"What went before in this conversation, in short:\n\n{summary}"
