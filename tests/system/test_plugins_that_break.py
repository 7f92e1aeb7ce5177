"""A plugin that breaks while the gateway serves is contained, wherever it does, and named; its calls are accounted for."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support import unruly
from support.distributions import installed
from support.faultup import FaultUpstream
from support.gateway import SOURCE, Running, eventually, running
from switchgear.contracts.counters import Bucket
from switchgear.contracts.dialect import RouteReply
from switchgear.contracts.event import Event
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.telemetry.logs import Logs

pytestmark = pytest.mark.asyncio(loop_scope="module")

RAISED: dict[str, BaseException] = {
    "RuntimeError": RuntimeError("unforeseen"),
    "KeyError": KeyError("x"),
    "RecursionError": RecursionError(),
    "MemoryError": MemoryError(),
    "ExceptionGroup": ExceptionGroup("several", [ValueError("one")]),
    "BaseExceptionGroup": BaseExceptionGroup("several", [SystemExit()]),
    "SystemExit": SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit(),
    "CancelledError": asyncio.CancelledError(),
    "StopIteration": StopIteration(),
    "StoreError": __import__("switchgear.errors", fromlist=["StoreConflict"]).StoreConflict("exists", "k", "i"),
}


class Unspeakable(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


RAISED["Unspeakable"] = Unspeakable()


def raising(error: BaseException) -> Callable[..., Any]:
    def act(*_: Any) -> Any:
        raise error

    return act


def giving(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def later(error: BaseException) -> Callable[..., Any]:
    async def act() -> Any:
        raise error

    return lambda *_: act()


def setting(**members: Any) -> Callable[..., Any]:
    def act(x: Any) -> None:
        for name, value in members.items():
            setattr(x, name, value)

    return act


async def never(*_: Any) -> None:
    """Wait for what does not come, and heed no end."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if unruly.DO == {}:
                raise


class World:
    """The gateway with the plugin, and what it logged."""

    def __init__(self, run: Running, log: io.StringIO) -> None:
        self.run, self._log = run, log

    def forget(self) -> None:
        self._log.seek(0)
        self._log.truncate()

    def logged(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.getvalue().splitlines()]
        return [
            line for line in lines if line.get("logger") != "asyncio"
        ]  # which tells of what was left behind long ago

    def told(self, offer: str | None = None) -> list[dict[str, Any]]:
        """Return the lines that name the plugin, and its offer where one is asked for."""
        lines = [line for line in self.logged() if line["event"] == "plugin failed" and line["plugin"] == "unruly"]
        return [line for line in lines if offer is None or line.get("offer") == offer]

    def errors(self, offer: str) -> float:
        return self.run.gateway.kernel.faults._errors.child("unruly", offer).value

    async def ask(
        self, model: str, path: str = "/v1/chat/completions", *, stream: bool = False, **members: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream, **members}
        if path == "/v1/messages":
            body["max_tokens"] = 100
        self.forget()
        return await self.run.http.post(path, json=body, headers=self.run.auth)

    async def is_contained(self, answer: httpx.Response, offer: str | None, *outcomes: str) -> dict[str, Any]:
        """Check what holds whatever broke: record, id, names, no traceback. Returns the record."""
        assert "Traceback" not in answer.text
        id = answer.headers["x-request-id"]
        record = await self.run.usage_of(id)
        assert record["outcome"] in (outcomes or ("complete",)), record
        if record["outcome"] != "complete" and "text/event-stream" not in answer.headers["content-type"]:
            assert answer.json()["error"]["message"]
            assert record["status"] == answer.status_code
        told = self.told(offer)
        assert told, self.logged()
        ids = {line["request_id"] for line in self.logged() if "request_id" in line}
        assert ids <= {id}, (id, self.logged())
        return record


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    tmp_path = tmp_path_factory.mktemp("unruly")
    log = io.StringIO()
    logs = Logs(renderer="json", stream=log)
    unruly.DO.clear()
    with installed(tmp_path / "site") as site:
        site.add("unruly", {"unruly": "support.unruly:UnrulyPlugin"})
        async with (
            FaultUpstream() as upstream,
            running(tmp_path, upstream, plugins="unruly = { enabled = true }") as run,
        ):
            logs.install()
            await run.create("credentials", id="u", type="unruly", source=SOURCE)
            for id, type in (("u", "unruly"), ("u2", "unruly")):
                await run.create("providers", id=id, type=type, base_url=upstream.base_url, credential_id="u")
            await run.create("providers", id="n", type="native")
            for id in ("u", "u2", "n"):
                await run.create("models", id=id, provider_id=id, provider_model="some-model")
            steps = [{"target": "u2"}, {"target": "echo"}]
            await run.create("chains", id="chained", steps=steps)
            try:
                yield World(run, log)
            finally:
                logs.release()
                unruly.DO.clear()


@pytest.fixture(autouse=True)
def _nothing_is_wrong_by_itself() -> Iterator[None]:
    unruly.DO.clear()
    yield
    unruly.DO.clear()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _closed(world: World) -> None:
    """Close the breakers that a test before this one opened."""
    health = world.run.gateway._system._targets
    for view in health.views():
        if (found := health.find(view.provider_id, view.provider_model)) is not None:
            found.reset()


async def test_what_is_told_nothing_does_as_it_should(world: World) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/unruly/chat"):
        for stream in (False, True):
            answer = await world.ask("u", path, stream=stream)
            assert 200 == answer.status_code, answer.text
    assert [] == world.told()


# Providers

NO_ANSWERS = {
    "None": None,
    "text": "hello",
    "no JSON": Answer(b"<html>"),
    "text in bytes' place": Answer('{"choices": []}'),  # type: ignore[arg-type]
    "a header in its type": Answer(unruly.COMPLETION, media_type=b"text/plain\r\nx-evil: 1"),
}
NO_EVENTS = {
    "no list": "abc",
    "no event": [None],
    "text for bytes": [StreamEvent("{}", content=1)],  # type: ignore[arg-type]
    "no fault": [StreamEvent(b"{}", fault="overloaded")],  # type: ignore[arg-type]
    "no usage": [StreamEvent(b"{}", content=1, usage={"input": 1})],  # type: ignore[arg-type]
}
WHOLE = [
    *((place, name, raising(error)) for place in ("prepare", "decode") for name, error in RAISED.items()),
    *(("decode", name, giving(value)) for name, value in NO_ANSWERS.items()),
    ("prepare", "None", giving(None)),
    ("decode", "an impossible fault", raising(ProviderFault("banana", "x"))),  # type: ignore[arg-type]
]
STREAMED = [
    *((place, name, raising(error)) for place in ("decoder", "feed") for name, error in RAISED.items()),
    *(("feed", name, giving(value)) for name, value in NO_EVENTS.items()),
    ("feed", "None", giving(None)),
    ("decoder", "None", giving(None)),
]


def named(cases: list[tuple[str, str, Any]]) -> Any:
    return pytest.mark.parametrize(
        ("place", "act"), [(p, a) for p, _, a in cases], ids=[f"{p}-{n}" for p, n, _ in cases]
    )


@named(WHOLE)
async def test_a_broken_provider_is_a_fault_of_its_target(world: World, place: str, act: Any) -> None:
    unruly.DO[place] = act
    before = world.errors("unruly")
    answer = await world.ask("u")
    record = await world.is_contained(answer, "unruly", "upstream_error")
    assert (502, "protocol") == (answer.status_code, record["cause"])
    assert before < world.errors("unruly")


@named(STREAMED)
async def test_a_broken_decoder_is_a_fault_of_its_target(world: World, place: str, act: Any) -> None:
    unruly.DO[place] = act
    answer = await world.ask("u", "/v1/messages", stream=True)
    record = await world.is_contained(answer, "unruly", "upstream_error")
    assert "protocol" == record["cause"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_a_decoder_that_lies_is_never_complete(world: World, path: str) -> None:
    unruly.DO |= {"feed": giving([]), "close": giving(None)}
    body = {"model": "u", "input": "hi", "stream": True} if path == "/v1/responses" else None
    if body is None:
        answer = await world.ask("u", path, stream=True)
    else:
        answer = await world.run.http.post(path, json=body, headers=world.run.auth)
    assert answer.status_code >= 500, answer.text
    assert "upstream_cut" == (await world.run.usage_of(answer.headers["x-request-id"]))["outcome"]


async def test_what_comes_behind_the_end_is_not_shown_and_content_behind_the_finish_is_no_end(world: World) -> None:
    shown = StreamEvent(b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}', content=1)
    finish = StreamEvent(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', terminal=True, last=True)
    unruly.DO |= {"feed": giving([shown, finish, StreamEvent(b'{"behind":true}', content=1)])}
    answer = await world.ask("u", stream=True)
    assert "behind" not in answer.text
    assert "[DONE]" in answer.text
    early = StreamEvent(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', terminal=True)
    unruly.DO |= {"feed": giving([shown, early, shown]), "close": giving(None)}
    answer = await world.ask("u", stream=True)
    assert "[DONE]" not in answer.text
    assert "upstream_cut" == (await world.run.usage_of(answer.headers["x-request-id"]))["outcome"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chain_of_a_raising_provider_and_a_good_one_answers_100_of_100(world: World, stream: bool) -> None:
    unruly.DO["prepare"] = raising(RuntimeError("every time"))
    answers = [await world.ask("chained", stream=stream) for _ in range(100)]
    assert {200} == {answer.status_code for answer in answers}
    views = {view.provider_id: view.breaker for view in world.run.gateway._system._targets.views()}
    assert "open" == views["u2"].state, views["u2"]


async def test_what_a_provider_did_to_the_call_is_not_the_next_ones(world: World) -> None:
    def ruin(call: Any) -> None:
        call.members.clear()
        raise RuntimeError("after ruining it")

    unruly.DO["prepare"] = ruin
    answer = await world.ask("chained")
    assert "hi" == answer.json()["choices"][0]["message"]["content"], "as echo was told"


async def test_a_provider_that_cannot_trade_its_credential_is_a_fault_of_its_target(world: World) -> None:
    for place, act in (
        ("token_request", raising(RuntimeError("x"))),
        ("token_request", giving(5)),
        ("token", giving("t")),
    ):
        unruly.DO[place] = act
        id = f"t-{len(unruly.REACHED)}"
        await world.run.create("credentials", id=id, type="trading", source=SOURCE)
        url = (await world.run.admin.get("/providers/u")).json()["base_url"]
        await world.run.create("providers", id=id, type="trading", base_url=url, credential_id=id)
        await world.run.create("models", id=id, provider_id=id, provider_model="some-model")
        await world.run.create("chains", id=f"chain-{id}", steps=[{"target": id}, {"target": "echo"}])
        record = await world.is_contained(await world.ask(id), "trading", "upstream_error")
        assert "protocol" == record["cause"]
        assert 200 == (await world.ask(f"chain-{id}")).status_code
        for kind, name in (("chains", f"chain-{id}"), ("models", id), ("providers", id), ("credentials", id)):
            assert 204 == (await world.run.admin.delete(f"/{kind}/{name}")).status_code


async def test_a_name_whose_plan_fails_is_its_plugins_failure(world: World) -> None:
    await world.run.create("answerers", id="planned")
    for act in (raising(RuntimeError("x")), giving(None), giving("there")):
        unruly.DO["plan"] = act
        answer = await world.ask("planned")
        await world.is_contained(answer, None, "error")
        assert 500 == answer.status_code


async def test_a_conversation_that_cannot_be_written_is_its_policys_failure(world: World) -> None:
    def spoil(x: Any) -> None:
        x.conversation.append("no turn")

    unruly.DO["policy.prepare"] = spoil
    await world.is_contained(await world.ask("n"), "phases", "rejected")


@pytest.mark.parametrize("name", RAISED)
async def test_a_native_provider_that_raises_is_a_fault_of_its_target(world: World, name: str) -> None:
    unruly.DO |= {"complete": raising(RAISED[name]), "stream": raising(RAISED[name])}
    for stream in (False, True):
        record = await world.is_contained(await world.ask("n", stream=stream), "native", "upstream_error")
        assert "protocol" == record["cause"]


async def test_usage_that_is_none_leaves_a_record(world: World) -> None:
    unruly.DO["complete"] = giving(Answer(unruly.COMPLETION, usage={"input": 1}))  # type: ignore[arg-type]
    await world.is_contained(await world.ask("n"), None, "complete", "upstream_error")
    unruly.DO["complete"] = giving(Answer(unruly.COMPLETION, usage=Usage({"input": "many"})))  # type: ignore[dict-item]
    await world.is_contained(await world.ask("n"), None, "complete", "upstream_error")


async def test_a_native_provider_that_heeds_no_end_is_left_behind(world: World) -> None:
    unruly.DO["complete"] = never
    await world.run.patch("/providers/n", timeouts={"first_byte": 0.2})
    answer = await world.ask("n")
    await world.run.patch("/providers/n", timeouts=None)
    assert (504, "first_byte_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert "upstream_stall" == (await world.run.usage_of(answer.headers["x-request-id"]))["outcome"]


# Policies

PHASES = ("prepare", "reserve", "admit", "attempting", "reads", "answered", "settle")
AFTER = ("answered", "settle")
"""Phases after which it is too late to refuse."""
SPOILT = {
    "call": None, "principal": None, "plan": "nowhere", "headers": None, "labels": 5, "notes": None, "attempts": None, "id": 7,
    "snapshot": None, "policies": None, "lines": b"no lines", "cache": None, "admitted": "x", "dialect": None,
}  # fmt: skip
BROKEN = [
    *((f"policy.{phase}", name, raising(error)) for phase in PHASES for name, error in RAISED.items()),
    *((f"policy.{phase}", f"x.{name}", setting(**{name: value})) for phase in PHASES for name, value in SPOILT.items()),
    *((f"policy.{phase}", "5", giving(5)) for phase in PHASES),
    *((f"policy.{phase}", f"later {n}", later(RAISED[n])) for phase in PHASES if phase != "reads" for n in RAISED),
    *((f"policy.{phase}", "never", never) for phase in PHASES if phase != "reads"),
    ("policy.reserve", "no buckets", giving(["bucket"])),
    ("policy.reserve", "a bucket of nothing", giving([Bucket(None, "window", "x")])),  # type: ignore[arg-type]
    ("policy.admit", "no JSON", giving(Answer(b"<html>"))),
    ("policy.admit", "no completion", giving(Answer(b"{}"))),
    ("policy.admit", "text", giving(Answer("str"))),  # type: ignore[arg-type]
    ("policy.admit", "no events", giving(Answer(b"", events=("x",)))),  # type: ignore[arg-type]
    ("policy.attempting", "a broken header", giving({"x-a": "1\r\nx-b: 2"})),
    ("policy.attempting", "a header of the engine's", giving({"content-length": "0"})),
    ("policy.attempting", "a foreign letter", giving({"x-a": "ж"})),
    ("policy.attempting", "bytes", giving({b"x-a": b"1"})),
    *(
        (f"policy.{phase}", f"header {header!r:.30}", lambda x, header=header: x.headers.append(header))
        for phase in ("prepare", "admit", "settle")
        for header in ((b"x-a", b"1\r\nx-b: 2"), ("x-a", "1"), (b"x a", b"1"), b"x-a", (b"x-a", "ж"), ["x"])
    ),
]


@named(BROKEN)
@pytest.mark.parametrize("path", ["/v1/chat/completions"])
async def test_a_broken_policy_is_that_policys_failure(world: World, place: str, act: Any, path: str) -> None:
    unruly.DO[place] = act
    answer = await world.ask("n", path)
    outcome = "complete" if place.removeprefix("policy.") in AFTER else ("rejected", "policy_stop")
    record = await world.is_contained(answer, "phases", *((outcome,) if isinstance(outcome, str) else outcome))
    assert (200 if outcome == "complete" else 503) == answer.status_code
    assert ("n" if record["model"] == "n" else "") == record["model"]
    assert "x-b" not in answer.headers
    assert 0 == world.run.gateway.exchanges_in_flight
    unruly.DO.clear()
    assert 200 == (await world.ask("n")).status_code


@pytest.mark.parametrize("place", ["observer.prepare", "observer.admit"])
@pytest.mark.parametrize("act", [raising(RuntimeError("x")), setting(call=None), giving("nonsense")])
async def test_where_a_policy_allows_a_call_goes_on_without_it(world: World, place: str, act: Any) -> None:
    unruly.DO[place] = act
    answer = await world.ask("n")
    await world.is_contained(answer, "observer", "complete")
    assert 200 == answer.status_code


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_broken_filter_is_its_policys_failure(world: World, name: str, stream: bool) -> None:
    class Broken:
        hold = 0

        def feed(self, piece: Any) -> Any:
            raise RAISED[name]

        def end(self) -> Any:
            return []

    unruly.DO["policy.reads"] = giving(Broken())
    answer = await world.ask("u", stream=stream)
    await world.is_contained(answer, "phases", "policy_stop")


# Dialects

DIALECT = [
    *(
        (place, name, raising(error))
        for place in ("parse", "check", "canonical", "answer")
        for name, error in RAISED.items()
    ),
    ("parse", "None", giving(None)),
    ("parse", "text", giving("call")),
]


@named(DIALECT)
async def test_a_broken_endpoint_is_its_dialects_failure(world: World, place: str, act: Any) -> None:
    unruly.DO[place] = act
    answer = await world.ask("u", "/unruly/chat")
    await world.is_contained(answer, "speech", "error")
    assert 500 == answer.status_code


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("place", ["encoder", "encode", "encode.end"])
async def test_a_broken_encoder_is_its_dialects_failure(world: World, place: str, name: str) -> None:
    unruly.DO[place] = raising(RAISED[name])
    answer = await world.ask("u", "/unruly/chat", stream=True)
    await world.is_contained(answer, "speech", "error")
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("act", [raising(RuntimeError("x")), giving(None), giving("text"), raising(SystemExit())])
async def test_errors_that_a_dialect_cannot_say_are_told_plainly(world: World, act: Any) -> None:
    unruly.DO["error"] = act
    answer = await world.ask("nobody", "/unruly/chat")
    assert (404, "model_not_found") == (answer.status_code, answer.json()["error"]["code"])
    assert world.told("speech")


NO_REPLIES = {
    "None": None,
    "text": RouteReply("text"),  # type: ignore[arg-type]
    "no JSON": RouteReply(b"<html>"),
    "a broken header": RouteReply(b"{}", headers=((b"x-a", b"1\r\nx-b: 2"),)),
    "a header of text": RouteReply(b"{}", headers=(("x-a", "1"),)),  # type: ignore[arg-type]
    "no status": RouteReply(b"{}", status=7),
    "a status of text": RouteReply(b"{}", status="200"),  # type: ignore[arg-type]
    "a broken type": RouteReply(b"{}", media_type="text/plain\r\nx-b: 2"),
}


@pytest.mark.parametrize(
    "act", [*map(raising, RAISED.values()), *map(giving, NO_REPLIES.values())], ids=[*RAISED, *NO_REPLIES]
)
async def test_a_broken_route_is_a_500_with_a_record(world: World, act: Any) -> None:
    unruly.DO["route"] = act
    world.forget()
    answer = await world.run.http.get("/unruly/route", headers=world.run.auth)
    await world.is_contained(answer, "speech", "error")
    assert 500 == answer.status_code
    assert "x-b" not in answer.headers


# Who asks

NOBODY = [*(raising(RAISED[name]) for name in RAISED if name != "StoreError"), giving("admin"), giving(True), giving(5)]


@pytest.mark.parametrize("act", NOBODY)
async def test_a_broken_authenticator_lets_nobody_in_and_others_are_asked(world: World, act: Any) -> None:
    unruly.DO["authenticate"] = act
    answer = await world.ask("n")
    assert 200 == answer.status_code, "the API keys' authenticator knows who it is"
    world.forget()
    answer = await world.run.http.post("/v1/chat/completions", json={}, headers={"authorization": "Bearer nobody"})
    assert (503, "authenticator_failed") == (answer.status_code, answer.json()["error"]["code"])
    assert world.told("gate")


@pytest.mark.parametrize("act", [*map(raising, RAISED.values()), giving("yes"), giving(True)])
async def test_a_broken_authorizer_allows_nothing(world: World, act: Any) -> None:
    unruly.DO["authorize"] = act
    answer = await world.ask("n")
    await world.is_contained(answer, "bouncer", "rejected")
    assert (503, "authorizer_failed") == (answer.status_code, answer.json()["error"]["code"])


# What runs beside requests


@pytest.mark.parametrize("name", RAISED)
async def test_a_broken_admin_route_is_a_problem_that_names_its_plugin(world: World, name: str) -> None:
    unruly.DO["admin"] = raising(RAISED[name])
    world.forget()
    answer = await world.run.admin.get("/unruly")
    assert 500 == answer.status_code
    id = answer.headers["x-request-id"]
    assert {id} == {line["request_id"] for line in world.logged() if "request_id" in line}
    assert world.told()
    assert "Traceback" not in answer.text


async def test_a_kind_that_cannot_compile_is_named_at_the_write(world: World) -> None:
    unruly.DO["compile"] = raising(KeyError("text"))
    world.forget()
    answer = await world.run.admin.post("/sayings", json={"id": "s", "text": "x"})
    assert (500, True) == (answer.status_code, "unruly" in answer.json()["detail"])
    assert [answer.json()["request_id"]] == [line["request_id"] for line in world.told()]


@pytest.mark.parametrize("name", RAISED)
async def test_a_broken_handler_of_events_hears_the_next_one(world: World, name: str) -> None:
    unruly.DO["event"] = raising(RAISED[name])
    heard: list[Any] = []
    world.forget()
    world.run.gateway.kernel.events.emit(Event("unruly.said", 1))
    await eventually(world.told)
    unruly.DO["event"] = heard.append
    world.run.gateway.kernel.events.emit(Event("unruly.said", 2))
    await eventually(lambda: heard)


@pytest.mark.parametrize("act", [raising(RuntimeError("x")), raising(SystemExit()), later(asyncio.CancelledError())])
async def test_a_broken_task_is_named_and_begun_again(world: World, act: Any) -> None:
    world.forget()
    unruly.DO["task"] = act
    await eventually(world.told)
    unruly.DO.clear()
    unruly.REACHED.clear()
    await eventually(lambda: "task" in unruly.REACHED, within=10.0)
    assert "chores" == world.told()[0]["what"]


@pytest.mark.parametrize(
    "act", [raising(RuntimeError("x")), later(SystemExit()), later(asyncio.CancelledError()), giving(5)]
)
async def test_a_broken_job_is_named_and_fails(world: World, act: Any) -> None:
    world.forget()
    unruly.DO["job"] = act
    jobs = world.run.gateway.kernel._shared.services.jobs
    assert jobs is not None
    job = await jobs.enqueue("unruly.job", b"", max_tries=1)

    async def has_failed() -> bool:
        found = await jobs.get(job.id)
        return found is not None and found.state == "failed"

    await eventually(has_failed, within=10.0)
    assert world.told("unruly.job")


async def test_who_fails_on_a_change_is_named_and_the_change_stands(world: World) -> None:
    world.forget()
    unruly.DO["change"] = raising(SystemExit())
    await world.run.create("sayings", id=f"s-{len(unruly.REACHED)}", text="x")
    await eventually(world.told)
    assert "sayings/s-" in world.told()[0]["what"]


async def test_a_broken_price_book_knows_no_price(world: World) -> None:
    world.forget()
    unruly.DO["price"] = raising(RuntimeError("x"))
    await world.run.patch("/models/u", context_window=1000)
    assert world.told("book")
    assert 200 == (await world.ask("u")).status_code


async def test_a_sink_that_cannot_work_degrades_health_and_holds_up_nothing(world: World) -> None:
    unruly.DO["sink"] = raising(RuntimeError("no room"))
    world.forget()
    answer = await world.ask("n")

    async def failing() -> Any:
        detail = (await world.run.admin.get(f"{world.run.url}/health/detailed")).json()
        return detail if detail["record_sinks"][0]["status"] == "failing" and not detail["journal"]["depth"] else None

    detail = await eventually(failing, within=10.0)
    assert 503 == (await world.run.http.get("/health")).status_code
    [sink] = detail["record_sinks"]
    assert ("drawer", "unruly", "failing") == (sink["sink"], sink["plugin"], sink["status"])
    assert sink["waiting"] > 0
    assert "RuntimeError" in sink["why"]
    assert world.told("drawer")
    assert await world.run.usage_of(answer.headers["x-request-id"])
    unruly.DO.clear()

    async def is_well() -> bool:
        return 200 == (await world.run.http.get("/health")).status_code

    await eventually(is_well, within=30.0)


async def test_a_principal_does_not_change() -> None:
    principal = Principal("a", "key")
    with pytest.raises(AttributeError):
        principal.grants = ()
