"""Input items that this gateway made for clients of the Responses wire, told to a provider that speaks it itself.

It cannot read what is packed in them: a summary goes out as a message; reasoning of its own in the form it gave it, and what
others thought not at all.
"""

import re
from typing import Any

from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.wire import compaction, packed_reasoning
from switchgear.wire.compaction import read_summary, told_summary
from switchgear.wire.members import raw
from switchgear.wire.packed_reasoning import unpack
from switchgear.wire.responses_out.items import FORMAT
from switchgear.wire.texts import first, items_of, members_of, text_of

_DROPPED = "input[].encrypted_content"
_ID = re.compile(r"rs_[0-9a-f]{34}")
"""The ids of reasoning that was translated: nobody else has any of that length."""
_LOOKS = re.compile(rb'"(?:sg1|rs_[0-9a-f]{34}")')


def with_own_items(call: Call) -> dict[str, Raw]:
    """Return the members of a call as the provider can read them, without those that a policy has seen to.

    What is left out of the input is dropped from the call by name.
    """
    sent = {name: value for name, value in call.members.items() if name not in call.handled}
    given = sent.get("input")
    if given is None or _LOOKS.search(bytes(given)) is None or first(given) != b"[":
        return sent
    items: list[Raw] = []
    for place, item in enumerate(items_of(given)):
        members = members_of(item)
        content = text_of(members.get("encrypted_content"))
        if content is not None and content.startswith(compaction.MARK):
            summary = told_summary(read_summary(content, f"input[{place}]"))
            items.append(raw({"type": "message", "role": "user", "content": summary}))
        elif text_of(members.get("type")) == "reasoning" and _is_ours(content, members):
            own = _own(content, members)
            if own is None:
                call.drop(_DROPPED)
            else:
                items.append(own)
        else:
            items.append(item)
    return {**sent, "input": raw(items)}


def _is_ours(content: str | None, members: dict[str, Raw]) -> bool:
    if content is not None:
        return content.startswith(packed_reasoning.MARK)
    return _ID.fullmatch(text_of(members.get("id")) or "") is not None


def _own(content: str | None, members: dict[str, Raw]) -> Raw | None:
    """Return the item as its maker gave it, if that is one of this wire."""
    details = (content and unpack(content)) or ()
    sealed = next((it for it in details if it.format == FORMAT and it.data is not None), None)
    if sealed is None:
        return None
    summary: Any = members.get("summary") or [
        {"type": "summary_text", "text": it.summary} for it in details if it.format == FORMAT and it.summary
    ]
    made = {"type": "reasoning", "summary": summary, "encrypted_content": sealed.data}
    return raw(made if sealed.id is None else {**made, "id": sealed.id})
