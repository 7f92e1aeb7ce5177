"""What the fault upstream does with one request, as data: a frozen Struct that travels as JSON."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Cause: TypeAlias = Literal[
    "invalid_request", "context_length", "content_filter", "not_found", "auth", "permission", "quota", "rate_limit",
    "overloaded", "server",
]  # fmt: skip
"""Why a provider refuses, whatever words and status its wire has for it."""


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One function call of the answer. `arguments` is the JSON text that is streamed piece by piece."""

    name: str
    arguments: str = "{}"


class Script(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scenario. The default is a healthy answer; every field changes one thing, and they combine.

    A token is one word with the white space after it. `max_tokens` of the request is obeyed. Times are
    milliseconds, sizes and offsets bytes. Body offsets count the bytes of the body without its chunked
    framing.
    """

    # The answer
    content: str | None = None  # None: seeded words, chunks x tokens_per_chunk of them
    chunks: int = 4
    tokens_per_chunk: int = 1
    reasoning: str = ""  # streamed first as `reasoning_content`; its words are the reasoning tokens
    refusal: str | None = None  # instead of content
    tool_calls: tuple[ToolCall, ...] = ()
    tool_piece: int = 8  # characters of arguments in one delta, which counts as one token
    null_ids: bool = False  # later tool deltas say "id": null, "type": null, as some servers do
    finish_reason: str | None = None  # None: stop, length or tool_calls, whichever is true
    model: str | None = None  # reported instead of the requested name
    describe: bool = False  # says which images it received, of which media type and size
    goes_on: bool = False  # says what it is to say also where tools have answered, instead of what they said
    conform: bool = False  # answers JSON that satisfies the schema it was held to
    redacted: str = ""  # reasoning nobody may read: an opaque block after the readable one
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    prompt_tokens: int | None = None  # all of the input, cached or not; None: counted
    usage: Any = None  # reported instead of the true usage object, whatever its type

    # The head
    cause: Cause | None = None  # refuse, in the status and the words of the wire
    strict: bool = False  # OpenAI's own strictness for chat, completions and embeddings; other wires are always strict
    status: int = 200
    error: dict[str, Any] | None = None  # members of the error object that differ from OpenAI's for `status`
    headers: dict[str, str] = {}
    huge_header: int = 0
    framing: Literal["auto", "chunked", "length", "close"] = "auto"
    gzip: bool = False

    # The body, replaced
    body: str | None = None  # sent as it is, whatever was asked
    payload: bytes | None = None  # likewise, where it is not text
    events: tuple[str, ...] = ()  # sent as they are, one piece each, as text/event-stream: any wire format
    garbage: Literal["html", "json", "utf8", "error", "types", "empty"] | None = None
    huge_body: int = 0  # this many bytes more inside the content, made while sending
    huge_line: int = 0  # one more SSE line of this length after the role chunk

    # The stream, disturbed
    omit: tuple[Literal["role", "finish", "usage", "done"], ...] = ()
    inject: str | None = None  # raw bytes of the stream after `inject_after` content chunks
    inject_after: int = 0
    error_event_after: int | None = None  # an error event after k content chunks, then a clean end without [DONE]
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    prefix: str = "data: "

    # Time
    delay_ms: float = 0  # before the head
    chunk_delay_ms: float = 0  # before every piece of the body but the first
    hang: bool = False  # no byte of an answer, ever
    stall_at: int | None = None  # silence after so many bytes of the body ...
    stall_after_chunks: int | None = None  # ... or after so many content chunks
    stall_ms: float | None = None  # None: until the client leaves
    drip_bytes: int = 0  # no write longer than this ...
    drip_ms: float = 1  # ... and this long between two
    splits: tuple[int, ...] = ()  # a write ends at each of these body offsets
    split_every: int = 0  # a write ends at every multiple of this body offset

    # The end
    cut_at: int | None = None
    cut_of: Literal["body", "raw"] = "body"
    cut_after_chunks: int | None = None
    cut_how: Literal["fin", "rst", "clean"] = "fin"  # clean: the framing says the body is whole
    keep_alive: bool = True

    # The bill
    bill: Literal["wire", "all", "none"] = "wire"  # all: the whole answer, on arrival, sent or not

    @property
    def own(self) -> bytes | None:
        """The body that is sent whatever was asked."""
        return self.payload if self.body is None else self.body.encode()


PRESETS: dict[str, Script] = {
    "ok": Script(),
    "400": Script(status=400),
    "401": Script(status=401),
    "403": Script(status=403),
    "404": Script(status=404),
    "429": Script(status=429, headers={"retry-after": "1"}),
    "500": Script(status=500),
    "503": Script(status=503),
    "529": Script(status=529),
    "quota": Script(status=429, error={"type": "insufficient_quota", "code": "insufficient_quota"}),
    "context": Script(status=400, error={"code": "context_length_exceeded", "param": "messages"}),
    "hang": Script(hang=True),
    "stall": Script(stall_after_chunks=2),
    "cut": Script(cut_after_chunks=2),
    "rst": Script(cut_after_chunks=2, cut_how="rst"),
    "rst-head": Script(cut_at=0, cut_of="raw", cut_how="rst"),
    "eof": Script(cut_after_chunks=2, cut_how="clean"),
    "html": Script(garbage="html"),
    "bad-json": Script(garbage="json"),
    "bad-utf8": Script(garbage="utf8"),
    "error-200": Script(garbage="error"),
    "wrong-types": Script(garbage="types"),
    "empty": Script(garbage="empty"),
    "error-event": Script(error_event_after=2),
    "no-done": Script(omit=("done",)),
    "no-finish": Script(omit=("finish",)),
    "no-usage": Script(omit=("usage",)),
    "slow": Script(chunk_delay_ms=100),
    "drip": Script(drip_bytes=7),
    "gzip": Script(gzip=True),
    "inject": Script(content='a\n\ndata: [DONE]\n\nevent: error\r\rb\u2028c "d" \\ e'),
}
"""What the models `fault-NAME` answer before a test registers its own."""
