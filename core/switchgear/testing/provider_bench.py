"""What the tests of providers are run with: calls, recorded heads, and ways to look into requests and streams."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote

import msgspec
import pytest
from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import CANONICAL, Call, Provider, ProviderFault, StreamEvent, TargetModel
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken

CANARY = "sk-canary-4f9b1c0d7e"
MODEL = TargetModel(id="public-name", name="provider-name", name_json=Raw(b'"provider-name"'))
Path: TypeAlias = tuple[str | int, ...]
"""A way through JSON: names of members and places in lists."""


class RecordedHead:
    """Status and headers of a recorded answer."""

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}

    def header(self, name: str) -> str | None:
        """Return a header."""
        return self._headers.get(name.lower())


def chat_call(*, stream: bool = False, usage_wanted: bool = False, strict: bool = False, **members: Any) -> Call:
    """Make a canonical call that says hello; `members` are added to its body."""
    body = {"model": "public-name", "messages": [{"role": "user", "content": "Say hello"}], **members}
    if stream:
        body["stream"] = True
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in body.items()}
    bound = members.get("max_completion_tokens") or members.get("max_tokens")
    return Call(
        "chat", CANONICAL, raw, model="public-name", stream=stream, usage_wanted=usage_wanted, strict=strict,
        max_tokens=bound,
    )  # fmt: skip


def chunks_of(events: Sequence[StreamEvent]) -> list[dict[str, Any]]:
    """Decode the canonical chunks that a client is shown."""
    return [msgspec.json.decode(event.data) for event in events if event.data]


def deltas_of(events: Sequence[StreamEvent]) -> list[dict[str, Any]]:
    """Return what canonical chunks add to the answer, in order."""
    return [choice.get("delta") or {} for chunk in chunks_of(events) for choice in chunk["choices"]]


def text_of(events: Sequence[StreamEvent]) -> str:
    """Join the content of canonical chunks."""
    return "".join(delta.get("content") or "" for delta in deltas_of(events))


def tool_calls_of(events: Sequence[StreamEvent]) -> list[dict[str, Any]]:
    """Put the tool calls of canonical chunks together: `id`, `name` and the text of their `arguments`."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in (piece for delta in deltas_of(events) for piece in delta.get("tool_calls") or ()):
        call = calls.setdefault(piece.get("index", 0), {"id": None, "name": "", "arguments": ""})
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""
    return [calls[index] for index in sorted(calls)]


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value in a JSON value, with the way to it."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, (*path, key))


def words_of(value: Any) -> list[str]:
    """Return every text and every name of a member in a JSON value, in order."""
    found: list[str] = []
    for path, inner in walk(value):
        if path and isinstance(path[-1], str):
            found.append(path[-1])
        if isinstance(inner, str):
            found.append(inner)
    return found


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return a JSON value with another one in one place."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(it, path[1:], new) if key == path[0] else it for key, it in value.items()}
    return [replaced(it, path[1:], new) if place == path[0] else it for place, it in enumerate(value)]


class Frames:
    """A recorded body as JSON documents with whatever stands between them: one document, one a line, server-sent events."""

    def __init__(self, recorded: bytes) -> None:
        self.parts: list[bytes] = []
        self.documents: dict[int, Any] = {}
        try:
            self.documents[0] = msgspec.json.decode(recorded)
            self.parts.append(recorded)
        except msgspec.DecodeError:
            for line in recorded.splitlines(keepends=True):
                self._take(line)

    def _take(self, line: bytes) -> None:
        at = next((at for at, byte in enumerate(line) if byte in b"{["), len(line))
        body = line[at:].rstrip()
        try:
            document = msgspec.json.decode(body)
        except msgspec.DecodeError:
            self.parts.append(line)
            return
        self.documents[len(self.parts) + 1] = document
        self.parts += [line[:at], body, line[at + len(body) :]]

    def with_documents(self, changed: Mapping[int, Any]) -> bytes:
        """Return the body with other documents in these places."""
        return b"".join(
            msgspec.json.encode(changed[place]) if place in changed else part for place, part in enumerate(self.parts)
        )

    def saying(self, text: str, instead_of: str) -> bytes | None:
        """Return the body with `text` where it said something else, whole or in pieces; None where it is not found."""
        left, where = instead_of, None
        changed: dict[int, Any] = {}
        for place, document in self.documents.items():
            for path, value in walk(document):
                names = tuple(step for step in path if isinstance(step, str))
                if left and isinstance(value, str) and value and left.startswith(value) and where in (None, names):
                    new = text if where is None else ""
                    changed[place] = replaced(changed.get(place, document), path, new)
                    left, where = left[len(value) :], names
        return None if left else self.with_documents(changed)


class ProviderChecks:
    """What the suites run their tests with.

    model          the model that is asked, for a provider to which its name matters
    text           what `answer` and `stream` say
    usage          what they consumed, None where the provider does not tell
    answer         recorded: a whole reply
    stream         recorded: the body of a streamed reply
    secret         fields of a credential
    faults         recorded failures: (status, body, cause)
    stream_faults  recorded streams in which the provider fails: (body, cause); None where its wire has no words for that
    tool_calls     the functions that `tool_answer` and `tool_stream` call: (name, arguments)
    tool_answer    recorded: a whole reply that calls them, where models can have tools
    tool_stream    recorded: the body of a streamed one
    needless       members that need not be sent, since the provider does what they say whoever asks
    """

    model: ClassVar[TargetModel] = MODEL
    text: ClassVar[str] = "Hello"
    usage: ClassVar[Usage | None] = None
    answer: ClassVar[bytes]
    stream: ClassVar[bytes]
    secret: ClassVar[Mapping[str, str]] = {"api_key": CANARY}
    faults: ClassVar[Sequence[tuple[int, bytes, str]]] = ()
    stream_faults: ClassVar[Sequence[tuple[bytes, str]] | None] = ()
    tool_calls: ClassVar[Sequence[tuple[str, Mapping[str, Any]]]] = ()
    tool_answer: ClassVar[bytes] = b""
    tool_stream: ClassVar[bytes] = b""
    needless: ClassVar[frozenset[str]] = frozenset()

    def make(self) -> Provider:
        """Make the provider under test."""
        raise AssertionError("override `make` to return the provider under test")

    def said(self, request: OutboundRequest) -> Any:
        """Return what a request's body says, as JSON values. Override it where the body is not JSON."""
        try:
            return msgspec.json.decode(request.whole_body())
        except msgspec.DecodeError as error:
            pytest.fail(
                f"the body is not JSON ({error}); if it is not meant to be, override `said`: {request.whole_body()[:500]!r}"
            )

    def tell(self, text: str) -> bytes:
        """Make a whole reply that says `text`: `answer` with another text. Override it where `answer` is not JSON."""
        told = Frames(self.answer).saying(text, self.text)
        assert told is not None, "`text` is not in `answer`; override `tell` to make a whole reply that says a text"
        return told

    def tell_stream(self, text: str) -> bytes:
        """Make the body of a streamed reply that says `text`. Override it where `stream` is not lines with JSON."""
        told = Frames(self.stream).saying(text, self.text)
        assert told is not None, "`text` is not in `stream`; override `tell_stream` to make a stream that says a text"
        return told

    def can(self, capability: str) -> bool:
        """Say whether the model is said to be able to do something."""
        return capability in self.make().traits(self.model.name).capabilities

    def prepare(self, call: Call, model: TargetModel | None = None) -> OutboundRequest:
        """Build the request of a call."""
        return self.make().prepare(call, model or self.model, Secret(self.secret))

    def read(self, pieces: Sequence[bytes], call: Call | None = None) -> list[StreamEvent]:
        """Read a stream that is whole."""
        decoder = self.make().decoder(call or chat_call(stream=True, usage_wanted=True), RecordedHead())
        events = [event for piece in pieces for event in decoder.feed(piece)]
        for event in events:
            assert event.fault is None, f"a stream in which nothing failed is read as the failure {event.fault}"
        decoder.close()
        return events

    def read_failing(self, pieces: Sequence[bytes]) -> tuple[str, str]:
        """Read a stream up to the failure in it; return what was shown and the cause."""
        decoder = self.make().decoder(chat_call(stream=True, usage_wanted=True), RecordedHead())
        shown: list[StreamEvent] = []
        for piece in pieces:
            try:
                events = decoder.feed(piece)
            except ProviderFault as fault:
                pytest.fail(
                    f"`feed` raised {fault}; return it as `StreamEvent(b'', fault=…)`, so that what came before it is shown"
                )
            for event in events:
                if event.fault is not None:
                    return text_of(shown), event.fault.cause
                assert not event.terminal, "a stream in which the provider fails has no terminal event"
                shown.append(event)
        try:
            decoder.close()
        except ConnectionBroken:
            return text_of(shown), "nothing but the end of the connection"
        except ProviderFault as fault:
            return text_of(shown), fault.cause
        pytest.fail("the failure in the stream was read as nothing, and the stream as complete")


def is_in(text: str, request: OutboundRequest) -> bool:
    """Say whether a text of plain letters is anywhere in a request."""
    return (
        text in unquote(request.url)
        or text.encode() in request.whole_body()
        or any(text in it for it in request.headers.values())
    )
