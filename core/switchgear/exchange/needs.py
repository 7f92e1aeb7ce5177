"""Whether a target can take a call, and the call in the form that it takes."""

from typing import Any

import msgspec

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import CANONICAL, COUNT, Call
from switchgear.errors import InvalidRequest


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
        fitting = _without(target.lacks, fitting, endpoint)
    x.sent = fitting
    return fitting


def _whole(call: Call) -> Call:
    """Ask for the whole of what was to be a stream."""
    whole = call.with_members({n: value for n, value in call.members.items() if n not in ("stream", "stream_options")})
    whole.stream = False
    return whole


def _without(lacks: frozenset[str], call: Call, endpoint: InferenceEndpoint) -> Call:
    """Refuse what needs a capability the model lacks; a wish for reasoning is dropped, it changes no meaning."""
    if call.wire != CANONICAL:
        if call.operation == "chat" and _may_need(lacks, call):
            _refuse_unmet(lacks, call, endpoint)
        return call
    _refuse_unmet(lacks, call, endpoint)
    if "reasoning" in lacks and "reasoning_effort" in call.members:
        less = call.with_members({name: value for name, value in call.members.items() if name != "reasoning_effort"})
        less.drop("reasoning_effort")
        return less
    return call


def _may_need(lacks: frozenset[str], call: Call) -> bool:
    """Say whether a request in another form is worth being translated to see what it needs."""
    return any(
        (name == "tools" and "tools" in call.members)
        or (name == "json_schema" and any(b"json_schema" in bytes(value) for value in call.members.values()))
        or (name == "vision" and any(b"image" in bytes(value) for value in call.members.values()))
        for name in lacks
    )


def _refuse_unmet(lacks: frozenset[str], call: Call, endpoint: InferenceEndpoint) -> None:
    canonical = call
    if call.wire != CANONICAL:
        try:
            canonical = endpoint.canonical(call)
        except InvalidRequest:
            return  # it says what only its own form can say: the provider, which speaks that, is to judge
    members = canonical.members
    if "tools" in lacks and "tools" in members and canonical.member("tools", list[Any]):  # type: ignore[arg-type]
        raise _unmet(call, "tools", "call tools")
    if "json_schema" in lacks and "response_format" in members:
        wanted = canonical.member("response_format", dict[str, Any]) or {}
        if wanted.get("type") == "json_schema":
            raise _unmet(call, "response_format", "hold its answers to a schema")
    if "vision" in lacks and b'"image_url"' in bytes(members.get("messages", b"")):
        where = _image_in(canonical)
        if where is not None:
            raise _unmet(call, where, "see images")


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
