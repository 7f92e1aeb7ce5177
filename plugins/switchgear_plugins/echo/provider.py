"""A model without a network: it says what it was told. For the first run, load tests and tests of others.

A request may carry a member `echo` that directs it (OpenAI's SDK: `extra_body={"echo": {…}}`); see `Directions`.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from switchgear import NoSettings
from switchgear.contracts.capability import ONLY_TEXT
from switchgear.contracts.credential import Secret
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    ProviderConfig,
    ProviderFault,
    StreamEvent,
    TargetModel,
    Traits,
)
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, InvalidRequest

_json = msgspec.json.Encoder()
_TOKEN_BYTES = 4


class Directions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may ask of the echo.

    text         say this instead of the last user message
    size         say this many characters, repeating
    chunks       cut a stream into this many pieces (default: words)
    first_ms     wait before the first token
    delay_ms     wait before each further piece of a stream
    fault        fail with this cause (see `ProviderFault`) or `cut`, the stream or answer breaking off
    fault_after  in a stream, fail after this many pieces
    finish       the finish reason
    """

    text: str | None = None
    size: int | None = None
    chunks: int | None = None
    first_ms: int = 0
    delay_ms: int = 0
    fault: str | None = None
    fault_after: int = 0
    finish: str = "stop"


class EchoProvider:
    """Answers from the request alone."""

    wires = frozenset({CANONICAL})

    def __init__(self, config: ProviderConfig[NoSettings]) -> None:
        self._id = config.id

    def traits(self, model: str) -> Traits:  # noqa: ARG002 - the contract's shape
        """Say what it can do, under whatever name."""
        return Traits(self.wires, ONLY_TEXT)

    async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Secret | None) -> Answer:  # noqa: ARG002
        """Answer whole."""
        wish = _directions(call)
        if wish.first_ms:
            await asyncio.sleep(wish.first_ms / 1000)
        if wish.fault is not None:
            raise _fault(wish.fault)
        text = _text(call, wish)
        usage = _usage(call, text)
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": wish.finish}
        body = {**_frame(model, "chat.completion"), "choices": [choice], "usage": _shown(usage)}
        return Answer(_json.encode(body), usage, model.name, wish.finish)

    async def stream(
        self,
        x: Exchange,  # noqa: ARG002 - the contract's shape
        call: Call,
        model: TargetModel,
        secret: Secret | None,  # noqa: ARG002 - the contract's shape
    ) -> AsyncIterator[StreamEvent]:
        """Answer piece by piece."""
        wish = _directions(call)
        text = _text(call, wish)
        frame = _frame(model, "chat.completion.chunk")

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _json.encode({**frame, "choices": [choice]})

        if wish.first_ms:
            await asyncio.sleep(wish.first_ms / 1000)
        yield StreamEvent(chunk({"role": "assistant", "content": ""}))
        for index, piece in enumerate(_pieces(text, wish.chunks)):
            if wish.fault is not None and index >= wish.fault_after:
                raise _fault(wish.fault)
            if index and wish.delay_ms:
                await asyncio.sleep(wish.delay_ms / 1000)
            yield StreamEvent(chunk({"content": piece}), content=len(piece))
        if wish.fault is not None:
            raise _fault(wish.fault)
        yield StreamEvent(chunk({}, wish.finish), terminal=True)
        usage = _usage(call, text)
        shown = _json.encode({**frame, "choices": [], "usage": _shown(usage)}) if call.usage_wanted else b""
        yield StreamEvent(shown, terminal=True, last=True, usage=usage)


def _directions(call: Call) -> Directions:
    found = call.member("echo", Directions) or Directions()
    for name, value in (("size", found.size), ("chunks", found.chunks)):
        if value is not None and not 0 <= value <= 10_000_000:  # noqa: PLR2004 - a bound for everybody's sake
            raise InvalidRequest(f"`echo.{name}` must be between 0 and 10000000.", param=f"echo.{name}")
    return found


def _text(call: Call, wish: Directions) -> str:
    text = wish.text if wish.text is not None else _last_words(call)
    if wish.size is None:
        return text
    text = text or "echo "
    return (text * (wish.size // len(text) + 1))[: wish.size]


def _last_words(call: Call) -> str:
    messages = call.member("messages", list[dict[str, Any]]) or []
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _pieces(text: str, count: int | None) -> list[str]:
    if count is None:
        words = text.split(" ")
        return [word if i == len(words) - 1 else word + " " for i, word in enumerate(words)] if text else []
    count = max(1, min(count, len(text) or 1))
    size, more = divmod(len(text), count)
    edges = [i * size + min(i, more) for i in range(count + 1)]
    return [text[a:b] for a, b in pairwise(edges)]


def _usage(call: Call, text: str) -> Usage:
    asked = len(call.members.get("messages", b""))
    return Usage.plain(-(-asked // _TOKEN_BYTES), -(-len(text) // _TOKEN_BYTES))


def _shown(usage: Usage) -> dict[str, int]:
    total = usage.input_tokens + usage.output_tokens
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}


def _frame(model: TargetModel, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-echo", "object": kind, "created": 0, "model": model.name}


def _fault(cause: str) -> Exception:
    if cause == "cut":
        return ConnectionBroken("the echo was told to break off")
    statuses = {"rate_limit": 429, "overloaded": 503, "server": 500, "auth": 401, "timeout": 504, "not_found": 404}
    return ProviderFault(cause, statuses.get(cause, 400), message=f"The echo was told to fail: {cause}.")
