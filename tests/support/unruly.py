"""A plugin that does at each place what a test tells it to: right where nothing is said, and else whatever is wrong."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import get

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Route, RouteReply
from switchgear.contracts.jobs import JobHandler
from switchgear.contracts.kernel import Task
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import CANONICAL, Answer, ProviderConfig, StreamEvent, Traits
from switchgear.contracts.resource import ResourceKind
from switchgear.wire.chat_provider import ChatProvider

DO: dict[str, Callable[..., Any]] = {}
"""What is done at a place, by its name: called with what the place is called with."""
REACHED: list[str] = []


def at(place: str, *args: Any, usually: Callable[[], Any] = lambda: None) -> Any:
    """Do what is to be done at a place."""
    REACHED.append(place)
    return DO[place](*args) if place in DO else usually()


class Decoder:
    """A decoder that is told what to do."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def feed(self, data: bytes) -> Any:
        return at("feed", data, usually=lambda: self.inner.feed(data))

    def close(self) -> None:
        at("close", usually=self.inner.close)


class Unruly(ChatProvider):
    """A provider."""

    wires = frozenset({CANONICAL})

    def prepare(self, call: Any, model: Any, secret: Any) -> Any:
        return at("prepare", call, usually=lambda: super(Unruly, self).prepare(call, model, secret))

    def decode(self, call: Any, head: Any, body: bytes) -> Any:
        return at("decode", body, usually=lambda: super(Unruly, self).decode(call, head, body))

    def decoder(self, call: Any, head: Any) -> Any:
        return at("decoder", usually=lambda: Decoder(super(Unruly, self).decoder(call, head)))

    def fault(self, call: Any, head: Any, body: bytes) -> Any:
        return at("fault", usually=lambda: super(Unruly, self).fault(call, head, body))


class Trading(Unruly):
    """A provider that trades its credential for a token."""

    def token_request(self, secret: Any) -> Any:
        return at("token_request", secret)

    def token(self, secret: Any, head: Any, body: bytes) -> Any:
        return at("token", secret)


COMPLETION = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
)


class Native:
    """A provider in the same process."""

    wires = frozenset({CANONICAL})

    def __init__(self, config: ProviderConfig[NoSettings]) -> None:
        self.config = config

    def traits(self, model: str) -> Traits:
        return Traits(self.wires)

    async def complete(self, x: Any, call: Any, model: Any, secret: Any) -> Any:
        found = at("complete", usually=lambda: Answer(COMPLETION))
        return await found if hasattr(found, "__await__") else found

    async def stream(self, x: Any, call: Any, model: Any, secret: Any) -> Any:
        for event in at("stream", usually=lambda: [StreamEvent(b"{}", content=1, terminal=True, last=True)]):
            yield event


class Phases(Policy):
    """A policy with every phase."""

    budget_s = 0.3
    sorts = frozenset({"window"})

    def prepare(self, x: Any) -> Any:
        return at("policy.prepare", x)

    def reserve(self, x: Any) -> Any:
        return at("policy.reserve", x, usually=tuple)

    def admit(self, x: Any) -> Any:
        return at("policy.admit", x)

    def attempting(self, x: Any, attempt: Any) -> Any:
        return at("policy.attempting", x)

    def reads(self, x: Any) -> Any:
        return at("policy.reads", x)

    def answered(self, x: Any, answer: Any) -> Any:
        return at("policy.answered", x)

    def settle(self, x: Any) -> Any:
        return at("policy.settle", x)


class Observer(Phases):
    """One that lets calls go on where it is broken."""

    on_error = "allow"

    def prepare(self, x: Any) -> Any:
        return at("observer.prepare", x)

    reserve = Policy.reserve

    def admit(self, x: Any) -> Any:
        return at("observer.admit", x)

    attempting = Policy.attempting
    reads = Policy.reads
    answered = Policy.answered
    settle = Policy.settle


class Speech:
    """A dialect with an endpoint, which is the canonical one's but where it is told otherwise, and a route."""

    name = "unruly"
    request_id_header = None
    retry_count_header = b""

    def __init__(self) -> None:
        from switchgear_plugins.openai.dialect import ChatCompletions, OpenAIDialect  # noqa: PLC0415 - it is enabled by then

        outer = OpenAIDialect()

        class Endpoint(ChatCompletions):
            path = "/unruly/chat"
            wire = "unruly"

            def parse(self, members: Any, headers: Any) -> Any:
                def usual() -> Any:
                    call = super(Endpoint, self).parse(members, headers)
                    call.wire = "unruly"
                    return call

                return at("parse", members, usually=usual)

            def check(self, call: Any) -> Any:
                return at("check", call, usually=lambda: super(Endpoint, self).check(call))

            def canonical(self, call: Any) -> Any:
                return at("canonical", call, usually=lambda: call.translated("chat", CANONICAL, call.members))

            def answer(self, call: Any, answer: Any) -> Any:
                return at("answer", answer, usually=lambda: answer.body)

            def encoder(self, call: Any, *, translate: bool) -> Any:
                inner = super().encoder(call, translate=translate)
                return at("encoder", usually=lambda: Encoder(inner))

        self.inference = (Endpoint(),)
        self.routes = (Route("GET", "/unruly/route", self.route, open_to="principals", counted=True, operation="r"),)
        self._error = outer.error

    def error(self, error: Any, request_id: str) -> Any:
        return at("error", error, usually=lambda: self._error(error, request_id))

    async def route(self, request: Any) -> Any:
        return at("route", request, usually=lambda: RouteReply(b"{}"))


class Encoder:
    """Frames events as it is told."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.media_type, self.keep_alive = inner.media_type, inner.keep_alive

    def event(self, event: Any) -> Any:
        return at("encode", event, usually=lambda: self.inner.event(event))

    def end(self) -> Any:
        return at("encode.end", usually=self.inner.end)

    def error(self, error: Any, request_id: str) -> Any:
        return self.inner.error(error, request_id)


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resource that says something."""

    text: str = ""


class Answerer:
    """A name that clients may write."""

    enabled = True
    created_us = 0
    owned_by = "unruly"

    def plan(self, x: Any) -> Any:
        return at("plan", x)


class Gate:
    """An authenticator, and an authorizer."""

    def authenticate(self, credentials: Any) -> Any:
        return at("authenticate", credentials)

    def authorize(self, principal: Any, action: str, kind: str, id: str | None) -> Any:
        return at("authorize", principal, action) if action == "use" else None


class Sink:
    """A record sink."""

    kinds = frozenset({"usage"})

    async def write(self, kind: Any, rows: Any) -> None:
        found = at("sink", rows)
        if hasattr(found, "__await__"):
            await found


class Listener:
    """Hears events of its plugin."""

    names = frozenset({"unruly.said"})

    def handle(self, event: Any) -> Any:
        return at("event", event)


class Book:
    """Knows prices."""

    def price(self, type: str, model: str, at_us: int, host: str | None) -> Any:
        return at("price", model)


class UnrulyPlugin(Plugin[NoSettings]):
    """Brings one of everything that runs while the gateway serves."""

    api = 1
    requires = ("jobs",)

    def switchgear_providers(self) -> Any:
        return [
            Offer("unruly", lambda config: Unruly(config.base_url, config.headers)),
            Offer("trading", lambda config: Trading(config.base_url, config.headers)),
            Offer("native", Native),
        ]

    def switchgear_policies(self) -> Any:
        return [Offer("phases", Phases), Offer("observer", Observer)]

    def switchgear_dialects(self) -> Any:
        return [Offer("speech", Speech)]

    def switchgear_authenticators(self) -> Any:
        return [Offer("gate", Gate)]

    def switchgear_authorizers(self) -> Any:
        return [Offer("bouncer", Gate)]

    def switchgear_record_sinks(self) -> Any:
        return [Offer("drawer", Sink)]

    def switchgear_event_handlers(self) -> Any:
        return [Listener()]

    def switchgear_price_books(self) -> Any:
        return [Offer("book", Book)]

    def switchgear_resource_kinds(self) -> Any:
        return [
            ResourceKind(
                name="sayings", title="saying", spec=Said, compile=lambda resource, view: at("compile", resource)
            ),
            ResourceKind(
                name="answerers", title="answerer", spec=Said, callable=True, compile=lambda resource, view: Answerer()
            ),
        ]

    def switchgear_routes(self) -> Any:
        @get("/admin/v1/unruly", opt={"action": "read", "resource": "unruly"})
        async def unruly() -> Any:
            return at("admin", usually=dict)

        return [unruly]

    def switchgear_tasks(self) -> Any:
        async def work() -> None:
            found = at("task")
            if hasattr(found, "__await__"):
                await found

        return [Task("chores", 0.05, work)]

    def switchgear_job_handlers(self) -> Any:
        return [JobHandler("unruly.job", lambda run: at("job", run), retry_s=0.01)]

    async def start(self) -> None:
        self.context.resources.on_change("sayings", lambda name, _live: at("change", name))

    async def stop(self) -> None:
        found = at("stop")
        if hasattr(found, "__await__"):
            await found
