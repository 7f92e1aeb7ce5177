"""The wire format of the README, translated from and to the canonical chat form."""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.capability import ONLY_TEXT
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    Head,
    ProviderConfig,
    ProviderFault,
    StreamEvent,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.wire.canonical import ChatRequest, TextPart, drop_others, read_chat

FINISH = {"complete": "stop", "limit": "length"}
CAUSES = {400: "invalid_request", 401: "auth", 404: "not_found", 429: "rate_limit", 503: "overloaded"}
TROUBLES = {"busy": "overloaded", "shush": "content_filter"}
MAX_LINE = 1_048_576


class ExampleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `example`."""

    accent: str | None = None


class Words(Struct):
    heard: int
    said: int


class Piece(Struct):
    says: str = ""
    ended: str | None = None
    words: Words | None = None
    problem: str | None = None


class ExampleProvider:
    wires = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init__(self, config: ProviderConfig[ExampleSettings]) -> None:
        if not config.base_url:
            raise ValueError("`base_url` is required for a provider of type example")
        self._url = config.base_url.rstrip("/") + "/talk"
        self._headers = {"content-type": "application/json", **config.headers}
        self._accent = config.settings.accent

    def traits(self, model: str) -> Traits:
        return Traits(self.wires, ONLY_TEXT)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        chat = read_chat(call, model)
        if chat.tools is not None:
            raise InvalidRequest("This provider has no tools. Leave `tools` out.", param="tools", code="unsupported")
        drop_others(call, ["temperature", "seed", "n"])
        if chat.n not in (None, 1):
            raise InvalidRequest("This provider gives one answer. Leave `n` out.", param="n", code="unsupported")
        said = {"accent": self._accent, "limit": chat.limit, "warmth": chat.temperature, "dice": chat.seed}
        body: dict[str, Any] = {"voice": model.name, "lines": lines(chat), "live": call.stream}
        body |= {name: value for name, value in said.items() if value is not None}
        headers = self._headers | ({"x-pass": secret["api_key"]} if secret else {})
        return OutboundRequest("POST", self._url, headers, msgspec.json.encode(body))

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        piece = read(body)
        if piece.ended is None or piece.words is None:
            raise ProviderFault("protocol", head.status)
        finish, usage = FINISH.get(piece.ended, "stop"), Usage.plain(piece.words.heard, piece.words.said)
        choice = {"index": 0, "message": {"role": "assistant", "content": piece.says}, "finish_reason": finish}
        return Answer(frame(call, "chat.completion", [choice], usage), usage, call.model, finish)

    def decoder(self, call: Call, head: Head) -> "ExampleDecoder":
        return ExampleDecoder(call)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        return ProviderFault(CAUSES.get(head.status, "server"), head.status)


class ExampleDecoder:
    def __init__(self, call: Call) -> None:
        self._call = call
        self._line = b""
        self._ended = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        *lines, self._line = (self._line + data).split(b"\n")
        try:
            for line in lines:
                events += self._events(read(line))
        except ProviderFault as fault:
            return [*events, StreamEvent(b"", fault=fault)]
        if len(self._line) > MAX_LINE:
            events.append(StreamEvent(b"", fault=ProviderFault("protocol", 200)))
        return events

    def close(self) -> None:
        if not self._ended:
            raise ConnectionBroken("the provider's stream ended before it said so")

    def _events(self, piece: Piece) -> list[StreamEvent]:
        events = []
        if piece.says:
            delta = {"index": 0, "delta": {"content": piece.says}, "finish_reason": None}
            events.append(StreamEvent(frame(self._call, "chat.completion.chunk", [delta]), content=len(piece.says)))
        if piece.ended is not None:
            self._ended = True
            end = {"index": 0, "delta": {}, "finish_reason": FINISH.get(piece.ended, "stop")}
            events.append(StreamEvent(frame(self._call, "chat.completion.chunk", [end]), terminal=True))
            usage = Usage.plain(piece.words.heard, piece.words.said) if piece.words else None
            shown = frame(self._call, "chat.completion.chunk", [], usage) if usage and self._call.usage_wanted else b""
            events.append(StreamEvent(shown, terminal=True, last=True, usage=usage))
        return events


def lines(chat: ChatRequest) -> list[dict[str, str]]:
    for place, message in enumerate(chat.messages):
        if not all(isinstance(part, TextPart) for part in message.parts()):
            raise InvalidRequest(
                "This provider takes texts alone.", param=f"messages[{place}].content", code="unsupported"
            )
    return [{"who": message.role, "says": message.text()} for message in chat.messages]


def read(body: bytes) -> Piece:
    try:
        body.decode()
        piece = msgspec.json.decode(body, type=Piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None
    if piece.problem is not None:
        raise ProviderFault(TROUBLES.get(piece.problem, "server"), 200)
    return piece


def frame(call: Call, object: str, choices: list[dict[str, Any]], usage: Usage | None = None) -> bytes:
    found = {"id": "chatcmpl-example", "object": object, "created": 0, "model": call.model, "choices": choices}
    if usage is not None:
        total = usage.input_tokens + usage.output_tokens
        found["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": total,
        }
    return msgspec.json.encode(found)
