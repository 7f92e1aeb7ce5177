"""What is asked instead where a target refuses the reasoning that came back to it."""

from switchgear.contracts.provider import CANONICAL, Call, ProviderFault
from switchgear.errors import InvalidRequest
from switchgear.exchange.attempt_context import AttemptContext
from switchgear.wire.faces.chat import ChatFace
from switchgear.wire.refused_reasoning import refuses_reasoning, without_reasoning

_CHAT = ChatFace()


def asked_with_less(ctx: AttemptContext, call: Call, fault: ProviderFault) -> Call | None:
    """Return the call without that reasoning; None where it was refused for something else, or cannot be asked anew."""
    x = ctx.x
    if x.committed or not refuses_reasoning(fault):
        return None
    face = ctx.endpoint.face if call.wire == ctx.endpoint.wire else _CHAT if call.wire == CANONICAL else None
    try:
        less = None if face is None else without_reasoning(call, face)
    except InvalidRequest:
        return None  # the client is strict, or what it said cannot be read
    if less is not None:
        x.attempts[-1].reason = "reasoning that came back was refused; asked again without it"
        x.sent = less
    return less
