"""Reasoning that came back to a provider and is refused there: it was signed or encrypted by somebody else, or was changed on
the way. Whoever sees the refusal asks again without it, so that a conversation does not end with it.

Refusals have no word of their own in common, so they are told by what they say.
"""

import re

from msgspec import structs

from switchgear.contracts.conversation import Face, Part, Reasoning, Turn
from switchgear.contracts.provider import CANONICAL, Call, ProviderFault

_CAUSES = frozenset({"invalid_request", "not_found"})
_CODE = "invalid_encrypted_content"
_WORDS = re.compile(
    r"invalid `?(?:signature|data)`? in `?(?:redacted_)?thinking"
    r"|`?(?:redacted_)?thinking`? blocks?\b.{0,80}\b(?:cannot be modified|is bound to a different conversation)"
    r"|encrypted content\b.{0,200}\b(?:could not|cannot) be (?:verified|decrypted)"
    r"|(?:invalid|corrupted) thought[ _]signature|thought[ _]signature.{0,40}\b(?:not valid|invalid)"
    r"|item with id '?rs_\w+'? not found",
    re.IGNORECASE | re.DOTALL,
)
_NAMES = {CANONICAL: "messages.reasoning_details", "messages": "messages.content.thinking"}
_NAMES |= dict.fromkeys(("responses", "responses.compact", "responses.input_tokens"), "input[].encrypted_content")


def refuses_reasoning(fault: ProviderFault) -> bool:
    """Say whether a provider refuses a request for the reasoning in it that came back."""
    if fault.cause not in _CAUSES:
        return False
    return fault.code == _CODE or _WORDS.search(fault.message) is not None


def without_reasoning(call: Call, face: Face) -> Call | None:
    """Return the call without the reasoning that only its maker can read, named as dropped; None where it has none.

    Raises `InvalidRequest` for a call that is unreadable, or strict.
    """
    less = call.with_members(dict(call.members))
    view = face.view(less)
    is_less = False
    for turn in view.turns:
        kept = _kept(turn)
        if len(kept) == len(turn.parts) and (kept or turn.role != "assistant"):
            continue
        is_less = True
        if kept:
            view.replace(turn, structs.replace(turn, parts=kept))
        else:
            view.remove(turn)
    if not is_less:
        return None
    for turn in view.turns:
        if (
            turn.role == "assistant" and "id" in turn.extra
        ):  # under its id an item is only known together with its reasoning
            view.replace(turn, structs.replace(turn, extra={n: v for n, v in turn.extra.items() if n != "id"}))
    view.apply()
    less.drop(_NAMES.get(call.wire, "reasoning"))
    return less


def _kept(turn: Turn) -> tuple[Part, ...]:
    """Return the parts of a turn but for sealed reasoning; nothing of an assistant's that is reasoning alone."""
    if turn.role == "assistant" and all(isinstance(part, Reasoning) for part in turn.parts):
        return ()
    return tuple(part for part in turn.parts if not _is_sealed(part))


def _is_sealed(part: Part) -> bool:
    if not isinstance(part, Reasoning):
        return False
    return part.encrypted is not None or (part.origin is not None and part.origin.signature is not None)
