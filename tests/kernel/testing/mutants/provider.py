"""A provider that is right, and twenty that are wrong in one thing each. Its wire: one JSON object, in streams one a line."""

import asyncio
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from switchgear import NoSettings
from switchgear.contracts.capability import usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    DiscoveredModel,
    ModelPage,
    ProviderConfig,
    ProviderFault,
    StreamEvent,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.testing.provider_suite import NativeProviderSuite, ProviderSuite, chat_call
from switchgear.wire.canonical import ToolCall, drop_others, read_chat
from switchgear.wire.chunks import ChunkWriter, completion

ENDS = {"done": "stop", "limit": "length", "acts": "tool_calls"}
CAUSES = {"busy": "overloaded", "slow": "rate_limit"}


class Doing(msgspec.Struct):
    what: str
    how: dict[str, Any]


class Reply(msgspec.Struct):
    says: str = ""
    does: list[Doing] = []
    ended: str | None = None
    words: tuple[int, int] | None = None
    trouble: str | None = None


class Right:
    wires = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init__(self, config: ProviderConfig[NoSettings]) -> None:
        self.url = f"{config.base_url}/talk"

    def traits(self, model):
        return Traits(self.wires, usual(vision=False, json_schema=False, reasoning=False))

    def prepare(self, call, model, secret):
        chat = read_chat(call, model)
        drop_others(call, ["tools", "tool_choice", "temperature", "stop", "seed"])
        if chat.tool_choice is not None:
            call.drop("tool_choice")
        body = {
            "voice": model.name,
            "live": call.stream,
            "lines": [self.line(place, message) for place, message in enumerate(chat.messages)],
            "skills": [msgspec.to_builtins(function) for function, _ in chat.functions()],
            "warmth": chat.temperature,
            "silence": chat.stops,
            "seed": chat.seed,
            "limit": chat.limit,
        }
        headers = {"content-type": "application/json", "x-pass": secret["api_key"]}
        return OutboundRequest("POST", self.url, headers, self.encode(body))

    def encode(self, body):
        return msgspec.json.encode({name: value for name, value in body.items() if value not in (None, [])})

    def line(self, place, message):
        if any(part.__struct_config__.tag != "text" for part in message.parts()):
            raise InvalidRequest("Texts only.", param=f"messages[{place}].content")
        done = [{"what": it.function.name, "how": self.arguments(place, it)} for it in message.tool_calls or ()]
        return {"who": message.role, "says": message.text(), "does": done, "of": message.tool_call_id}

    def arguments(self, place: int, call: ToolCall) -> Any:
        try:
            return msgspec.json.decode(call.function.arguments or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise InvalidRequest("Arguments are a JSON object.", param=f"messages[{place}].tool_calls") from None

    def decode(self, call, head, body):
        reply = self.reply(body)
        if reply.ended is None:
            raise ProviderFault("protocol", 200)
        message = {"content": reply.says, **self.calls(reply)}
        usage = Usage.plain(*reply.words) if reply.words else None
        finish = ENDS.get(reply.ended, "stop")
        return completion(id="a", created=0, model=call.model, message=message, finish_reason=finish, usage=usage)

    def calls(self, reply):
        called = [
            {"id": f"call_{n}", "type": "function", "function": {"name": it.what, "arguments": self.text(it)}}
            for n, it in enumerate(reply.does)
        ]
        return {"tool_calls": called} if called else {}

    def text(self, doing):
        return msgspec.json.encode(doing.how).decode()

    def reply(self, body):
        try:
            body.decode()
            reply = msgspec.json.decode(body, type=Reply)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderFault("protocol", 200) from None
        if reply.trouble is not None:
            raise ProviderFault(CAUSES.get(reply.trouble, "server"), 200)
        return reply

    def decoder(self, call, head):
        return Decoder(self, call)

    def fault(self, call, head, body):
        return ProviderFault({429: "rate_limit", 503: "overloaded"}.get(head.status, "server"), head.status)


class Decoder:
    def __init__(self, provider, call):
        self.provider = provider
        self.call = call
        self.write = ChunkWriter(id="a", created=0, model=call.model, usage_wanted=call.usage_wanted)
        self.rest = b""
        self.called = 0
        self.ended = False

    def feed(self, data):
        events = []
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            try:
                events += self.events(self.provider.reply(line))
            except ProviderFault as fault:
                return [*events, StreamEvent(b"", fault=fault)]
        return events

    def events(self, reply):
        events = [self.write.text(reply.says)] if reply.says else []
        for doing in reply.does:
            events.append(
                self.write.tool_call(self.called, f"call_{self.called}", doing.what, self.provider.text(doing))
            )
            self.called += 1
        if reply.ended is not None:
            self.ended = True
            usage = Usage.plain(*reply.words) if reply.words else None
            events += [self.write.finish(ENDS.get(reply.ended, "stop"), terminal=False), self.write.end(usage)]
        return events

    def close(self):
        if not self.ended:
            raise ConnectionBroken("no end")


class TestRight(ProviderSuite):
    provider: ClassVar[type[Right]] = Right
    text = "Hello"
    usage = Usage.plain(2, 1)
    answer = b'{"says": "Hello", "ended": "done", "words": [2, 1]}'
    stream = b'{"says": "Hel"}\n{"says": "lo"}\n{"ended": "done", "words": [2, 1]}\n'
    faults = ((503, b'{"trouble": "busy"}', "overloaded"), (500, b"", "server"))
    stream_faults = ((b'{"says": "Hel"}\n{"trouble": "slow"}\n', "rate_limit"),)
    tool_calls = (("weather", {"city": "Oslo"}), ("now", {}))
    tool_answer = (
        b'{"does": [{"what": "weather", "how": {"city": "Oslo"}}, {"what": "now", "how": {}}], "ended": "acts"}'
    )
    tool_stream = (
        b'{"does": [{"what": "weather", "how": {"city": "Oslo"}}]}\n{"does": [{"what": "now", "how": {}}]}\n'
        b'{"ended": "acts"}\n'
    )

    def make(self):
        return self.provider(ProviderConfig("p", "https://p.test", {}, NoSettings()))


class DropsMembersSilently(Right):
    def prepare(self, call, model, secret):
        request = super().prepare(call, model, secret)
        call.forget()
        return request


class LosesSeed(Right):
    def encode(self, body):
        return super().encode({**body, "seed": None})


class SendsAConstant(Right):
    def encode(self, body):
        return super().encode({**body, "warmth": body["warmth"] and 1.0})


class IgnoresDefaults(Right):
    def prepare(self, call, model, secret):
        return super().prepare(call, msgspec.structs.replace(model, defaults={}), secret)


class SendsTheLastMessageOnly(Right):
    def encode(self, body):
        return super().encode({**body, "lines": body["lines"][-1:]})


class LosesPictures(Right):
    def line(self, place, message):
        return {"who": message.role, "says": message.text()}


class TextOnly(Right):
    """Drops everything but the text of what comes back."""

    def decode(self, call, head, body):
        said = {"role": "assistant", "content": self.reply(body).says}
        frame = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
        return Answer(msgspec.json.encode(frame))


class NoModel(Right):
    def encode(self, body):
        return super().encode({**body, "voice": None})


class OneModel(Right):
    def encode(self, body):
        return super().encode({**body, "voice": "provider-name"})


class NoStreamFlag(Right):
    def encode(self, body):
        return super().encode({**body, "live": None})


class RawArguments(Right):
    def arguments(self, place, call):
        return Raw(call.function.arguments.encode() or b"{}")


class UnreadArguments(Right):
    def arguments(self, place, call):
        return msgspec.json.decode(call.function.arguments or "{}")


class AskedWithoutTheirTools(Right):
    def encode(self, body):
        return super().encode({**body, "skills": []})


class ForgetsWhatToolsSaid(Right):
    def line(self, place, message):
        return {**super().line(place, message), "does": []}


class ToolCallsVanish(Right):
    def reply(self, body):
        return msgspec.structs.replace(super().reply(body), does=[])


class ArgumentsAsObjects(Right):
    def text(self, doing):
        return doing.how


class ErrorsVanish(Right):
    """Those that come with status 200."""

    def reply(self, body):
        try:
            return super().reply(body)
        except ProviderFault as fault:
            if fault.cause == "protocol":
                raise
            return Reply(ended="done")


class UsageUnasked(Right):
    def decoder(self, call, head):
        decoder = Decoder(self, call)
        decoder.write = ChunkWriter(id="a", created=0, model=call.model, usage_wanted=True)
        return decoder


class UsageNever(Right):
    def decoder(self, call, head):
        decoder = Decoder(self, call)
        decoder.write = ChunkWriter(id="a", created=0, model=call.model, usage_wanted=False)
        return decoder


class WireItLacks(Right):
    def traits(self, model):
        return Traits(self.wires | {"embeddings"}, super().traits(model).capabilities)


class ReadsModelText(Right):
    """Takes what the model says for JSON where it looks like it."""

    def decode(self, call, head, body):
        said = self.reply(body).says
        if said[:1] in ("{", "["):
            msgspec.json.decode(said)
        return super().decode(call, head, body)


class PastesModelText(Right):
    def decode(self, call, head, body):
        said = super().decode(call, head, body)
        text = self.reply(body).says
        return msgspec.structs.replace(said, body=said.body.replace(msgspec.json.encode(text), b'"%b"' % text.encode()))


class ReadsStreamedText(Right):
    def decoder(self, call, head):
        class Reading(Decoder):
            def events(self, reply):
                if reply.says.startswith("{"):
                    msgspec.json.decode(reply.says)
                return super().events(reply)

        return Reading(self, call)


class BadWords(Right):
    """Gives reasons of its own for the end of an answer."""

    def decode(self, call, head, body):
        answer = super().decode(call, head, body)
        return msgspec.structs.replace(answer, body=answer.body.replace(b'"stop"', b'"done"'))


class SharedState(Right):
    def decoder(self, call, head):
        self.one = getattr(self, "one", None) or Decoder(self, call)
        return self.one


class BadCause(Right):
    def fault(self, call, head, body):
        return ProviderFault("bad_luck", head.status)


class ChangesTheCall(Right):
    def prepare(self, call, model, secret):
        request = super().prepare(call, model, secret)
        call.members.pop("temperature", None)
        return request


class RightLister(Right):
    """It can also be asked for its models, and trades its credential for a token."""

    def models_request(self, secret, cursor):
        return OutboundRequest("GET", f"{self.url}/models", {})

    def models(self, head, body):
        return ModelPage(tuple(DiscoveredModel(name) for name in self.list(head, body)))

    def token_request(self, secret):
        return OutboundRequest("POST", f"{self.url}/token", {})

    def token(self, secret, head, body):
        [token] = self.list(head, body)
        return Secret({"api_key": token})

    def list(self, head, body):
        if head.status != 200:
            raise self.fault(None, head, body)
        try:
            return msgspec.json.decode(body, type=list[str])
        except (msgspec.DecodeError, RecursionError):
            raise ProviderFault("protocol", 200) from None


class ListsAnything(RightLister):
    """Takes a list that it cannot read for an empty one."""

    def list(self, head, body):
        try:
            return super().list(head, body)
        except ProviderFault:
            return ["a"]


class ListsUntyped(RightLister):
    def list(self, head, body):
        return msgspec.json.decode(body, type=list[str])


class Changed(Decoder):
    """Changes the events that a piece completes."""

    def feed(self, data):
        return self.change(super().feed(data))

    def change(self, events):
        return events


class EveryEventTerminal(Changed):
    def change(self, events):
        return [msgspec.structs.replace(it, terminal=True) for it in events]


class NoTerminal(Changed):
    def change(self, events):
        return [msgspec.structs.replace(it, terminal=False) for it in events]


class TerminalInTheMiddle(Changed):
    def change(self, events):
        return [msgspec.structs.replace(it, terminal=it.terminal or b"Hel" in it.data) for it in events]


class LastIsNotLast(Changed):
    def change(self, events):
        return [*events, *events[-1:]] if events and events[-1].last else events


class Counts(Changed):
    """Counts nothing of what it shows."""

    def change(self, events):
        return [msgspec.structs.replace(it, content=0) for it in events]


class NeverEnds(Changed):
    def close(self):
        pass


class Trusting(Decoder):
    """Takes the end of the connection for the end of the answer."""

    def close(self):
        self.ended = True


class PieceByPiece(Changed):
    """Joins what came in one piece, as far as it is text."""

    def change(self, events):
        texts = [it for it in events if b'"content":' in it.data]
        return events[1:] if len(texts) > 1 else events


class NeedsWholeLines(Decoder):
    def feed(self, data):
        self.rest = b""
        return super().feed(data if data.endswith(b"\n") else data + b"\n") if data else []


class Blind(Decoder):
    """Passes over what it cannot read."""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        events = []
        for line in lines:
            try:
                events += self.events(self.provider.reply(line))
            except ProviderFault:
                continue
        return events


class Raises(Decoder):
    """Loses what came before a failure in the same piece."""

    def feed(self, data):
        events = super().feed(data)
        if events and events[-1].fault:
            raise events[-1].fault
        return events


class Untyped(Decoder):
    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [event for line in lines for event in self.events(msgspec.json.decode(line, type=Reply))]


def with_decoder(decoder):
    def make(self, call, head):
        return decoder(self, call)

    return type(decoder.__name__, (Right,), {"decoder": make})


DECODERS = (
    EveryEventTerminal, NoTerminal, TerminalInTheMiddle, LastIsNotLast, Counts, NeverEnds, Trusting, PieceByPiece,
    NeedsWholeLines, Blind, Raises, Untyped,
)  # fmt: skip
PROVIDERS = (
    DropsMembersSilently, LosesSeed, SendsAConstant, IgnoresDefaults, SendsTheLastMessageOnly, LosesPictures, TextOnly, NoModel,
    OneModel, NoStreamFlag, RawArguments, UnreadArguments, AskedWithoutTheirTools, ForgetsWhatToolsSaid, ToolCallsVanish,
    ArgumentsAsObjects, ErrorsVanish, UsageUnasked, UsageNever, WireItLacks, ReadsModelText, PastesModelText, ReadsStreamedText,
    BadWords, SharedState, BadCause, ChangesTheCall, ListsAnything, ListsUntyped,
)  # fmt: skip


class RightNative:
    wires = frozenset({CANONICAL})

    def traits(self, model):
        return Traits(self.wires)

    async def complete(self, x, call, model, secret):
        await asyncio.sleep(0)
        said = call.member("messages", list[dict])[-1]["content"]
        return completion(
            id="a", created=0, model="m", message={"content": said}, finish_reason="stop", usage=Usage.plain(2, 2)
        )

    async def stream(self, x, call, model, secret):
        write = ChunkWriter(id="a", created=0, model="m", usage_wanted=call.usage_wanted)
        for piece in ("Say ", "hello"):
            await asyncio.sleep(0)
            yield write.text(piece)
        yield write.finish("stop", terminal=False)
        yield write.end(Usage.plain(2, 2))


class NativeChanged(RightNative):
    async def stream(self, x, call, model, secret):
        async for event in super().stream(x, call, model, secret):
            for changed in self.change(event):
                yield changed


class NativeAllTerminal(NativeChanged):
    def change(self, event):
        return [msgspec.structs.replace(event, terminal=True)]


class NativeNoTerminal(NativeChanged):
    def change(self, event):
        return [msgspec.structs.replace(event, terminal=False)]


class NativeNoLast(NativeChanged):
    def change(self, event):
        return [msgspec.structs.replace(event, last=False)]


class NativeLosesHalf(NativeChanged):
    def change(self, event):
        return [] if b"hello" in event.data else [event]


class NativeUsageUnasked(RightNative):
    def stream(self, x, call, model, secret):
        return super().stream(x, chat_call(stream=True, usage_wanted=True), model, secret)


class NativeDeaf(RightNative):
    """Goes on when it is cancelled."""

    async def complete(self, x, call, model, secret):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            raise RuntimeError("not now") from None
        return await super().complete(x, call, model, secret)


class NativeWireItLacks(RightNative):
    def traits(self, model):
        return Traits(frozenset({"messages"}))


class TestRightNative(NativeProviderSuite):
    make: ClassVar = RightNative


class TestRightLister(TestRight):
    provider = RightLister


NATIVES = (
    NativeAllTerminal, NativeNoTerminal, NativeNoLast, NativeLosesHalf, NativeUsageUnasked, NativeDeaf, NativeWireItLacks,
)  # fmt: skip
MUTANTS = (
    (TestRight, "provider", (*PROVIDERS, *map(with_decoder, DECODERS))),
    (TestRightLister, "provider", ()),
    (TestRightNative, "make", NATIVES),
)
