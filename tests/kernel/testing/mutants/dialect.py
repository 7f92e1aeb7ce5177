"""A dialect that is right: a question and an answer in JSON, in streams one piece a line."""

from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from switchgear.contracts.dialect import Route, RouteReply
from switchgear.contracts.provider import CANONICAL, Call
from switchgear.errors import InvalidRequest
from switchgear.testing.dialect_suite import DialectSuite
from switchgear.wire.chunks import read_chunk, read_completion
from switchgear.wire.members import member

encode = msgspec.json.encode


class Asking:
    path = "/acme/ask"
    wire = "acme"
    face = None
    pieces = None

    def parse(self, members, headers):
        model = member(members, "model", str) or ""
        stream = member(members, "stream", bool) or False
        return Call("chat", self.wire, members, model=model, stream=stream, max_tokens=member(members, "limit", int))

    def check(self, call):
        for name in ("model", "question"):
            if not call.member(name, str):
                raise InvalidRequest(f"`{name}` is missing.", param=name, code="missing_field")

    def canonical(self, call):
        messages = [{"role": "user", "content": call.member("question", str)}]
        members = {"model": call.members["model"], "messages": Raw(encode(messages))}
        if (limit := call.members.get("limit")) is not None:
            members["max_tokens"] = limit
        if call.stream:
            members["stream"] = Raw(b"true")
        made = call.translated("chat", CANONICAL, members)
        made.drop(*(name for name in call.members if name not in {"model", "question", "limit", "stream"}))
        return made

    def answer(self, call, answer):
        message = read_completion(answer.body).choices[0].message
        calls = [{"call": it.function.name, "with": it.function.arguments} for it in message.tool_calls or ()]
        return encode({"answer": message.content, "calls": calls})

    def encoder(self, call, *, translate):
        return Lines()


class Lines:
    media_type = b"application/x-ndjson"
    keep_alive = b"\n"

    def event(self, event):
        deltas = [choice.delta for choice in read_chunk(event.data).choices] if event.data else []
        return b"".join(encode({"says": it.content}) + b"\n" for it in deltas if it is not None and it.content)

    def end(self):
        return b'{"over":true}\n'

    def error(self, error, request_id):
        return encode({"wrong": error.message}) + b"\n"


async def models(request):
    return RouteReply(b"[]")


class Right:
    name = "acme"
    request_id_header = b"acme-id"
    retry_count_header = b""
    endpoint: ClassVar[type[Asking]] = Asking
    routes: ClassVar[tuple[Any, ...]] = (Route("GET", "/acme/models", models, open_to="principals"),)

    @property
    def inference(self):
        return (self.endpoint(),)

    def error(self, error, request_id):
        return encode({"wrong": error.message, "request": request_id})


def with_endpoint(endpoint: type[Asking]) -> type[Right]:
    return type(endpoint.__name__, (Right,), {"endpoint": endpoint})


class LosesMembers(Asking):
    def canonical(self, call):
        made = super().canonical(call)
        made.forget()
        return made


class LosesTheQuestion(Asking):
    def canonical(self, call):
        made = super().canonical(call)
        made.members["messages"] = Raw(b'[{"role":"user","content":"?"}]')
        return made


class ChangesTheCall(Asking):
    def canonical(self, call):
        made = super().canonical(call)
        call.members.pop("question")
        return made


class TakesNothing(Asking):
    def check(self, call):
        pass

    def canonical(self, call):
        return super().canonical(call) if "model" in call.members else call


class TrustsTypes(Asking):
    def parse(self, members, headers):
        model = msgspec.json.decode(members.get("model", b'""'))
        call = super().parse({**members, "model": Raw(b'"m"')}, headers)
        call.model = model.strip()
        return call


class IgnoresStream(Asking):
    def parse(self, members, headers):
        call = super().parse(members, headers)
        call.stream = False
        return call


class LosesCalls(Asking):
    def answer(self, call, answer):
        return encode({"answer": read_completion(answer.body).choices[0].message.content})


class PastesText(Asking):
    def answer(self, call, answer):
        text = read_completion(answer.body).choices[0].message.content or ""
        return b'{"answer":"%b","calls":%b}' % (text.encode(), super().answer(call, answer))


class LosesStreams(Asking):
    def encoder(self, call, *, translate):
        lines = Lines()
        lines.event = lambda event: b""
        return lines


class PastesStreams(Asking):
    def encoder(self, call, *, translate):
        class Pasting(Lines):
            def event(self, event):
                deltas = [choice.delta for choice in read_chunk(event.data).choices] if event.data else []
                return b"".join(
                    b'{"says":"%b"}\n' % it.content.encode() for it in deltas if it is not None and it.content
                )

        return Pasting()


class EndsOnErrors(Asking):
    def encoder(self, call, *, translate):
        lines = Lines()
        lines.error = lambda error, request_id: lines.end()
        return lines


class OwnPath(Asking):
    path = "/admin/v1/ask"


class SilentErrors(Right):
    def error(self, error, request_id):
        return encode({"request": request_id})


class TextErrors(Right):
    def error(self, error, request_id):
        return error.message.encode()


class PlainHandler(Right):
    routes = (Route("GET", "/acme/models", lambda request: RouteReply(b"[]"), open_to="principals"),)


class OpenToNobody(Right):
    routes = (Route("GET", "/acme/models", models),)


class SamePaths(Right):
    routes = Right.routes * 2


class ShoutedHeader(Right):
    request_id_header = b"Acme-Id"


class TestRight(DialectSuite):
    make: ClassVar = Right
    bodies: ClassVar = {"/acme/ask": {"model": "m", "question": "canary-question", "limit": 5}}


ENDPOINTS = (
    LosesMembers, LosesTheQuestion, ChangesTheCall, TakesNothing, TrustsTypes, IgnoresStream, LosesCalls, PastesText,
    LosesStreams, PastesStreams, EndsOnErrors, OwnPath,
)  # fmt: skip
DIALECTS = (SilentErrors, TextErrors, PlainHandler, OpenToNobody, SamePaths, ShoutedHeader)
MUTANTS = ((TestRight, "make", (*map(with_endpoint, ENDPOINTS), *DIALECTS)),)
