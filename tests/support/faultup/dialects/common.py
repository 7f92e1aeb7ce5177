"""What every wire format needs: what was heard, what is said, and why it is refused. No vendor is named here."""

import base64
import binascii
import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct

from support.faultup.dialects.desk import Desk
from switchgear.testing.upstream import answer
from switchgear.testing.upstream.answer import Ask, Choice
from switchgear.testing.upstream.reply import Piece, Reply
from switchgear.testing.upstream.script import Cause, Script, ToolCall

encode = msgspec.json.encode
SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
T = TypeVar("T")


class Refused(Exception):
    """The request is not what the vendor takes."""

    def __init__(self, cause: Cause, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.cause, self.message, self.param = cause, message, param


class Heard(Struct, frozen=True):
    """One request as it arrived. `path` is decoded, `raw_path` as it was sent."""

    method: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    id: str
    seed: int
    desk: Desk
    names: tuple[str, ...]


class Asked(Struct, kw_only=True):
    """What a request asks for, whatever wire it came in.

    prompt    words and messages, counted as tokens
    count     how many answers are wanted
    images    media type and size in bytes, or a URL and 0
    schema    the JSON schema the answer is held to
    tools     the functions offered, by name, with their schemas; empty if they may not be called
    forced    the function that must be called
    results   what tools said since the last answer
    thinks    whether the model is to reason
    shows     whether what it thinks is shown as text; else only that it did, and what it cost
    hidden    whether opaque reasoning is shown
    """

    model: str
    stream: bool = False
    usage: bool = True
    prompt: int = 1
    cap: int | None = None
    count: int = 1
    images: list[tuple[str, int]] = []
    schema: Any = None
    tools: dict[str, Any] = {}
    forced: str | None = None
    results: list[str] = []
    thinks: bool = False
    shows: bool = True
    hidden: bool = False


class Block(Struct):
    """One part of an answer, in the pieces it is streamed in, each with its tokens."""

    kind: Literal["thinking", "redacted", "text", "refusal", "tool"]
    pieces: list[tuple[str, int]]
    name: str = ""
    id: str = ""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


class Said(Struct):
    """The answer to one request, before any wire has shaped it."""

    script: Script
    asked: Asked
    blocks: list[Block]
    finish: str
    prompt: int
    tokens: int
    reasoning: int

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.blocks if block.kind == "text")

    def whole(self, value: Any, headers: dict[str, str] | None = None) -> Reply:
        """Return the answer in one piece."""
        head = {"content-type": "application/json", **(headers or {})}
        return Reply(200, head, [Piece(encode(value), self.tokens, content=True)], self.prompt, self.tokens)

    def stream(self, pieces: Iterable[Piece], failure: Piece, headers: dict[str, str] | None = None) -> Reply:
        """Return the answer as a stream; `failure` is what follows the script's last content chunk, if it has one."""
        cut = _until(pieces, self.script.error_event_after, failure)
        return Reply(200, headers or SSE, cut, self.prompt, self.tokens, streamed=True)


def _until(pieces: Iterable[Piece], count: int | None, failure: Piece) -> Iterator[Piece]:
    seen = 0
    for piece in pieces:
        if piece.content:
            if count is not None and seen >= count:
                yield failure
                return
            seen += 1
        yield piece


class Wire(Protocol):
    """One wire format: hears a request, speaks an answer, refuses in its own words."""

    def hear(self, heard: Heard) -> Asked:
        """Read a request as strictly as the vendor does. Raises `Refused`."""
        ...

    def speak(self, said: Said, heard: Heard) -> Reply:
        """Shape an answer."""
        ...

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        """Shape a failure."""
        ...


class Fact(Struct):
    """A request that no model answers, as a list or a count: its reply is ready."""

    reply: Callable[[Heard], Reply]


def read(body: bytes, type: type[T]) -> T:
    """Decode a request body. Raises `Refused` naming what is wrong."""
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail, _, where = str(error).partition(" - at `$")
        raise Refused("invalid_request", f"{where.strip('.`')}: {detail}", where.strip(".`") or None) from None


def say(script: Script, asked: Asked, heard: Heard) -> Said:
    """Make the answer of a script to a request."""
    script = _settled(script, asked)
    ask = Ask(model=asked.model, max_tokens=asked.cap)
    [choice] = answer.choices(script, ask, heard.seed, heard.body)
    found = list(blocks(choice, script.tool_calls, random.Random(heard.seed ^ zlib.crc32(heard.body))))
    for block in found:
        if block.kind == "thinking" and not asked.shows:
            block.pieces = [("", sum(tokens for _, tokens in block.pieces))]
    if script.redacted and asked.hidden:
        thoughts = sum(block.kind == "thinking" for block in found)
        found.insert(thoughts, Block("redacted", [(sealed(script.redacted), 0)]))
    prompt = script.prompt_tokens if script.prompt_tokens is not None else asked.prompt
    return Said(script, asked, found, choice.finish, prompt, choice.tokens, choice.reasoning_tokens)


def _settled(script: Script, asked: Asked) -> Script:
    change = msgspec.structs.replace
    if not asked.thinks:
        script = change(script, reasoning="")
    if asked.results and not script.goes_on:
        heard = "; ".join(asked.results)
        return change(script, tool_calls=(), reasoning="", content=f"The tools said: {heard}")
    missing = [call.name for call in script.tool_calls if call.name not in asked.tools]
    if missing:
        return change(script, tool_calls=(), content=f"Nobody offered {' or '.join(missing)}.")
    if script.describe:
        sights = [media if not size else f"{media} of {size} bytes" for media, size in asked.images]
        return change(script, content=f"I see {' and '.join(sights) or 'nothing'}.")
    if script.conform and asked.schema is not None:
        return change(script, content=json.dumps(conforming(asked.schema), separators=(",", ":")))
    if script.conform and asked.forced is not None:
        value = json.dumps(conforming(asked.tools[asked.forced]), separators=(",", ":"))
        return change(script, content=None, tool_calls=(ToolCall(asked.forced, value),))
    if script.conform:
        return change(script, content="Nobody said what the answer must look like.")
    return script


def blocks(choice: Choice, calls: tuple[ToolCall, ...], source: random.Random) -> Iterator[Block]:
    """Group the deltas of an answer."""
    members = {"reasoning_content": "thinking", "content": "text", "refusal": "refusal"}
    for member, kind in members.items():
        pieces = [(delta.members[member], delta.tokens) for delta in choice.deltas if member in delta.members]
        if pieces:
            yield Block(kind, pieces)  # type: ignore[arg-type]  # a value of the table above
    for place, call in enumerate(calls):
        mine = [
            (piece["function"]["arguments"], delta.tokens)
            for delta in choice.deltas
            for piece in delta.members.get("tool_calls", ())
            if piece["index"] == place and "name" not in piece["function"]
        ]
        yield Block("tool", mine, call.name, f"{source.getrandbits(64):016x}{place}")


def conforming(schema: Any) -> Any:
    """Make a value that satisfies a JSON schema (or Google's variant of one)."""
    return _value(schema, schema)


def _value(schema: Any, root: Any) -> Any:
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _value(root.get("$defs", {}).get(name, {}), root)
    for member in ("const", "default"):
        if member in schema:
            return schema[member]
    for member in ("enum", "anyOf", "oneOf", "allOf"):
        if schema.get(member):
            return schema[member][0] if member == "enum" else _value(schema[member][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next(k for k in kind if k != "null") if isinstance(kind, list) else kind
    if kind.lower() == "object":
        return {name: _value(part, root) for name, part in schema.get("properties", {}).items()}
    if kind.lower() == "array":
        return [_value(schema.get("items", {}), root)]
    return {"integer": schema.get("minimum", 7), "number": 1.5, "boolean": True, "null": None}.get(kind.lower(), "text")


def signature(text: str) -> str:
    """Sign reasoning, so that it can be told when it comes back whether it is still the same."""
    return base64.b64encode(f"signed {zlib.crc32(text.encode()):08x}".encode()).decode()


def sealed(text: str) -> str:
    """Make an opaque block of a text."""
    return base64.b64encode(f"sealed {text}".encode()).decode()


def is_sealed(data: str) -> bool:
    """Say whether an opaque block is one of ours."""
    return unpacked(data).startswith(b"sealed ")


def unpacked(data: str) -> bytes:
    """Decode base64 strictly. Raises `Refused`."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_request", "not base64") from None


def words(*texts: str | None) -> int:
    """Count words."""
    return sum(len(text.split()) for text in texts if text)


def numbers(texts: list[Any], seed: int, size: int) -> list[list[float]]:
    """Return one vector a text, which depend on seed and text alone."""
    found = []
    for text in texts:
        source = random.Random(seed ^ zlib.crc32(encode(text)))
        found.append([round(source.uniform(-1, 1), 6) for _ in range(size)])
    return found


def sse(value: Any, name: str | None = None, tokens: int = 0, *, content: bool = False) -> Piece:
    """Make one server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return Piece(head + b"data: " + encode(value) + b"\n\n", tokens, content)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Make a reply that bills nothing."""
    return Reply(status, {"content-type": "application/json", **(headers or {})}, [Piece(encode(value), content=True)])


def bearer(heard: Heard) -> str:
    """Return the bearer token; empty if there is none."""
    scheme, _, token = heard.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def refused_key(heard: Heard) -> str | None:
    """Return the API key of a request if no vendor takes it."""
    names = ("x-api-key", "api-key", "x-goog-api-key")
    sent = {bearer(heard), *(heard.headers.get(name, "") for name in names)}
    return next(iter(sent & heard.desk.bad_keys), None)


def page(items: list[T], heard: Heard, start: str | None) -> tuple[list[T], str]:
    """Cut a page out of a list, from where a token says; return it and the token of the next, empty if there is none."""
    first = int(start.removeprefix("from-")) if start else 0
    last = first + heard.desk.page_size
    return items[first:last], f"from-{last}" if last < len(items) else ""


def require(condition: Any, message: str, param: str | None = None, cause: Cause = "invalid_request") -> None:
    """Raise `Refused` unless it holds."""
    if not condition:
        raise Refused(cause, message, param)
