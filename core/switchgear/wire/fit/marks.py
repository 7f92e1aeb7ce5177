"""Texts of chats whose marks for a prompt cache were left out."""

from typing import Any

import msgspec
from msgspec import Raw

from switchgear.wire.members import raw

_list = msgspec.json.Decoder(list[dict[str, Raw]])
_anything = msgspec.json.Decoder()


def plain_texts(messages: Raw) -> Raw:
    """Write a content of one text as that text, as it is told where nothing was marked in it.

    Marks move on from turn to turn: what was said before is to be told as it was, for the cache of the prompt.
    """
    fitted = []
    for message in _list.decode(messages):
        content = message.get("content")
        found: Any = _anything.decode(content) if content is not None and bytes(content)[:1] == b"[" else ()
        if len(found) == 1 and isinstance(found[0], dict) and found[0].keys() == {"type", "text"}:
            message = {**message, "content": raw(found[0]["text"])}  # noqa: PLW2901 - a value in its stead
        fitted.append(message)
    return raw(fitted)
