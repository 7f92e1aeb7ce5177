"""Whether a target can take a call, and the call in the form that it takes."""

from typing import Any

import msgspec

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import CANONICAL, COUNT, Call
from switchgear.errors import InvalidRequest

_TOOLS = ("tools", "functions")
"""The members that say which tools there are; the second is the old one, which some clients still send."""


def fit(x: Exchange, endpoint: InferenceEndpoint, target: Target) -> Call:
    """Return the call in a form that the target takes. Raises `InvalidRequest` for what its model cannot do."""
    call = x.call
    assert call is not None
    call.strict = x.strict or target.model.strict
    call.dropped = ()
    if endpoint.wire in target.wires and (target.capabilities.stream or not call.stream):
        fitting = call
    else:
        fitting = endpoint.canonical(call)
        if fitting.wire not in target.wires and fitting.wire != COUNT:
            message = f"The model `{call.model[:64]}` does not answer requests of this kind ({fitting.operation})."
            raise InvalidRequest(message, param="model", code="unsupported_operation")
        if fitting.stream and not target.capabilities.stream:
            fitting = _whole(fitting)
    if target.lacks:
        fitting = _without(target.lacks, fitting, fitting if fitting.wire == CANONICAL else endpoint.canonical(call))
    x.sent = fitting
    return fitting


def _whole(call: Call) -> Call:
    """Ask for the whole of what was to be a stream."""
    whole = call.with_members({n: value for n, value in call.members.items() if n not in ("stream", "stream_options")})
    whole.stream = False
    return whole


def _without(lacks: frozenset[str], call: Call, canonical: Call) -> Call:
    """Refuse what needs a capability the model lacks; a wish for reasoning is dropped, it changes no meaning."""
    members = canonical.members
    if "tools" in lacks:
        for name in _TOOLS:
            tools = canonical.member(name, list[Any])
            if tools:
                raise _unmet(call, name, "call tools")
    if "json_schema" in lacks and "response_format" in members:
        wanted = canonical.member("response_format", dict[str, Any]) or {}
        if wanted.get("type") == "json_schema":
            raise _unmet(call, "response_format", "hold its answers to a schema")
    if "vision" in lacks and _may_hold_image(bytes(members.get("messages", b""))) and _has_image(canonical):
        raise _unmet(call, "messages", "see images")
    if "reasoning" in lacks and call.wire == CANONICAL and "reasoning_effort" in members:
        less = call.with_members({name: value for name, value in members.items() if name != "reasoning_effort"})
        less.drop("reasoning_effort")
        return less
    return call


def _may_hold_image(messages: bytes) -> bool:
    # Any character of a JSON string may be written as an escape.
    return b'"image_url"' in messages or b"\\u00" in messages


def _has_image(canonical: Call) -> bool:
    messages = canonical.member("messages", list[dict[str, Any]]) or []
    parts = [part for message in messages if isinstance(content := message.get("content"), list) for part in content]
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _unmet(call: Call, param: str, what: str) -> InvalidRequest:
    message = f"The model `{call.model[:64]}` cannot {what}. Leave `{param}` out or use another model."
    return InvalidRequest(message, param=param, code="unsupported_capability")


def count_body(tokens: int) -> bytes:
    """Write a canonical count."""
    return msgspec.json.encode({"input_tokens": tokens})
