"""How many tokens a prompt can have at most, by its bytes: no token is shorter than a byte of text.

What is read as something else than text is looked for where formats have it. Wherever else the same words stand, they are text.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call

_FRAME = 64
"""Tokens that a provider may put around a prompt."""
_TOOLS = 1024
"""Tokens of what a provider says of tools in general, and of one of its own, which a client only names."""
_DECLARED = frozenset({"function", "custom"})
_SAYING = ("messages", "input", "system")
"""Members in which there may be more than text."""
_SIGNS = re.compile(rb'"image|"input_|"file|"document|"computer|base64|\\u00')
"""One of these is in whatever has more than text; any character may be written as an escape."""
_FILES = frozenset({"file", "input_file", "document"})
_KINDS = _FILES | {"image_url", "input_image", "image", "computer_screenshot", "input_audio"}
_HELD = ("image_url", "source", "input_audio", "file")
_DATA = ("url", "data", "file_data", "image_url")
_BYTES_A_TOKEN = 128
"""Of pictures and sound, at the least: a picture of so many bytes costs more where its size says so."""
_UNSEEN = 200_000
"""Tokens of a file that only its provider sees, where no model says how long a prompt may be."""
_STORED = ("previous_response_id", "conversation")


class _Tool(Struct):
    type: str | None = None


def longest_prompt(call: Call, picture: int, windows: list[int]) -> int:
    """Return more tokens than a prompt can have.

    `picture` is what a picture costs at most, as far as its bytes do not say more; `windows` are the longest prompts of the
    models that may be asked.
    """
    members = call.members
    size = _FRAME
    for name, value in members.items():
        size += len(value)
        if name in _SAYING and _SIGNS.search(bytes(value)) is not None:
            size += _beyond_text(value, picture, max(windows, default=_UNSEEN))
    if "tools" in members or "functions" in members:
        size += _TOOLS * (1 + _own_tools(members.get("tools")))
    if any(name in members for name in _STORED):  # what the provider has of it already is as long as it may be
        return max(size, max(windows, default=_UNSEEN) + _FRAME)
    return size


def _own_tools(tools: Raw | None) -> int:
    """Count the provider's own tools."""
    if tools is None:
        return 0
    try:
        found = msgspec.json.decode(tools, type=list[_Tool])
    except (ValueError, RecursionError):  # the provider will say so
        return 0
    return sum(it.type is not None and it.type not in _DECLARED for it in found)


def _beyond_text(value: Raw, picture: int, window: int) -> int:
    """Return what pictures, sound and files cost beside the text, less what their bytes would cost as text."""
    try:
        said = msgspec.json.decode(value)
    except (ValueError, RecursionError):  # nobody can read it; the provider will say so
        return window
    more = 0
    for part in _parts(said):
        kind = part.get("type")
        if not isinstance(kind, str) or kind not in _KINDS:
            continue
        data = _data(part)
        held = 0 if data is None or data.startswith("http") else len(data)
        if kind in _FILES:
            more += max(min(held, window), picture) - held if held else window
        else:
            more += max(picture, held // _BYTES_A_TOKEN) - held
    return more


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object that a format may take for a part of what is said."""
    waiting = [value]
    while waiting:
        it = waiting.pop()
        if isinstance(it, list):
            waiting += it
        elif isinstance(it, dict):
            yield it
            waiting += (it[name] for name in ("content", "output") if name in it)


def _data(part: dict[str, Any]) -> str | None:
    """Return a part's bytes, or the address where they are; None if its provider has them."""
    for it in (part, *(part.get(name) for name in _HELD)):
        if isinstance(it, dict):
            for name in _DATA:
                found = it.get(name)
                if isinstance(found, str):
                    return found
    return None
