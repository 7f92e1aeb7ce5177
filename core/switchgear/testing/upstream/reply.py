"""The reply to one request as OpenAI puts it on the wire: a head and the pieces of a body.

Shapes are those of OpenAI's API reference: chat completion object and chunk object, legacy completion,
embedding list, model list, error object.
"""

import itertools
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.testing.upstream import answer
from switchgear.testing.upstream.answer import Ask, Choice, Delta
from switchgear.testing.upstream.script import Cause, Script

CREATED = 1_700_000_000
_encode = msgspec.json.encode

_ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", "invalid_request_error", None),
    401: ("Incorrect API key provided: sk-fault****.", "invalid_request_error", "invalid_api_key"),
    403: ("Country, region, or territory not supported.", "request_forbidden", "unsupported_country"),
    404: (
        "The model does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}


_STATUS: dict[Cause, int] = {
    "invalid_request": 400, "context_length": 400, "content_filter": 400, "auth": 401, "permission": 403, "not_found": 404,
    "quota": 429, "rate_limit": 429, "server": 500, "overloaded": 503,
}  # fmt: skip


class Piece(Struct, frozen=True):
    """Bytes that the upstream writes in one go; `content` marks what counts as a content chunk."""

    data: bytes
    tokens: int = 0
    content: bool = False


class Reply(Struct):
    """What is to be sent if nothing goes wrong."""

    status: int
    headers: dict[str, str]
    pieces: Iterable[Piece]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    streamed: bool = False


def error_object(status: int, members: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return OpenAI's error body for a status."""
    nearest = status if status in _ERRORS else 500 if status >= 500 else 400
    message, kind, code = _ERRORS[nearest]
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **(members or {})}}


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply of JSON."""
    return Reply(status, {"content-type": "application/json"}, [Piece(_encode(value), content=True)])


def compose(script: Script, ask: Ask, path: str, *, request_id: str, seed: int, body: bytes) -> Reply:
    """Return the reply that the script gives to a request."""
    own = script.own
    if script.cause is not None:
        return json_reply(error_object(_STATUS[script.cause], script.error), _STATUS[script.cause])
    if script.status >= 400 and own is None:
        return json_reply(error_object(script.status, script.error), script.status)
    if script.events:
        return Reply(200, _SSE, [Piece(e.encode(), content=True) for e in script.events], streamed=True)
    if own is not None:
        return Reply(script.status, {"content-type": "application/json"}, [Piece(own, content=True)])
    if path.endswith("/embeddings"):
        reply = json_reply(answer.embeddings(script, ask, seed))
        reply.prompt_tokens = answer.prompt_tokens(ask)
        return reply
    if not path.endswith("/completions"):
        return json_reply(error_object(404, {"message": f"No such endpoint: {path}", "code": None}), 404)
    chat = path.endswith("/chat/completions")
    choices = answer.choices(script, ask, seed, body)
    return _Completion(script, ask, choices, chat=chat, request_id=request_id).reply()


_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class _Completion:
    """A chat or legacy completion of one request."""

    def __init__(self, script: Script, ask: Ask, choices: list[Choice], *, chat: bool, request_id: str) -> None:
        self.script, self.ask, self.chat = script, ask, chat
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{request_id}"
        self.choices = choices
        self.prompt = answer.prompt_tokens(ask) if script.prompt_tokens is None else script.prompt_tokens
        self.tokens = sum(choice.tokens for choice in self.choices)

    def reply(self) -> Reply:
        headers = _SSE if self.ask.stream else {"content-type": "application/json"}
        pieces: Iterable[Piece] = self._stream() if self.ask.stream else self._whole()
        if self.script.garbage is not None:
            headers, pieces = self._garbage(headers)
        return Reply(self.script.status, headers, pieces, self.prompt, self.tokens, self.ask.stream)

    def _usage(self) -> Any:
        reasoning = sum(choice.reasoning_tokens for choice in self.choices)
        return answer.usage(self.script, self.prompt, self.tokens, reasoning)

    def _object(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        name = kind if self.chat else "text_completion"
        head = {
            "id": self.id,
            "object": name,
            "created": CREATED,
            "model": self.script.model or self.ask.model,
        }
        fingerprint = {"service_tier": "default", "system_fingerprint": "fp_0123456789"} if self.chat else {}
        return {**head, **fingerprint, "choices": choices, **more}

    # Not streamed

    def _whole(self) -> Iterator[Piece]:
        choices = [self._whole_choice(index, choice) for index, choice in enumerate(self.choices)]
        more = {} if "usage" in self.script.omit else {"usage": self._usage()}
        data = _encode(self._object("chat.completion", choices, **more))
        if not self.script.huge_body:
            yield Piece(data, self.tokens, content=True)
            return
        before, quote, after = data.partition(b'"content":"' if self.chat else b'"text":"')
        yield Piece(before + quote, self.tokens, content=True)
        yield from _padding(self.script.huge_body)
        yield Piece(after)

    def _whole_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        finish = None if "finish" in self.script.omit else choice.finish
        logprobs = answer.logprobs(choice.words) if self.ask.logprobs else None
        if self.chat:
            message = choice.message()
            if self.script.huge_body:
                message["content"] = message["content"] or "."
            return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}
        return {"text": choice.text("content"), "index": index, "logprobs": None, "finish_reason": finish}

    # Streamed

    def _stream(self) -> Iterator[Piece]:
        script = self.script
        if self.chat and "role" not in script.omit:
            yield from self._roles()
        yield from self._long_line()
        if script.inject is not None and script.inject_after == 0:
            yield Piece(script.inject.encode())
        yield from self._content()
        if script.error_event_after is not None:
            yield self._event(error_object(500, script.error))
            return
        if script.huge_body:
            block = self._event(self._chunk(0, {"content": "a" * 32_768}, None, None), 1)
            yield from itertools.repeat(block, -(-script.huge_body // len(block.data)))
        if "finish" not in script.omit:
            for index, choice in enumerate(self.choices):
                yield self._event(self._chunk(index, {}, None, choice.finish))
        if self.ask.wants_usage and "usage" not in script.omit:
            yield self._event(self._object("chat.completion.chunk", [], usage=self._usage()))
        if "done" not in script.omit:
            yield Piece(f"{script.prefix}[DONE]{script.newline * 2}".encode())

    def _roles(self) -> Iterator[Piece]:
        for index, choice in enumerate(self.choices):
            calls = bool(choice.deltas) and "tool_calls" in choice.deltas[0].members
            opening = {"role": "assistant", "content": None if calls else "", "refusal": None}
            yield self._event(self._chunk(index, opening, None, None))

    def _long_line(self) -> Iterator[Piece]:
        if self.script.huge_line:
            line = self.script.prefix.encode() + b'{"padding":"'
            yield Piece(line)
            yield from _padding(self.script.huge_line - len(line) - 2)
            yield Piece(b'"}' + self.script.newline.encode() * 2)

    def _content(self) -> Iterator[Piece]:
        sent = 0
        for row in range(max((len(choice.deltas) for choice in self.choices), default=0)):
            for index, choice in enumerate(self.choices):
                if row >= len(choice.deltas):
                    continue
                if sent == self.script.error_event_after:
                    return
                delta = choice.deltas[row]
                yield self._event(self._chunk(index, delta.members, delta, None), delta.tokens, content=True)
                sent += 1
                if self.script.inject is not None and sent == self.script.inject_after:
                    yield Piece(self.script.inject.encode())

    def _chunk(self, index: int, members: dict[str, Any], delta: Delta | None, finish: str | None) -> dict[str, Any]:
        words = delta.words if delta is not None and self.ask.logprobs else ()
        logprobs = answer.logprobs(words) if words and self.chat else None
        said: dict[str, Any] = {"delta": members} if self.chat else {"text": members.get("content", "")}
        choice = {"index": index, **said, "logprobs": logprobs, "finish_reason": finish}
        more = {"usage": None} if self.ask.wants_usage else {}
        return self._object("chat.completion.chunk", [choice], **more)

    def _event(self, value: Any, tokens: int = 0, *, content: bool = False) -> Piece:
        line = self.script.prefix.encode() + _encode(value) + self.script.newline.encode() * 2
        return Piece(line, tokens, content)

    # Neither

    def _garbage(self, headers: dict[str, str]) -> tuple[dict[str, str], list[Piece]]:
        first = self._object("chat.completion.chunk" if self.ask.stream else "chat.completion", [])
        bad = {
            "html": b"<!doctype html><html><body><h1>It works, <script>alert(1)</script></h1></body></html>",
            "empty": b"",
            "json": _encode(first)[:-1],
            "utf8": _encode(first).replace(b'"choices":[]', b'"choices":[{"index":0,"text":"\xff\xfe\xc0\xaf"}]'),
            "error": _encode(error_object(500, self.script.error)),
            "types": _encode({**first, "id": 7, "choices": "many", "usage": {"prompt_tokens": "12"}}),
        }
        garbage = self.script.garbage or "empty"
        if garbage == "html":
            return {"content-type": "text/html"}, [Piece(bad["html"])]
        if not self.ask.stream or garbage == "empty":
            return headers, [Piece(bad[garbage])]
        ends = self.script.newline.encode() * 2
        prefix = self.script.prefix.encode()
        done = [] if garbage == "error" else [Piece(prefix + b"[DONE]" + ends)]
        return headers, [Piece(prefix + bad[garbage] + ends), *done]


def _padding(size: int) -> Iterator[Piece]:
    block = Piece(b"a" * 65_536)
    while size >= 65_536:
        yield block
        size -= 65_536
    if size > 0:
        yield Piece(b"a" * size)


def gzipped(pieces: Iterable[Piece], *, flush_each: bool) -> Iterator[Piece]:
    """Compress the pieces one by one; with `flush_each` a reader can decode each as it comes."""
    packer = zlib.compressobj(wbits=31)
    for piece in pieces:
        data = packer.compress(piece.data)
        yield Piece(data + (packer.flush(zlib.Z_SYNC_FLUSH) if flush_each else b""), piece.tokens, piece.content)
    yield Piece(packer.flush())
