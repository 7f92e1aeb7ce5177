"""The life of an exchange over an in-process provider: plans of several targets, settling once, what a policy answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from msgspec import structs

from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.capability import USUAL
from switchgear.contracts.exchange import Attempt, Exchange, Outcome, Plan, Step, Target
from switchgear.contracts.filter import Piece
from switchgear.contracts.policy import Policy, Veto
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.contracts.provider import (
    CANONICAL,
    EMBEDDINGS,
    Answer,
    Call,
    ProviderConfig,
    StreamEvent,
    TargetModel,
)
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import (
    ApiError,
    InvalidRequest,
    JournalFull,
    PermissionDenied,
    RecordRefused,
    StoreUnavailable,
)
from switchgear.exchange.attachments import Policies
from switchgear.exchange.cost import account
from switchgear.exchange.engine import Engine
from switchgear.exchange.invoke import Caps
from switchgear.exchange.meters import ExchangeMeters
from switchgear.offer import NoSettings
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.context import PluginContext
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_suite import chat_call
from switchgear.wire.members import raw
from switchgear_plugins.echo.provider import EchoProvider
from switchgear_plugins.openai.dialect import ChatCompletions, OpenAIDialect
from switchgear_plugins.usage.policy import UsagePolicy


class Ledger:
    durable = False

    def __init__(self) -> None:
        self.has_room = True
        self.records: list[dict[str, Any]] = []
        self.refusal: Exception | None = None

    def append(self, kind: str, id: str, at_us: int, body: bytes) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.records.append(msgspec.json.decode(body))

    async def sync(self) -> None: ...


class Request:
    """One call of a known principal, what its client got, and what was recorded by then."""

    method = "POST"
    path = "/v1/chat/completions"
    lost = False
    on_lost: Any = None
    encoder: Any

    def __init__(self, call: Call, principal: Principal, ledger: Ledger) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.principal = principal
        self.task: Any = asyncio.current_task()
        self.started = False
        self.status = 0
        self.answer_headers: dict[bytes, bytes] = {}
        self.sent = b""
        self.ended = False
        self.recorded_before_end: int | None = None
        self._call = call
        self._ledger = ledger

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(self.headers)

    def whole_body(self) -> bytes:
        return msgspec.json.encode(self._call.members)

    async def read(self) -> None: ...

    def claim(self) -> None: ...

    def bind(self, x: Exchange) -> None: ...

    async def whole(self, status: int, lines: bytes, body: bytes, media_type: bytes = b"") -> None:
        self.status, self.answer_headers = status, self._split(lines)
        await self.close(body)

    def start(self, lines: bytes, media_type: bytes) -> None:
        self.started, self.status, self.answer_headers = True, 200, self._split(lines)

    async def write(self, data: bytes) -> None:
        self.sent += data

    def write_if_ready(self, data: bytes) -> None:
        self.sent += data

    async def close(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data
        self.ended = True
        self.recorded_before_end = len(self._ledger.records)

    def _split(self, lines: bytes) -> dict[bytes, bytes]:
        pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
        return {name: value for name, _, value in pairs}


class Fixture:
    def __init__(self, *policies: Policy) -> None:
        self.metrics = Metrics()
        self.meters = ExchangeMeters(self.metrics)
        self.ledger = Ledger()
        log = structlog.get_logger()
        self.exchanges: list[Exchange] = []
        seen = Seen(self.exchanges)
        self.snapshot: Any = None
        usage = UsagePolicy(PluginContext("usage", Path(), ledger=self.ledger))
        named = [("seen", seen), *((f"p{i}", p) for i, p in enumerate(policies)), ("usage", usage)]
        chain = Policies(named, self.metrics, log)
        self.engine = Engine(
            authority=Authority(),
            resources=self,  # type: ignore[arg-type]  # it has a snapshot
            total_timeout_s=5.0,
            policies=chain,
            ledger=self.ledger,
            ambient=Ambient(),
            meters=self.meters,
            log=log,
            caps=Caps(keep_alive_s=0.05),
        )
        self.reply: Request

    def target(self, name: str, native: Any = None) -> Target:
        return Target(
            model=TargetModel(id=name, name=name, name_json=raw(name)),
            provider_id=f"at-{name}",
            wires=frozenset({CANONICAL}),
            capabilities=USUAL,
            timeouts=Timeouts(first_byte=0.3, idle=0.3),
            meters=self.meters.of_target(name, f"at-{name}"),
            native=native or EchoProvider(ProviderConfig(name, None, {}, NoSettings())),
        )

    async def run(self, call: Call, *targets: Target, models: tuple[str, ...] = ("*",)) -> Exchange:
        class Named:
            enabled = True
            created_us = 0
            owned_by = ""

            def plan(self, x: Exchange) -> Plan:
                return Plan(tuple(map(Step, targets)))

        class Snapshot:
            revision = 1

            def callable(self, name: str) -> Any:
                return Named() if name == "public-name" else None

            def without_prefix(self, name: str) -> str:
                return name

            def is_broken(self, name: str) -> bool:
                return name == "broken-name"

        self.snapshot = Snapshot()
        self.reply = Request(call, Principal("k1", "key", grants=(Grant(USE, "models", models),)), self.ledger)
        await self.engine.run(OpenAIDialect(), ChatCompletions(), self.reply)
        return self.exchanges[-1]


class Seen(Policy):
    """Keeps the exchanges that were settled."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._exchanges = exchanges

    def settle(self, x: Exchange) -> None:
        self._exchanges.append(x)


class Failing(EchoProvider):
    """An echo that was told to fail for everybody."""

    def __init__(self, cause: str) -> None:
        super().__init__(ProviderConfig("failing", None, {}, NoSettings()))
        self.cause = cause

    def _told(self, call: Call) -> Call:
        return chat_call(stream=call.stream, echo={"fault": self.cause})

    async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> Answer:
        return await super().complete(x, self._told(call), model, secret)

    async def stream(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> AsyncIterator[StreamEvent]:
        async for event in super().stream(x, self._told(call), model, secret):
            yield event


@pytest.mark.parametrize("stream", [False, True])
async def test_the_record_is_kept_before_the_client_sees_the_end(stream: bool) -> None:
    fixture = Fixture()
    x = await fixture.run(chat_call(stream=stream), fixture.target("a"))
    assert (x.outcome, fixture.reply.status, fixture.reply.ended) == (Outcome.COMPLETE, 200, True)
    assert fixture.reply.recorded_before_end == 1
    [record] = fixture.ledger.records
    assert (record["outcome"], record["target"], record["key_id"]) == ("complete", "a", "k1")
    assert fixture.engine.running == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cause", ["overloaded", "rate_limit", "server", "auth", "cut"])
async def test_the_next_target_answers_when_one_fails_before_its_first_content(cause: str, stream: bool) -> None:
    fixture = Fixture()
    x = await fixture.run(chat_call(stream=stream), fixture.target("a", Failing(cause)), fixture.target("b"))
    assert (x.outcome, fixture.reply.status) == (Outcome.COMPLETE, 200)
    assert [(attempt.target.model.id, attempt.cause is None) for attempt in x.attempts] == [("a", False), ("b", True)]
    assert fixture.reply.answer_headers[b"x-switchgear-attempts"] == b"2"
    assert b"hello" in fixture.reply.sent


async def test_a_fault_of_the_client_is_not_tried_elsewhere() -> None:
    fixture = Fixture()
    x = await fixture.run(chat_call(), fixture.target("a", Failing("invalid_request")), fixture.target("b"))
    assert (x.outcome, fixture.reply.status, len(x.attempts)) == (Outcome.REJECTED, 400, 1)


async def test_a_silent_target_is_left_for_the_next() -> None:
    class Silent(EchoProvider):
        async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

    fixture = Fixture()
    silent = Silent(ProviderConfig("s", None, {}, NoSettings()))
    x = await fixture.run(chat_call(), fixture.target("a", silent), fixture.target("b"))
    assert (x.outcome, [attempt.cause for attempt in x.attempts]) == (Outcome.COMPLETE, ["first_byte_timeout", None])


async def test_no_other_target_answers_after_the_first_content() -> None:
    fixture = Fixture()
    call = chat_call(stream=True, echo={"size": 9, "chunks": 3, "fault": "cut", "fault_after": 2})
    x = await fixture.run(call, fixture.target("a"), fixture.target("b"))
    assert (x.outcome, len(x.attempts)) == (Outcome.UPSTREAM_CUT, 1)
    assert b"[DONE]" not in fixture.reply.sent
    last = fixture.reply.sent.strip().rsplit(b"data: ", 1)[1]
    assert json.loads(last)["error"]["code"] == "upstream_cut"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_policy_can_answer_in_either_form(stream: bool) -> None:
    made = await EchoProvider(ProviderConfig("e", None, {}, NoSettings())).complete(
        make_exchange(None), chat_call(), TargetModel(id="a", name="a", name_json=raw("a")), None
    )

    class Cache(Policy):
        def admit(self, x: Exchange) -> Answer:
            x.cache = "hit"
            return made

    fixture = Fixture(Cache())
    x = await fixture.run(chat_call(stream=stream), fixture.target("a"))
    assert (x.outcome, len(x.attempts), fixture.reply.answer_headers[b"x-switchgear-cache"]) == (
        Outcome.COMPLETE,
        0,
        b"hit",
    )
    assert b"Say hello" in fixture.reply.sent
    assert fixture.reply.sent.endswith(b"data: [DONE]\n\n") == stream
    assert (None, 0) == (x.usage, x.cost_microusd)
    [record] = fixture.ledger.records
    assert 0 == record["cost_microusd"]
    assert (b"x-switchgear-cost" in fixture.reply.answer_headers) != stream


async def test_a_refusal_is_recorded_and_calls_nobody() -> None:
    class Guard(Policy):
        def admit(self, x: Exchange) -> None:
            raise PermissionDenied("not you")

    fixture = Fixture(Guard())
    x = await fixture.run(chat_call(), fixture.target("a"))
    assert (x.outcome, fixture.reply.status, x.attempts) == (Outcome.REJECTED, 403, [])
    assert [record["outcome"] for record in fixture.ledger.records] == ["rejected"]


async def test_a_bug_of_a_provider_is_a_fault_of_its_target_that_says_nothing_of_it() -> None:
    class Broken(EchoProvider):
        async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> Answer:
            raise KeyError("secret detail")

    fixture = Fixture()
    x = await fixture.run(chat_call(), fixture.target("a", Broken(ProviderConfig("b", None, {}, NoSettings()))))
    assert (x.outcome, x.cause, fixture.reply.status) == (Outcome.UPSTREAM_ERROR, "protocol", 502)
    assert b"secret detail" not in fixture.reply.sent
    assert len(fixture.ledger.records) == 1


async def test_a_full_journal_refuses_before_anything_is_spent() -> None:
    fixture = Fixture()
    fixture.ledger.has_room = False
    x = await fixture.run(chat_call(), fixture.target("a"))
    assert (fixture.reply.status, x.attempts) == (503, [])


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (JournalFull("no room"), 503, "journal_full"),
        (StoreUnavailable("the disk"), 503, "journal_full"),
        (RecordRefused("usage", ("x1",), "too large"), 500, "record_refused"),
    ],
    ids=["full", "broken", "refused"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_cannot_be_recorded_fails_and_says_why(
    refusal: Exception, status: int, code: str, stream: bool
) -> None:
    fixture = Fixture()
    fixture.ledger.refusal = refusal
    x = await fixture.run(chat_call(stream=stream), fixture.target("a"))
    assert (x.outcome, fixture.ledger.records) == (Outcome.COMPLETE, [])
    assert (200 if stream else status) == fixture.reply.status
    last = fixture.reply.sent.strip().rsplit(b"data: ", 1)[-1]
    assert code == json.loads(last)["error"]["code"]


async def test_what_policies_note_as_they_settle_is_in_the_record() -> None:
    class Noting(Policy):
        def settle(self, x: Exchange) -> None:
            x.labels["variant"] = f"{x.outcome}"

    fixture = Fixture(Noting())
    await fixture.run(chat_call(), fixture.target("a"))
    assert [{"variant": "complete"}] == [record["labels"] for record in fixture.ledger.records]


async def test_a_model_that_nobody_knows_is_recorded_too() -> None:
    fixture = Fixture()
    call = chat_call()
    call.members["model"] = raw("z" * 5_000_000)
    await fixture.run(call)
    assert (fixture.reply.status, len(fixture.ledger.records)) == (404, 1)
    assert 256 == len(fixture.ledger.records[0]["model"])


async def test_a_known_caller_that_asks_nothing_sensible_has_a_record() -> None:
    fixture = Fixture()
    await fixture.run(chat_call(model=7))
    [record] = fixture.ledger.records
    assert (fixture.reply.status, record["outcome"], record["model"]) == (400, "rejected", "")


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05])
async def test_whenever_the_client_leaves_there_is_one_record_and_no_answer(moment: float) -> None:
    fixture = Fixture()
    call = chat_call(stream=True, echo={"size": 500, "chunks": 100, "delay_ms": 5, "first_ms": 20})
    running = asyncio.ensure_future(fixture.run(call, fixture.target("a")))
    await asyncio.sleep(moment)
    fixture.reply.on_lost()
    x = await running
    assert (x.outcome, x.status, fixture.reply.ended) == (Outcome.CLIENT_GONE, 499, False)
    assert [record["outcome"] for record in fixture.ledger.records] == ["client_gone"]
    assert x.usage is not None
    assert x.usage.estimated


class Unasked:
    """A provider over HTTP that it never comes to asking: what is asked for cannot be said, or the secret is not there."""

    wires = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init__(self) -> None:
        self.waited_for = asyncio.Event()

    def prepare(self, call: Call, model: TargetModel, secret: Any) -> Any:
        raise InvalidRequest("`n` must be 1.", param="n")

    def peek(self) -> None:
        return None

    async def get(self) -> Any:
        self.waited_for.set()
        await asyncio.Event().wait()


async def test_what_was_refused_before_it_was_sent_costs_nothing() -> None:
    fixture = Fixture()
    target = structs.replace(fixture.target("a"), native=None, provider=Unasked(), connection=object())
    x = await fixture.run(chat_call(n=2), target)
    assert (x.outcome, x.usage) == (Outcome.REJECTED, None)


async def test_a_client_that_left_while_the_secret_was_fetched_is_charged_nothing() -> None:
    fixture, unasked = Fixture(), Unasked()
    target = structs.replace(fixture.target("a"), native=None, provider=unasked, connection=object(), secret=unasked)
    running = asyncio.ensure_future(fixture.run(chat_call(), target))
    await asyncio.wait_for(unasked.waited_for.wait(), 5)
    fixture.reply.on_lost()
    x = await running
    assert (x.outcome, x.usage) == (Outcome.CLIENT_GONE, None)


async def test_the_total_timeout_of_a_provider_holds_for_fetching_its_secret() -> None:
    fixture, unasked = Fixture(), Unasked()
    target = structs.replace(
        fixture.target("a"),
        native=None,
        provider=unasked,
        connection=object(),
        secret=unasked,
        timeouts=Timeouts(total=0.1),
    )
    x = await asyncio.wait_for(fixture.run(chat_call(), target), 3)
    assert (x.outcome, x.usage) == (Outcome.DEADLINE, None)


async def test_vectors_without_usage_are_not_taken_for_output_tokens() -> None:
    fixture = Fixture()
    x = await fixture.run(chat_call(), fixture.target("a"))
    x.sent = Call("embedding", EMBEDDINGS, {"input": raw("some words to embed")}, model="m")
    x.stream_bytes = 90_000
    x.usage = None
    account(x, x.attempts[-1])
    usage = x.attempts[-1].usage
    assert usage is not None
    assert 0 == usage.output_tokens
    assert usage.input_tokens > 1


async def test_stopping_the_gateway_ends_a_stream_with_an_error() -> None:
    fixture = Fixture()
    call = chat_call(stream=True, echo={"size": 500, "chunks": 100, "delay_ms": 5})
    running = asyncio.ensure_future(fixture.run(call, fixture.target("a")))
    await asyncio.sleep(0.05)
    fixture.engine.stop_all()
    x = await running
    assert x.outcome is Outcome.DRAINING
    assert b"server_draining" in fixture.reply.sent
    assert b"[DONE]" not in fixture.reply.sent


async def test_what_ends_the_exchange_leads_on_to_no_other_target() -> None:
    fixture = Fixture()
    asked = asyncio.Event()

    class Patient(EchoProvider):
        async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> Answer:
            asked.set()
            await asyncio.sleep(30)
            return await super().complete(x, call, model, secret)

    patient = Patient(ProviderConfig("p", None, {}, NoSettings()))
    targets = fixture.target("a", patient), fixture.target("b")
    running = asyncio.create_task(fixture.run(chat_call(), *targets))
    await asyncio.wait_for(asked.wait(), 5)
    fixture.engine.stop_all()
    x = await running
    assert (Outcome.DRAINING, ["a"]) == (x.outcome, [attempt.target.model.id for attempt in x.attempts])


async def test_a_silent_stream_gets_signs_of_life() -> None:
    fixture = Fixture()

    class Patient(EchoProvider):
        async def stream(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> AsyncIterator[StreamEvent]:
            async for event in super().stream(x, call, model, secret):
                yield event
                if b"one" in event.data:
                    await asyncio.sleep(0.25)

    patient = Patient(ProviderConfig("p", None, {}, NoSettings()))
    x = await fixture.run(chat_call(stream=True, echo={"text": "one two"}), fixture.target("a", patient))
    assert x.outcome is Outcome.COMPLETE
    parts = [part for part in fixture.reply.sent.split(b"\n\n") if part]
    first, last = (next(i for i, part in enumerate(parts) if word in part) for word in (b"one", b"two"))
    assert {b": keep-alive"} == set(parts[first + 1 : last])


@pytest.mark.parametrize("shown", [False, True], ids=["nothing", "a role"])
async def test_who_waits_for_the_first_content_gets_signs_of_life_and_may_still_hear_another(shown: bool) -> None:
    class Silent(EchoProvider):
        async def stream(self, x: Exchange, call: Call, model: TargetModel, secret: Any) -> AsyncIterator[StreamEvent]:
            if shown:
                yield StreamEvent(b'{"choices":[{"index":0,"delta":{"role":"assistant"}}]}')
            await asyncio.sleep(60)

    fixture = Fixture()
    silent = Silent(ProviderConfig("s", None, {}, NoSettings()))
    call = chat_call(stream=True, echo={"text": "one two"})
    x = await fixture.run(call, fixture.target("a", silent), fixture.target("b"))
    assert (Outcome.COMPLETE, 200, 2) == (x.outcome, fixture.reply.status, len(x.attempts))
    assert fixture.reply.sent.startswith(b": keep-alive\n\n")
    assert (1, 1) == (fixture.reply.sent.count(b'"role"'), fixture.reply.sent.count(b"[DONE]"))
    alone = await fixture.run(call, fixture.target("a", silent))
    assert (Outcome.UPSTREAM_STALL, 200) == (alone.outcome, fixture.reply.status)
    assert b'"code":"' in fixture.reply.sent
    assert b"[DONE]" not in fixture.reply.sent


class Shouting(Policy):
    """Says everything louder, and keeps what it was shown."""

    class Filter:
        hold = 0

        def feed(self, piece: Piece) -> list[Piece]:
            if "enough" in piece.text:
                raise ApiError("enough", code="enough")
            return [piece.with_text(piece.text.upper())]

        def end(self) -> list[Piece]:
            return []

    def __init__(self) -> None:
        self.seen: list[Answer | None] = []

    def reads(self, x: Exchange) -> Filter:
        return self.Filter()

    def answered(self, x: Exchange, answer: Answer | None) -> None:
        self.seen.append(answer)


async def test_an_error_of_a_filter_stops_the_stream() -> None:
    fixture = Fixture(Shouting())
    x = await fixture.run(chat_call(stream=True, echo={"text": "one two enough three"}), fixture.target("a"))
    assert x.outcome is Outcome.POLICY_STOP
    assert b'"code":"enough"' in fixture.reply.sent
    assert b"[DONE]" not in fixture.reply.sent


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_answered_can_be_answered_again(stream: bool) -> None:
    shouting = Shouting()
    fixture = Fixture(shouting)
    await fixture.run(chat_call(stream=stream, echo={"text": "one two"}), fixture.target("a"))
    first = fixture.reply.sent
    assert b"ONE" in first
    [answer] = shouting.seen
    assert answer is not None

    class Cache(Policy):
        def admit(self, x: Exchange) -> Answer | None:
            x.cache = "hit"
            return answer

    again = Fixture(Cache())
    x = await again.run(chat_call(stream=stream, echo={"text": "one two"}), again.target("a"))
    assert (first, 0, 0, None) == (again.reply.sent, len(x.attempts), x.cost_microusd, x.usage)


async def test_headers_of_an_attempt_and_a_veto() -> None:
    class Choosy(Policy):
        def attempting(self, x: Exchange, attempt: Attempt) -> dict[str, str]:
            if attempt.target.model.id == "a":
                raise Veto
            return {"traceparent": "of this attempt"}

    fixture = Fixture(Choosy())
    x = await fixture.run(chat_call(), fixture.target("a"), fixture.target("b"))
    assert (Outcome.COMPLETE, ["b"]) == (x.outcome, [attempt.target.model.id for attempt in x.attempts])


async def test_what_a_request_lacks_is_refused_unless_a_policy_supplies_it() -> None:
    class Supplier(Policy):
        def prepare(self, x: Exchange) -> None:
            assert x.call is not None
            x.call.model = "public-name"
            x.call.members = {**x.call.members, "messages": raw([{"role": "user", "content": "hello"}])}

    lacking = Call("chat", CANONICAL, {}, model="")
    fixture = Fixture(Supplier())
    x = await fixture.run(lacking, fixture.target("a"))
    assert (Outcome.COMPLETE, 200) == (x.outcome, fixture.reply.status)
    for members, param in (({}, "model"), ({"model": raw("public-name")}, "messages")):
        fixture = Fixture()
        x = await fixture.run(Call("chat", CANONICAL, members, model=""), fixture.target("a"))
        assert (Outcome.REJECTED, 400) == (x.outcome, fixture.reply.status)
        assert param == json.loads(fixture.reply.sent)["error"]["param"]
