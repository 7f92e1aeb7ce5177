"""What keeps requests at the same target: the key, a session the client names, or how the prompt begins."""

import re
from typing import Any, Literal, TypeAlias, cast

import msgspec
from msgspec import Raw

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import Call
from switchgear.wire.fit.names import BILLING
from switchgear.wire.members import BROKEN

Sticky: TypeAlias = Literal["none", "key", "session", "prompt_prefix"]

PREFIX_BYTES = 4096
"""How much of a prompt counts: about the 1,024 tokens from which on providers cache a prefix."""

_PREAMBLE = ("system", "instructions")
_CONVERSATION = ("messages", "input", "prompt")
_SETTING = frozenset({"system", "developer"})
_list = msgspec.json.Decoder(list[Raw])
_ANYTHING = cast("type[Any]", Any)


class _Role(msgspec.Struct):
    role: str | None = None


_role = msgspec.json.Decoder(_Role)


def sticky_key(sticky: Sticky, x: Exchange) -> bytes | None:
    """Return what requests that belong together have in common; None if this one has nothing to go by."""
    if sticky == "key":
        return None if x.principal is None else x.principal.id.encode()
    if x.call is None:
        return None
    if sticky == "session":
        return _session(x.call)
    return _beginning(x.call) if sticky == "prompt_prefix" else None


def _session(call: Call) -> bytes | None:
    """Find the client's word for its session, the most telling first."""
    metadata = call.member("metadata", _ANYTHING)
    inner = metadata if isinstance(metadata, dict) else {}
    for found in (
        call.member("session_id", _ANYTHING),
        inner.get("session_id"),
        call.member("prompt_cache_key", _ANYTHING),
        call.member("user", _ANYTHING),
        inner.get("user_id"),
    ):
        if isinstance(found, str) and found:
            return found.encode()
    return None


def _beginning(call: Call) -> bytes | None:
    """Return how the prompt begins: system prompt and first message, which a longer conversation begins with too."""
    parts = [bytes(call.members[name]) for name in _PREAMBLE if name in call.members]
    for name in _CONVERSATION:
        if name in call.members:
            parts += _first(call.members[name])
    return _BILLING.sub(b"", b"\n".join(parts))[:PREFIX_BYTES] or None


_BILLING = re.compile(BILLING.pattern.encode() + rb'[^"\n\\]*')
"""What an agent writes for one vendor's books, which differs from call to call."""


def _first(messages: Raw) -> list[bytes]:
    data = bytes(messages)
    if data[:1] != b"[":
        return [data]
    found = []
    for item in _list.decode(data):
        found.append(bytes(item))
        if not _is_setting(found[-1]):
            break
    return found


def _is_setting(item: bytes) -> bool:
    """Say whether an item says how to behave rather than what to do."""
    if item[:1] != b"{":
        return False
    try:
        return _role.decode(item).role in _SETTING
    except BROKEN:
        return False  # whoever reads the messages will refuse it
