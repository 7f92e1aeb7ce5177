"""The fault upstream does to the byte what its script says, and its ledger tells the truth."""

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.faultup import PRESETS, Entry, FaultProcess, FaultUpstream, Script, ToolCall
from support.http1 import Answer, exchange, post, request_bytes
from switchgear.testing.upstream.player import Player
from switchgear.testing.upstream.reply import Piece, Reply

MESSAGES: list[Any] = [{"role": "user", "content": "two words"}]


@pytest.fixture
async def up() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as upstream:
        yield upstream


@pytest.fixture
async def sdk(up: FaultUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=up.base_url, api_key="sk-client", max_retries=0) as client:
        yield client


def chat(stream: Any = True, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": MESSAGES, "stream": stream, **more}


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


# Healthy answers, as the vendor's SDK sees them


async def test_a_plain_answer_reports_the_usage_that_the_ledger_bills(
    up: FaultUpstream, sdk: openai.AsyncOpenAI
) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    [entry] = await up.ledger.settled()
    assert answer.usage is not None
    assert (3, 4) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert (3, 4) == up.ledger.totals()
    assert 4 == len((answer.choices[0].message.content or "").split())
    assert ("stop", "gpt-4o") == (answer.choices[0].finish_reason, answer.model)
    assert ("complete", 200, "Bearer sk-client") == (
        entry.finish,
        entry.status,
        entry.headers["authorization"],
    )
    assert MESSAGES == json.loads(entry.body)["messages"]
    assert f"chatcmpl-{entry.id}" == answer.id


async def test_a_stream_has_role_content_finish_usage_and_done_in_this_order(up: FaultUpstream) -> None:
    answer = await post(up.port, chat(stream_options={"include_usage": True}))
    role, *content, finish, usage, done = events(answer.body)
    assert {"role": "assistant", "content": "", "refusal": None} == role["choices"][0]["delta"]
    assert 4 == len([chunk["choices"][0]["delta"]["content"] for chunk in content])
    assert ({}, "stop") == (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"])
    assert ([], 4) == (usage["choices"], usage["usage"]["completion_tokens"])
    assert [None] * 6 == [chunk["usage"] for chunk in (role, *content, finish)]
    assert "[DONE]" == done


async def test_usage_is_not_streamed_unless_asked_for(up: FaultUpstream) -> None:
    answer = await post(up.port, chat())
    assert not any("usage" in event for event in events(answer.body)[:-1])


async def test_the_sdk_adds_up_parallel_tool_calls(up: FaultUpstream, sdk: openai.AsyncOpenAI) -> None:
    calls = (ToolCall("weather", '{"city": "Paris", "unit": "C"}'), ToolCall("time", '{"zone": "CET"}'))
    up.script(Script(tool_calls=calls, null_ids=True), Script(tool_calls=calls))
    seen: dict[int, list[str]] = {}
    async for chunk in await sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            name, arguments = seen.setdefault(call.index, ["", ""])
            seen[call.index] = [
                name + (call.function.name or ""),
                arguments + (call.function.arguments or ""),
            ]
    whole = await sdk.chat.completions.create(model="m", messages=MESSAGES)
    expected = [[call.name, call.arguments] for call in calls]
    assert expected == list(seen.values())
    made = [call.function for call in whole.choices[0].message.tool_calls or () if call.type == "function"]
    assert expected == [[function.name, function.arguments] for function in made]
    assert "tool_calls" == whole.choices[0].finish_reason
    streamed, plain = await up.ledger.settled(2)
    assert 6 == streamed.completion_tokens == plain.completion_tokens


async def test_reasoning_refusal_logprobs_n_and_cached_tokens(up: FaultUpstream, sdk: openai.AsyncOpenAI) -> None:
    up.script(Script(reasoning="let me think", content="yes", cached_tokens=2), Script(refusal="I will not"))
    answer = await sdk.chat.completions.create(model="m", messages=MESSAGES, n=2, logprobs=True)
    usage = answer.usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.prompt_tokens_details is not None
    assert (8, 6) == (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens)
    assert 2 == usage.prompt_tokens_details.cached_tokens
    assert ["yes", "yes"] == [choice.message.content for choice in answer.choices]
    assert "let me think" == answer.choices[1].message.model_dump()["reasoning_content"]
    assert answer.choices[0].logprobs is not None
    refused = await sdk.chat.completions.create(model="m", messages=MESSAGES)
    assert (None, "I will not") == (refused.choices[0].message.content, refused.choices[0].message.refusal)


@pytest.mark.parametrize("stream", [True, False])
async def test_max_tokens_is_obeyed_and_billed(up: FaultUpstream, stream: bool) -> None:
    up.script(Script(chunks=10, tokens_per_chunk=4))
    answer = await post(up.port, chat(stream, max_completion_tokens=6))
    [entry] = await up.ledger.settled()
    assert 6 == entry.completion_tokens
    assert b'"finish_reason":"length"' in answer.body


async def test_legacy_completions_embeddings_and_models(up: FaultUpstream, sdk: openai.AsyncOpenAI) -> None:
    text = await sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="say it")
    pieces = [c.choices[0].text async for c in await sdk.completions.create(model="m", prompt="say it", stream=True)]
    vectors = await sdk.embeddings.create(model="e", input=["a", "b"], dimensions=3)
    plain = await sdk.embeddings.create(model="e", input=["a", "b"], dimensions=3, encoding_format="float")
    names = [model.id async for model in await sdk.models.list()]
    assert ("text_completion", 4) == (text.object, len(text.choices[0].text.split()))
    assert 4 == len("".join(pieces).split())
    assert [3, 3] == [len(item.embedding) for item in vectors.data]
    for packed, unpacked in zip(vectors.data, plain.data, strict=True):
        assert pytest.approx(unpacked.embedding, abs=1e-6) == packed.embedding
    assert "gpt-4o" in names
    assert "gpt-4o" == (await sdk.models.retrieve("gpt-4o")).id


async def test_text_that_looks_like_an_event_stays_inside_its_event(up: FaultUpstream, sdk: openai.AsyncOpenAI) -> None:
    expected = PRESETS["inject"].content
    stream = await sdk.chat.completions.create(model="fault-inject", messages=MESSAGES, stream=True)
    assert expected == "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_answers_depend_on_seed_and_request_alone() -> None:
    bodies = []
    for seed in (1, 1, 2):
        async with FaultUpstream(seed=seed) as one:
            await post(one.port, chat(False, user="somebody else"))
            answer = await post(one.port, chat(False))
            bodies.append(json.loads(answer.body)["choices"])
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]


# Errors


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("quota", openai.RateLimitError),
        ("context", openai.BadRequestError),
        ("500", openai.InternalServerError),
        ("529", openai.InternalServerError),
        ("no such scenario", openai.NotFoundError),
    ],
)
async def test_error_scenarios_raise_the_sdks_own_exception_and_bill_nothing(
    up: FaultUpstream, sdk: openai.AsyncOpenAI, name: str, expected: type[openai.APIStatusError]
) -> None:
    with pytest.raises(expected) as caught:
        await sdk.chat.completions.create(model=f"fault-{name}", messages=MESSAGES)
    [entry] = await up.ledger.settled()
    assert entry.id == caught.value.request_id
    assert not entry.billed


async def test_an_error_can_name_its_own_members_and_headers(up: FaultUpstream) -> None:
    up.script(Script(status=429, error={"code": "slow_down"}, headers={"retry-after": "7"}))
    answer = await post(up.port, chat())
    assert ("slow_down", "requests") == (answer.json["error"]["code"], answer.json["error"]["type"])
    assert (429, "7") == (answer.status, answer.headers["retry-after"])


# Where the script comes from


async def test_header_beats_queue_beats_model_name_beats_default(up: FaultUpstream) -> None:
    up.default = Script(content="default")
    up.script(Script(content="queue"))
    up.script(Script(content="models"), path="/models")
    named = chat(False, model=up.register("mine", Script(content="name")))
    header = {"x-fault": msgspec.json.encode(Script(content="header")).decode()}
    answers = [
        await post(up.port, named, headers=header),
        await post(up.port, named),
        await post(up.port, named),
        await post(up.port, chat(False)),
    ]
    said = [answer.json["choices"][0]["message"]["content"] for answer in answers]
    assert ["header", "queue", "name", "default"] == said


async def test_a_script_with_an_unknown_field_is_an_error_not_a_healthy_answer(up: FaultUpstream) -> None:
    answer = await post(up.port, chat(), headers={"x-fault": '{"hangs": true}'})
    assert 400 == answer.status
    assert "hangs" in answer.json["error"]["message"]


# Cuts


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
async def test_a_cut_at_any_body_offset_lets_exactly_so_many_bytes_through(
    up: FaultUpstream, framing: Any, how: Any
) -> None:
    up.script(Script(framing=framing, chunks=2))
    whole = (await post(up.port, chat())).body
    offsets = [*range(0, len(whole), 37), len(whole) - 1]
    for at in offsets:
        up.script(Script(framing=framing, chunks=2, cut_at=at, cut_how=how))
        answer = await post(up.port, chat())
        assert without_digits(whole[:at]) == without_digits(answer.body)
        assert (how == "rst") == answer.reset
        assert (how == "clean" or (how == "fin" and framing == "close")) == answer.whole
        assert "cut" == up.ledger[-1].finish
    entries = await up.ledger.settled(len(offsets) + 1)
    for at, entry in zip(offsets, entries[1:], strict=True):
        assert whole_content_events(whole[:at]) == entry.completion_tokens


def without_digits(body: bytes) -> bytes:
    """Return a body without what differs between two answers to the same request: the digits of its id."""
    return re.sub(rb"\d", b"0", body)


def whole_content_events(body: bytes) -> int:
    return sum(b'"content":"' in event and b'"role"' not in event for event in body.split(b"\n\n")[:-1])


@pytest.mark.slow
async def test_a_raw_cut_at_every_offset_of_the_reply(up: FaultUpstream) -> None:
    whole = await exchange(up.port, chat(), until_close=False)
    for at in range(len(whole.raw)):
        up.script(Script(cut_at=at, cut_of="raw"))
        answer = await exchange(up.port, chat())
        assert without_digits(whole.raw[:at]) == without_digits(answer.raw)
        assert not answer.whole


async def test_a_cut_at_the_very_end_of_the_body_leaves_out_only_the_last_chunk_mark(
    up: FaultUpstream,
) -> None:
    whole = (await post(up.port, chat())).body
    up.script(Script(cut_at=len(whole)))
    answer = await post(up.port, chat())
    assert (len(whole), False) == (len(answer.body), answer.whole)


@pytest.mark.parametrize(("name", "reset"), [("cut", False), ("rst", True)])
async def test_a_cut_after_two_chunks_bills_two_tokens(up: FaultUpstream, name: str, reset: bool) -> None:
    answer = await post(up.port, chat(model=f"fault-{name}"))
    [entry] = await up.ledger.settled()
    assert (2, reset, False) == (whole_content_events(answer.body), answer.reset, answer.whole)
    assert (2, 3, "cut") == (entry.completion_tokens, entry.prompt_tokens, entry.finish)


async def test_a_reset_before_the_head_sends_nothing_and_bills_nothing_unless_told_to(
    up: FaultUpstream,
) -> None:
    first = await post(up.port, chat(model="fault-rst-head"))
    up.script(Script(cut_at=0, cut_of="raw", cut_how="rst", bill="all"))
    second = await post(up.port, chat())
    assert [(b"", True)] * 2 == [(first.raw, first.reset), (second.raw, second.reset)]
    nothing, everything = await up.ledger.settled(2)
    assert (0, 0, 0) == (nothing.status, nothing.prompt_tokens, nothing.completion_tokens)
    assert (3, 4) == (everything.prompt_tokens, everything.completion_tokens)


# Silence


async def test_a_hang_ends_when_the_client_leaves_and_the_ledger_says_when(up: FaultUpstream) -> None:
    _, writer = await asyncio.open_connection(up.host, up.port)
    writer.write(request_bytes(chat(model="fault-hang")))
    await up.ledger.until(lambda ledger: len(ledger.open) == 1)
    assert 1 == up.open_connections
    writer.close()
    [entry] = await up.ledger.settled()
    assert entry.client_left_early
    assert entry.client_closed_at is not None
    assert entry.client_closed_at >= entry.arrived_at
    assert (None, False) == (entry.first_byte_at, entry.billed)
    await up.ledger.until(lambda _: up.open_connections == 0)


async def test_a_client_that_leaves_a_stalled_stream_is_billed_what_went_out(up: FaultUpstream) -> None:
    reader, writer = await asyncio.open_connection(up.host, up.port)
    writer.write(request_bytes(chat(model="fault-stall")))
    seen = b""
    while whole_content_events(seen) < 2:
        seen += await reader.read(65_536)
    assert "open" == up.ledger[0].finish
    writer.transport.abort()
    [entry] = await up.ledger.settled()
    assert ("client_gone", 2) == (entry.finish, entry.completion_tokens)


@pytest.mark.parametrize("script", [Script(stall_at=50, stall_ms=30), Script(delay_ms=30), Script(chunk_delay_ms=5)])
async def test_delays_take_their_time_and_change_no_byte(up: FaultUpstream, script: Script) -> None:
    whole = (await post(up.port, chat())).body
    up.script(script)
    slow = (await post(up.port, chat())).body
    entry = up.ledger[1]
    assert len(whole) == len(slow)
    assert entry.finished_at is not None
    assert entry.finished_at - entry.arrived_at >= 0.029


# Writes


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None


async def writes(script: Script, *pieces: bytes) -> list[bytes]:
    """Return the body as it was written, close-delimited, without the head."""
    transport = RecordingTransport()
    entry = Entry(id="1", method="POST", path="/", headers={}, body=b"", arrived_at=0, connection=1)

    async def drained() -> None: ...

    script = msgspec.structs.replace(script, framing="close")
    await Player(script, entry, transport, drained).play(Reply(200, {}, [Piece(piece) for piece in pieces]))
    assert sum(map(len, pieces)) == entry.body_bytes
    written = transport.writes
    head_writes = next(n for n in range(1, len(written) + 1) if b"".join(written[:n]).endswith(b"\r\n\r\n"))
    return written[head_writes:]


@given(
    body=st.binary(min_size=1, max_size=60),
    pieces=st.integers(1, 5),
    splits=st.sets(st.integers(0, 60), max_size=5),
)
def test_writes_end_at_the_split_offsets_and_at_the_pieces_only(body: bytes, pieces: int, splits: set[int]) -> None:
    size = -(-len(body) // pieces)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    written = asyncio.run(writes(Script(splits=tuple(splits)), *parts))
    ends = {sum(map(len, written[: count + 1])) for count in range(len(written))}
    assert body == b"".join(written)
    expected = {split for split in splits if 0 < split < len(body)}
    assert expected | {min(len(body), size * count) for count in range(1, len(parts) + 1)} == ends


async def test_split_every_and_drip_bound_each_write() -> None:
    assert [b"abc", b"de", b"f", b"ghi", b"j"] == await writes(Script(split_every=3), b"abcde", b"fghij")
    assert [b"ab", b"c", b"de"] == await writes(Script(drip_bytes=2), b"abc", b"de")


@pytest.mark.parametrize("script", [Script(drip_bytes=64), Script(split_every=50), Script(splits=(1, 2, 700))])
async def test_split_and_dripped_replies_arrive_whole(up: FaultUpstream, script: Script) -> None:
    up.script(script)
    answer = await post(up.port, chat())
    assert (True, "[DONE]") == (answer.whole, events(answer.body)[-1])


# Garbage and size


async def garbage(up: FaultUpstream, kind: Any, stream: bool) -> Answer:
    up.script(Script(garbage=kind))
    return await post(up.port, chat(stream))


async def test_garbage_is_garbage_in_the_way_its_name_says(up: FaultUpstream) -> None:
    for stream in (True, False):
        assert "text/html" == (await garbage(up, "html", stream)).headers["content-type"]
        assert b"" == (await garbage(up, "empty", stream)).body
        with pytest.raises(json.JSONDecodeError):
            parse_first((await garbage(up, "json", stream)).body)
        with pytest.raises(UnicodeDecodeError):
            parse_first((await garbage(up, "utf8", stream)).body)
        assert "server_error" == parse_first((await garbage(up, "error", stream)).body)["error"]["type"]
        assert "many" == parse_first((await garbage(up, "types", stream)).body)["choices"]
    assert {200} == {entry.status for entry in up.ledger}


def parse_first(body: bytes) -> Any:
    return json.loads(body.removeprefix(b"data: ").partition(b"\n\n")[0].decode())


async def test_terminal_marks_can_be_left_out(up: FaultUpstream) -> None:
    ask = chat(stream_options={"include_usage": True})
    *_, finish, usage = events((await post(up.port, {**ask, "model": "fault-no-done"})).body)
    assert ("stop", 4) == (finish["choices"][0]["finish_reason"], usage["usage"]["completion_tokens"])
    *_, content, usage, done = events((await post(up.port, {**ask, "model": "fault-no-finish"})).body)
    assert ("content", []) == (next(iter(content["choices"][0]["delta"])), usage["choices"])
    *_, finish, done = events((await post(up.port, {**ask, "model": "fault-no-usage"})).body)
    assert ("stop", "[DONE]") == (finish["choices"][0]["finish_reason"], done)


async def test_an_error_event_ends_the_stream_without_done(up: FaultUpstream) -> None:
    answer = await post(up.port, chat(model="fault-error-event"))
    *_, second, error = events(answer.body)
    assert ("content", "server_error") == (next(iter(second["choices"][0]["delta"])), error["error"]["type"])
    assert (2, True) == (whole_content_events(answer.body), answer.whole)


async def test_raw_text_can_be_injected_between_chunks_and_line_ends_chosen(up: FaultUpstream) -> None:
    up.script(Script(inject=": hello\n\n", inject_after=1), Script(newline="\r\n", prefix="data:"))
    first = (await post(up.port, chat())).body.split(b"\n\n")
    assert b": hello" == first[2]
    assert (await post(up.port, chat())).body.endswith(b"\r\n\r\ndata:[DONE]\r\n\r\n")


async def test_own_events_and_own_bodies_are_played_on_any_path(up: FaultUpstream) -> None:
    own = ('event: ping\ndata: {"type":"ping"}\n\n', "event: message_stop\ndata: {}\n\n")
    up.script(Script(events=own), Script(body='{"id": NaN}'))
    first = await post(up.port, {}, path="/v1/messages")
    second = await post(up.port, {}, path="/v1/messages")
    third = await post(up.port, {}, path="/v1/nothing")
    assert ("".join(own).encode(), b'{"id": NaN}', 404) == (first.body, second.body, third.status)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_gzip_reply_unpacks_to_the_plain_one(up: FaultUpstream, stream: bool) -> None:
    plain = await post(up.port, chat(stream))
    packed = await post(up.port, chat(stream, model="fault-gzip"))
    assert "gzip" == packed.headers["content-encoding"]
    assert len(plain.body) + (len("fault-gzip") - len("gpt-4o")) * plain.body.count(b"gpt-4o") == len(
        zlib.decompress(packed.body, wbits=31)
    )


async def test_a_gzip_bomb_is_small_on_the_wire(up: FaultUpstream) -> None:
    up.script(Script(gzip=True, huge_body=4 << 20))
    packed = (await post(up.port, chat(False))).body
    assert len(zlib.decompress(packed, wbits=31)) > 200 * len(packed)


async def test_huge_lines_headers_and_bodies_have_their_size(up: FaultUpstream) -> None:
    up.script(Script(huge_line=200_000), Script(huge_header=100_000), Script(huge_body=300_000))
    line = max((await post(up.port, chat())).body.split(b"\n\n"), key=len)
    head = (await post(up.port, chat())).headers["x-padding"]
    body = json.loads((await post(up.port, chat(False))).body)["choices"][0]["message"]["content"]
    assert (200_000, 100_000, "a" * 300_000) == (len(line), len(head), body[:300_000])


async def test_an_endless_body_waits_for_a_reader_that_does_not_read(up: FaultUpstream) -> None:
    up.script(Script(huge_body=10 << 30))
    _, writer = await asyncio.open_connection(up.host, up.port, limit=1024)
    writer.write(request_bytes(chat()))
    await up.ledger.until(lambda ledger: len(ledger) == 1 and ledger[0].body_bytes > 65_536)
    for _ in range(50):  # as many turns as an upstream that does not wait would need for far more
        await asyncio.sleep(0.001)
    assert up.ledger[0].body_bytes < 32 << 20
    writer.transport.abort()
    await up.ledger.settled()


# Connections


async def test_pipelined_requests_are_answered_in_order_on_one_connection(up: FaultUpstream) -> None:
    up.script(Script(content="one", delay_ms=20), Script(content="two"))
    reader, writer = await asyncio.open_connection(up.host, up.port)
    writer.write(request_bytes(chat(False)) * 2)
    seen = b""
    while seen.count(b'"finish_reason"') < 2:
        seen += await reader.read(65_536)
    assert seen.index(b'"one"') < seen.index(b'"two"')
    assert {1} == {entry.connection for entry in up.ledger}
    writer.close()


async def test_a_closed_port_refuses_and_opens_again_with_the_same_number(up: FaultUpstream) -> None:
    up.close_port()
    with pytest.raises(ConnectionRefusedError):
        await post(up.port, chat())
    await up.open_port()
    assert 200 == (await post(up.port, chat())).status


# In a process of its own


def test_in_its_own_process_it_takes_scripts_and_tells_its_ledger() -> None:
    with FaultProcess(seed=3) as up:
        up.script(Script(status=503), Script(cut_after_chunks=1), times=1)
        name = up.register("mine", Script(content="mine"))
        answers = [asyncio.run(post(up.port, chat(False, model=model))) for model in ("a", "b", name)]
        entries = up.settled(3)
        assert [503, 200, 200] == [answer.status for answer in answers]
        assert ["complete", "cut", "complete"] == [entry.finish for entry in entries]
        assert "mine" == answers[2].json["choices"][0]["message"]["content"]
        assert (0, 3) == (up.state().open_connections, up.state().connections_ever)
        up.reset()
        assert [] == up.state().entries
        with pytest.raises(ValueError, match="hangs"):
            up._call("POST", "/_script", b'{"hangs": 1}')
