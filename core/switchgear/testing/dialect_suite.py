"""What every dialect must do, as tests to inherit.

    class TestMine(DialectSuite):
        bodies = {"/acme/chat": {"model": "m", "prompt": "canary-question"}}       # for each inference endpoint a good body
        def make(self): return MyDialect()

Texts with `canary` in `bodies` are those that must not get lost on the way to a provider of another wire. A test that cannot hold
is overridden with a docstring that says why.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InvalidRequest, NotFound, RateLimited
from switchgear.testing.provider_bench import replaced, walk, words_of
from switchgear.testing.provider_replies import ODD_TEXTS
from switchgear.wire.chunks import ChunkWriter, completion
from switchgear.wire.sse import SSEParser

_ODD: tuple[Any, ...] = (None, True, 5, -1, 2**70, 1.5, "", "text", [], [None], [[]], {}, {"a": []})
_OWN = ("/admin", "/docs", "/health", "/live", "/metrics", "/openapi.json", "/ready", "/redoc", "/ui")
_ERRORS = (
    InvalidRequest("`a` is wrong.", param="a", code="invalid"),
    NotFound("There is none.", code="model_not_found", param="model"),
    RateLimited("Wait.", code="rate_limit_exceeded", retry_after=1.5),
    InvalidRequest('odd " \\ \n\u2028 \U0001f600'),
)
_USAGE = Usage.plain(3, 2)


def members_of(body: Mapping[str, Any]) -> dict[str, Raw]:
    """Return a body's members, raw."""
    return {name: Raw(msgspec.json.encode(value)) for name, value in body.items()}


class DialectSuite:
    """Its clients are understood, answered and told of errors in its own wire, whatever they and the models say.

    whole       paths of chats that are never streams
    text_alone  paths whose answers have no place for calls of tools
    opaque      paths whose answers nobody but their maker reads
    """

    bodies: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    whole: ClassVar[frozenset[str]] = frozenset()
    text_alone: ClassVar[frozenset[str]] = frozenset()
    opaque: ClassVar[frozenset[str]] = frozenset()

    def make(self) -> Dialect:
        """Make the dialect under test."""
        raise AssertionError("override `make` to return the dialect under test")

    def endpoints(self, operation: str | None = None) -> Iterator[tuple[InferenceEndpoint, Mapping[str, Any]]]:
        """Yield the inference endpoints, those of an operation if one is said, each with its good body."""
        for endpoint in self.make().inference:
            assert endpoint.path in self.bodies, f"give a good body for {endpoint.path} in `bodies`"
            body = self.bodies[endpoint.path]
            if operation is None or self.parse(endpoint, body).operation == operation:
                yield endpoint, body

    def parse(self, endpoint: InferenceEndpoint, body: Mapping[str, Any]) -> Call:
        """Read a body as the gateway does."""
        call = endpoint.parse(members_of(body), {})
        assert isinstance(call, Call), "`parse` returns a `Call`"
        endpoint.check(call)
        return call

    def test_it_says_what_it_is(self) -> None:
        dialect = self.make()
        assert dialect.name, "a dialect has a name"
        for header in (dialect.request_id_header, dialect.retry_count_header):
            assert header is None or (isinstance(header, bytes) and header == header.lower()), (
                "names of headers are lower-case bytes"
            )
        paths = [it.path for it in dialect.inference]
        paths += [f"{it.method} {it.path}" if isinstance(it, Route) else f"socket {it.path}" for it in dialect.routes]
        assert len(paths) == len({*paths}), f"a path is there twice: {sorted(paths)}"
        for path in (it.path for it in (*dialect.inference, *dialect.routes)):
            assert path.startswith("/"), f"the path `{path}` begins with no slash"
            assert not any(path == own or path.startswith(f"{own}/") for own in _OWN), f"`{path}` is the gateway's own"

    def test_its_routes_say_whom_they_let_in_and_are_coroutines(self) -> None:
        for route in self.make().routes:
            assert isinstance(route, Route | WebSocketRoute), f"{route!r} is neither a Route nor a WebSocketRoute"
            handler: Any = route.handler
            assert inspect.iscoroutinefunction(handler), f"the handler of {route.path} is no coroutine function"
            assert route.open_to != "granted" or (route.action and route.kind), (
                f"{route.path} says neither `action` and `kind` nor `open_to`, so nobody would be let in"
            )

    def test_an_error_is_json_in_its_own_shape(self) -> None:
        for error in _ERRORS:
            body = self.make().error(error, "request-1")
            assert isinstance(body, bytes), "`error` returns bytes"
            said = msgspec.json.decode(body)
            assert any(error.message in word for word in words_of(said)), f"{error.message!r} is not told"

    def test_it_reads_who_is_asked_and_whether_a_stream_is_wanted(self) -> None:
        for endpoint, body in self.endpoints():
            call = self.parse(endpoint, body)
            assert body.get("model", "") == call.model, f"{endpoint.path}: the call's `model` is what the client named"
            assert endpoint.wire == call.wire, f"{endpoint.path}: the call's `wire` is that of the endpoint"
            assert not call.stream, f"{endpoint.path}: who does not ask for a stream gets a whole answer"
            if call.operation == "chat" and endpoint.path not in self.whole:
                assert self.parse(endpoint, {**body, "stream": True}).stream, (
                    f"{endpoint.path}: `stream` is what the client wants"
                )

    def test_whatever_a_client_sends_is_taken_or_refused(self) -> None:
        for endpoint, body in self.endpoints():
            self._send(endpoint, {})
            for path, _ in list(walk(dict(body)))[1:]:
                for value in _ODD:
                    self._send(endpoint, replaced(dict(body), path, value))

    def test_what_is_missing_is_refused_by_name(self) -> None:
        for endpoint, _ in self.endpoints():
            refused = self._refusal(endpoint, {})
            assert refused is not None, f"{endpoint.path}: a body with nothing in it is taken; refuse it in `check`"
            assert refused.param, f"{endpoint.path}: name what is missing in `param`"

    def test_nothing_is_lost_on_the_way_to_another_wire(self) -> None:
        for endpoint, body in self.endpoints():
            odd = "a_member_that_nobody_knows"
            call = self.parse(endpoint, {**body, odd: "canary-odd"})
            before = dict(call.members)
            if (refused := self._refusal(endpoint, {**body, odd: "canary-odd"})) is not None:
                assert refused.param, f"{endpoint.path}: name what cannot be said in `param`"
                continue
            canonical = endpoint.canonical(call)
            assert before == call.members, (
                f"{endpoint.path}: `canonical` changed the call, which another target may need"
            )
            assert (call.model, call.stream) == (canonical.model, canonical.stream), (
                f"{endpoint.path}: model and stream are lost"
            )
            said = words_of({name: msgspec.json.decode(value) for name, value in canonical.members.items()})
            dropped = {name.partition(".")[0].partition("[")[0] for name in (*canonical.dropped, *call.dropped)}
            for path, text in walk({**body, odd: "canary-odd"}):
                if isinstance(text, str) and "canary" in text and str(path[0]) not in dropped:
                    assert any(text in word for word in said), (
                        f"{endpoint.path}: `{path[0]}` ({text!r}) was lost; carry it, or name it with `drop` on what you return"
                    )

    def test_an_answer_of_another_wire_is_told_in_this_one(self) -> None:
        for endpoint, body in self.endpoints("chat"):
            call = self.parse(endpoint, body)
            if endpoint.path in self.opaque:
                continue
            for text in ("canary-answer", *ODD_TEXTS):
                told = endpoint.answer(call, self._answer(content=text))
                assert any(text in word for word in words_of(msgspec.json.decode(told))), (
                    f"{endpoint.path}: {text[:40]!r} is not told"
                )
            function = {"name": "canary_tool", "arguments": '{"a":"canary-argument"}'}
            called = self._answer(content=None, tool_calls=[{"id": "call_1", "type": "function", "function": function}])
            words = words_of(msgspec.json.decode(endpoint.answer(call, called)))
            lost = [it for it in ("canary_tool", "canary-argument") if not any(it in word for word in words)]
            assert not lost or endpoint.path in self.text_alone, (
                f"{endpoint.path}: a call of a tool is not told ({lost})"
            )

    def test_a_stream_of_another_wire_is_told_in_this_one(self) -> None:
        for endpoint, body in self.endpoints("chat"):
            if endpoint.path in self.whole:
                continue
            call = self.parse(endpoint, {**body, "stream": True})
            for text in ("canary-answer", *ODD_TEXTS):
                encoder = endpoint.encoder(call, translate=True)
                told = b"".join([encoder.event(event) for event in self._stream(text)]) + encoder.end()
                words = [word for document in self.documents(encoder.media_type, told) for word in words_of(document)]
                assert any(text in word for word in words), f"{endpoint.path}: {text[:40]!r} is not told in a stream"

    def test_an_error_in_a_stream_is_told(self) -> None:
        for endpoint, body in self.endpoints("chat"):
            if endpoint.path in self.whole:
                continue
            call = self.parse(endpoint, {**body, "stream": True})
            for error in _ERRORS:
                encoder = endpoint.encoder(call, translate=True)
                told = encoder.event(self._stream("begun")[0]) + encoder.error(error, "request-1")
                words = [word for document in self.documents(encoder.media_type, told) for word in words_of(document)]
                assert any(error.message in word for word in words), (
                    f"{endpoint.path}: the error is not told in a stream"
                )

    def documents(self, media_type: bytes, stream: bytes) -> list[Any]:
        """Return the JSON documents of a stream. Override it for a wire that is no server-sent events."""
        if media_type.partition(b";")[0] != b"text/event-stream":
            return [msgspec.json.decode(line) for line in stream.splitlines() if line.strip()]
        found = [event.data for event in SSEParser().feed_events(stream)]
        return [msgspec.json.decode(data) for data in found if data != b"[DONE]"]

    def _refusal(self, endpoint: InferenceEndpoint, body: Mapping[str, Any]) -> InvalidRequest | None:
        """Return how a body is refused, None if it is not."""
        try:
            endpoint.canonical(self.parse(endpoint, body))
        except InvalidRequest as refused:
            return refused
        return None

    def _send(self, endpoint: InferenceEndpoint, body: Mapping[str, Any]) -> None:
        try:
            endpoint.canonical(self.parse(endpoint, body))
        except ApiError:
            return
        except Exception as error:
            raise AssertionError(
                f"{endpoint.path}: {body} raised {error!r}; raise InvalidRequest naming the member"
            ) from error

    def _answer(self, **message: Any) -> Answer:
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        return completion(id="a", created=0, model="m", message=message, finish_reason=finish, usage=_USAGE)

    def _stream(self, text: str) -> list[StreamEvent]:
        write = ChunkWriter(id="a", created=0, model="m", usage_wanted=True)
        return [write.role(), write.text(text), write.finish("stop", terminal=False), write.end(_USAGE)]
