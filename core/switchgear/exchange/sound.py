"""What plugins hand to an exchange, looked at where it is not plainly what their contracts say: never for a usual answer.

Raises TypeError or ValueError saying what is wrong: the host says whose it is and what becomes of it.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.dialect import RouteReply
from switchgear.contracts.provider import CAUSES, Answer, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage, believable
from switchgear.exchange.reply import header_lines
from switchgear.upstream.target import HeaderNames, check_values

JSON: bytes = Answer(b"").media_type
"""The media type of an answer that says none: the very object, so that it can be told apart at no cost."""

_MEDIA_TYPE = re.compile(rb"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[\w!#$&^.+=\"/ -]+)*", re.ASCII)
_STATUSES = range(100, 600)
_DEEP = 100
_raw = msgspec.json.Decoder(Raw)
_object = msgspec.json.Decoder(dict[str, Raw])


def check_answer(answer: object) -> None:
    """Check a whole answer: of a provider, or of a policy."""
    if not isinstance(answer, Answer):
        raise TypeError(f"an answer is an Answer, not {type(answer).__name__}")
    check_usage(answer.usage)
    if answer.events:
        for event in answer.events:
            check_event(event)
        return
    if not isinstance(answer.body, bytes):
        raise TypeError(f"the body of an answer is bytes, not {type(answer.body).__name__}")
    media_type = answer.media_type
    if not isinstance(media_type, bytes) or not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{media_type!r:.80} is no media type")
    if media_type == JSON and not is_object(answer.body):
        raise ValueError(f"the body of an answer is a JSON object, not {answer.body[:40]!r}")


def is_object(body: bytes) -> bool:
    """Say whether this is a JSON object."""
    try:
        _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def check_usage(usage: object) -> None:
    """Check what an answer says it consumed."""
    if usage is None:
        return
    if not isinstance(usage, Usage):
        raise TypeError(f"usage is a Usage, not {type(usage).__name__}")
    for unit, count in usage.units.items():
        if not isinstance(unit, str) or not isinstance(count, int) or not believable(count):
            raise ValueError(f"{count!r:.40} of {unit!r:.40} is no usage")


def check_event(event: object) -> None:
    """Check one event of a stream."""
    if not isinstance(event, StreamEvent):
        raise TypeError(f"an event is a StreamEvent, not {type(event).__name__}")
    if not isinstance(event.data, bytes) or not isinstance(event.name, bytes | None):
        raise TypeError("the data and the name of an event are bytes")
    if not isinstance(event.content, int) or not isinstance(event.fault, ProviderFault | None):
        raise TypeError("an event's content is a number of bytes, its fault a ProviderFault")
    check_usage(event.usage)


def sound_fault(fault: ProviderFault) -> ProviderFault:
    """Return a fault that says what a provider's may say; `protocol` where its cause is not one that there is."""
    if fault.cause not in CAUSES:
        raise ValueError(f"{fault.cause!r:.40} is no cause of a ProviderFault")
    if type(fault.status) is not int or fault.status not in _STATUSES:
        raise ValueError(f"{fault.status!r:.40} is no status")
    if not isinstance(fault.retry_after, int | float | None) or not 0 <= (fault.retry_after or 0) < float("inf"):
        raise ValueError(f"{fault.retry_after!r:.40} is no number of seconds")
    if not isinstance(fault.extra, Mapping | None) or not all(
        isinstance(it, str | None) for it in (fault.message, fault.code, fault.param, fault.request_id)
    ):
        raise TypeError("the words of a ProviderFault are text")
    return fault


def check_outbound(headers: Any) -> Mapping[str, str]:
    """Check headers that a policy sends to a provider."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers are a mapping, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or not value.isascii():
            raise ValueError(f"the header {name!r:.60} is no text, or its value none of ASCII")
    HeaderNames().check(headers)
    check_values(headers.items())
    return headers


def check_headers(headers: Any) -> None:
    """Check headers of an answer."""
    for header in headers:
        name, value = header if isinstance(header, tuple) and len(header) == 2 else (None, None)  # noqa: PLR2004 - a pair
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError(f"a header is a pair of bytes, not {header!r:.80}")
        if not header_lines((header,)):
            raise ValueError(
                f"{name!r:.60}: {value!r:.60} cannot be a header: its name is no token, or its value breaks the line"
            )


def check_reply(reply: object) -> None:
    """Check the answer of a route."""
    if not isinstance(reply, RouteReply):
        raise TypeError(f"a route answers with a RouteReply, not {type(reply).__name__}")
    if type(reply.status) is not int or reply.status not in range(200, 600):
        raise ValueError(f"{reply.status!r:.40} is no status of an answer")
    if not isinstance(reply.media_type, str) or not reply.media_type.isascii():
        raise TypeError(f"{reply.media_type!r:.80} is no media type")
    if not _MEDIA_TYPE.fullmatch(reply.media_type.encode()):
        raise ValueError(f"{reply.media_type!r:.80} is no media type")
    check_headers(reply.headers)
    body = reply.body
    if not isinstance(body, bytes):
        if not hasattr(body, "__aiter__"):
            raise TypeError(f"the body of an answer is bytes or an iterator of pieces, not {type(body).__name__}")
    elif body and reply.media_type == "application/json" and not _is_json(body):
        raise ValueError(f"the body of an answer is JSON unless it has another media type, not {body[:40]!r}")


def _is_json(body: bytes) -> bool:
    try:
        _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def is_deep(members: Mapping[str, Raw]) -> bool:
    """Say whether a body is nested so deeply that code which follows it may give up."""
    for value in members.values():
        depth = 0
        for character in bytes(value):
            if character in b"[{":
                depth += 1
                if depth > _DEEP:
                    return True
            elif character in b"]}":
                depth -= 1
    return False
