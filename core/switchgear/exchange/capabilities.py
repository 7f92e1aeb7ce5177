"""Whether a target can take a call, and the call in the form that it takes."""

from typing import Any

import msgspec

from switchgear.contracts.capability import JSON_SCHEMA, REASONING, STREAM, TOOLS, VISION
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import CANONICAL, COUNT, Call
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.chat import ChatFace

_TOOL_MEMBERS = ("tools", "functions")
"""The members that say which tools there are; the second is the old one, which some clients still send."""
_CHAT = ChatFace()
_ALWAYS_CARRIED = frozenset({REASONING})
"""What a form of its own says of these is for the provider to judge: nothing but a wish is lost."""


def fit(x: Exchange, endpoint: InferenceEndpoint, target: Target, *, canonical: bool = False) -> Call:
    """Return the call in a form that the target takes: the client's own if it may, or the `canonical` one where that is wanted.

    Raises `InvalidRequest` for what its model cannot do.
    """
    call = x.call
    assert call is not None
    if x.strict or target.model.strict or call.strict:
        call.strict = x.strict or target.model.strict
    if call.dropped or call.changed or call.aliases:
        call.forget()
    own = not canonical or endpoint.wire == CANONICAL
    if target.preamble is not None and not _takes_instructions(endpoint):
        own = False
    if own and endpoint.wire in target.wires and (STREAM in target.capabilities or not call.stream):
        fitting = call
    else:
        fitting = endpoint.canonical(call)
        if fitting.wire not in target.wires and fitting.wire != COUNT:
            message = f"The model `{call.model[:64]}` does not answer requests of this kind ({fitting.operation})."
            raise InvalidRequest(message, param="model", code="unsupported_operation")
        if fitting.stream and STREAM not in target.capabilities:
            fitting = _whole(fitting)
    if target.takes_own and x.own is None:
        message = (
            "This model is asked with your own credential: send that as you would send it to the provider, and the "
            "gateway's key in the header `x-switchgear-key`."
        )
        raise InvalidRequest(message, code="no_credentials")
    if target.lacks:
        fitting = _without(target.lacks, fitting, endpoint)
    if target.preamble is not None:
        fitting = _opened(fitting, target.preamble, endpoint)
    x.sent = fitting
    return fitting


def _takes_instructions(endpoint: InferenceEndpoint) -> bool:
    return endpoint.face is not None and endpoint.face.takes_instructions


def _opened(call: Call, preamble: str, endpoint: InferenceEndpoint) -> Call:
    """Have the system say something before all else; what says nothing (an embedding) stays as it is."""
    face = endpoint.face if call.wire == endpoint.wire else _CHAT if call.wire in (CANONICAL, COUNT) else None
    if face is None or not face.takes_instructions:
        return call
    opened = call.with_members(dict(call.members))
    view = face.view(opened)
    view.prepend_system(preamble)
    view.apply()
    return opened


def _whole(call: Call) -> Call:
    """Ask for the whole of what was to be a stream."""
    whole = call.with_members({n: value for n, value in call.members.items() if n not in ("stream", "stream_options")})
    whole.stream = False
    return whole


def _without(lacks: frozenset[str], call: Call, endpoint: InferenceEndpoint) -> Call:
    """Refuse what needs a capability the model lacks; a wish for reasoning is dropped, it changes no meaning."""
    if call.wire in (CANONICAL, COUNT):
        _refuse_unmet(lacks, call, call)
        if REASONING in lacks and "reasoning_effort" in call.members:
            less = call.with_members({n: value for n, value in call.members.items() if n != "reasoning_effort"})
            less.drop("reasoning_effort")
            return less
    elif call.operation == "chat" and not lacks <= _ALWAYS_CARRIED:
        canonical = _told_in_chat(call, endpoint)
        if canonical is not None:
            _refuse_unmet(lacks, call, canonical)
    return call


def _told_in_chat(call: Call, endpoint: InferenceEndpoint) -> Call | None:
    """Translate only to look at what is asked: what a chat cannot say is no reason to refuse what is sent as it came."""
    strict, call.strict = call.strict, False
    try:
        return endpoint.canonical(call)
    except InvalidRequest:
        return None
    finally:
        call.strict = strict


def _refuse_unmet(lacks: frozenset[str], call: Call, canonical: Call) -> None:
    members = canonical.members
    if TOOLS in lacks:
        for name in _TOOL_MEMBERS:
            tools = canonical.member(name, list[Any])
            if tools:
                raise _unmet(call, name, "call tools")
    if JSON_SCHEMA in lacks and "response_format" in members:
        wanted = canonical.member("response_format", dict[str, Any]) or {}
        if wanted.get("type") == "json_schema":
            raise _unmet(call, "response_format", "hold its answers to a schema")
    if VISION in lacks and _may_hold_image(bytes(members.get("messages", b""))):
        where = _image_in(canonical)
        if where is not None:
            raise _unmet(call, where, "see images")


def _may_hold_image(messages: bytes) -> bool:
    # Any character of a JSON string may be written as an escape.
    return b'"image_url"' in messages or b"\\u00" in messages


def _image_in(canonical: Call) -> str | None:
    """Say where the first image is."""
    messages = canonical.member("messages", list[dict[str, Any]]) or []
    for place, message in enumerate(messages):
        content = message.get("content")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") == "image_url":
                return f"messages[{place}].content[{number}]"
    return None


def _unmet(call: Call, param: str, what: str) -> InvalidRequest:
    message = f"The model `{call.model[:64]}` cannot {what}. Leave `{param}` out or use another model."
    return InvalidRequest(message, param=param, code="unsupported_capability")


def count_body(tokens: int) -> bytes:
    """Write a canonical count."""
    return msgspec.json.encode({"input_tokens": tokens})
