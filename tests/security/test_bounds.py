"""What one client may have read, kept and written down, in a gateway with small bounds."""

import asyncio
import gc
import gzip
import os
from pathlib import Path

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, Running, eventually, running
from switchgear.contracts.exchange import Exchange
from switchgear.edge.protocol import EdgeProtocol
from switchgear.edge.request import Request
from switchgear.errors import InvalidRequest
from switchgear.wire.members import MOST_CONTAINERS, MOST_ITEMS, MOST_MEMBERS, parse_object

KIB = 1024
MESSAGE = b'{"role":"user","content":"x"}'


def padded(head: bytes, size: int = 600 * KIB) -> bytes:
    """Make a body so long that it is looked at before anything is made of it."""
    return b'{"model":"m",' + head + b',"pad":"' + b'[{,\\"' * (size // 5) + b'"}'


@pytest.mark.parametrize(
    "head",
    [
        b",".join(b'"m%d":1' % number for number in range(MOST_MEMBERS + 1)),
        b'"messages":[' + b",".join([MESSAGE] * (MOST_CONTAINERS + 1)) + b"]",
        b'"messages":' + b"[" * (MOST_CONTAINERS + 1) + b"]" * (MOST_CONTAINERS + 1),
        b'"input":[' + b",".join([b"1"] * (MOST_ITEMS + 1)) + b"]",
        b'"input":[' + b",".join([b'""'] * (2 * MOST_ITEMS + 1)) + b"]",
    ],
    ids=["members", "messages", "depth", "numbers", "texts"],
)
def test_more_than_any_request_needs_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_object(padded(head))
    assert "too_many_items" == refused.value.code


@pytest.mark.parametrize(
    "head",
    [
        b",".join(b'"m%d":1' % number for number in range(900)),
        b'"messages":[' + b",".join([MESSAGE] * 40_000) + b"]",
        b'"input":[' + b",".join([b"123"] * 300_000) + b"]",
    ],
    ids=["members", "messages", "tokens"],
)
def test_long_requests_are_taken_whatever_their_texts_look_like(head: bytes) -> None:
    found = parse_object(padded(head))
    assert ("model", "pad") == (next(iter(found)), list(found)[-1])
    assert {str} == {type(name) for name in found}


async def test_a_refused_call_costs_a_request(gateway: Running) -> None:
    _, key = await gateway.new_key(permissions={"models": ["m"]}, limits={"requests_per_minute": 2})

    async def ask(**more: object) -> tuple[int, str]:
        answer = await gateway.http.post(
            "/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, **{"json": {"model": "none"}, **more}
        )
        return answer.status_code, answer.json()["error"]["code"]

    assert (400, "invalid_json") == await ask(json=None, content=b"{")
    assert 404 == (await ask(json={"model": "none", "messages": [{"role": "user", "content": "x"}]}))[0]
    assert (429, "rate_limit_exceeded") == await ask()
    assert (429, "rate_limit_exceeded") == await ask(json=None, content=b"{")


async def test_a_long_body_is_not_read_from_whoever_is_refused_anyhow(gateway: Running) -> None:
    _, poor = await gateway.new_key(permissions={"admin": True})
    _, spent = await gateway.new_key(limits={"requests_per_minute": 1})
    await gateway.http.post("/v1/chat/completions", json={}, headers={"authorization": f"Bearer {spent}"})
    for key, status in ((poor, b"403"), (spent, b"429")):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: 1000\r\n\r\n".encode()
        )
        assert status == (await reader.readuntil(b"\r\n"))[9:12]  # nothing of the body was ever sent
        writer.close()


async def test_bodies_in_flight_are_bounded_for_each_key_and_for_all(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(
        tmp_path, upstream, gateway=f"edge = {{ body_bytes = {128 * KIB}, held_bytes = {300 * KIB} }}"
    ) as run:
        keys = [(await run.new_key())[1] for _ in range(3)]
        upstream.script(*[Script(hang=True)] * 2)
        body = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * (100 * KIB) + b'"}]}'

        async def ask(key: str) -> tuple[int, str]:
            answer = await run.http.post(
                "/v1/chat/completions", content=body, headers={"authorization": f"Bearer {key}"}
            )
            return answer.status_code, answer.json()["error"]["code"]

        hanging = [asyncio.create_task(ask(keys[0])), asyncio.create_task(ask(keys[1]))]
        await eventually(lambda: len(upstream.ledger.entries) == 2)
        assert (429, "body_bytes_exceeded") == await ask(keys[0])
        assert (503, "overloaded") == await ask(keys[2])
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        await eventually(lambda: run.gateway.exchanges_in_flight == 0)
        assert 200 == (await run.http.post("/v1/chat/completions", content=body, headers=run.auth)).status_code


@pytest.mark.parametrize(("count", "status"), [(2, 502), (8, 200)])
async def test_streams_that_are_kept_back_are_bounded_all_together(
    tmp_path: Path, upstream: FaultUpstream, count: int, status: int
) -> None:
    """One that breaks while it is kept back is an error; one that found no room had begun."""
    async with running(tmp_path, upstream, gateway=f"edge = {{ held_bytes = {4 * KIB} }}") as run:
        await run.create("chains", id="kept", steps=[{"target": "m"}], recovery="buffer")
        piece = 'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % ("x" * 1000)
        upstream.script(Script(events=(piece,) * count))
        assert status == (await run.chat(model="kept", stream=True)).status_code
        upstream.script(Script(events=(piece,) * 2))
        assert 502 == (await run.chat(model="kept", stream=True)).status_code  # what was kept was given back


async def test_answers_wait_for_their_turn_where_there_is_no_room(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, gateway=f"edge = {{ held_bytes = {4 * KIB * KIB} }}") as run:
        long = '{"choices":[{"index":0,"message":{"role":"assistant","content":"' + "x" * (3 * KIB * KIB) + '"}}]}'
        for _ in range(2):
            upstream.script(*[Script(body=long)] * 8)
            answers = await asyncio.gather(*(run.chat() for _ in range(8)))
            assert [200] * 8 == [answer.status_code for answer in answers]


async def test_what_failed_or_left_leaves_no_ring_behind(gateway: Running) -> None:
    """Else bodies of refused calls would stay until somebody collects garbage, which is seldom."""

    def kept() -> int:
        return sum(type(it) in (Exchange, EdgeProtocol, Request) for it in gc.get_objects())

    long = f"authorization: Bearer {gateway.key}\r\ncontent-length: 1000000\r\n\r\n{'x' * 100_000}"
    assert 200 == (await gateway.http.get("/live")).status_code
    gc.collect()
    before = kept()
    gc.disable()
    try:
        for content in (b"{", b'{"model":"none","messages":[{"role":"user","content":"x"}]}', b"[]") * 5:
            answer = await gateway.http.post("/v1/chat/completions", content=content, headers=gateway.auth)
            assert answer.status_code in (400, 404)
            _, leaving = await asyncio.open_connection("127.0.0.1", gateway.port)
            leaving.write(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{long}".encode())
            await eventually(lambda: gateway.gateway.exchanges_in_flight == 1)
            leaving.transport.abort()
            await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
        await eventually(lambda: kept() <= before)
    finally:
        gc.enable()


async def test_an_admin_body_is_bounded_too(gateway: Running) -> None:
    crowd = b'{"id":"a","type":"echo",' + b",".join(b'"%x":1' % number for number in range(70_000)) + b"}"
    answer = await gateway.admin.post("/providers", content=crowd, headers={"content-type": "application/json"})
    assert (400, True) == (answer.status_code, "too_many_items" in answer.text)
    strange = b'{"id":"a","type":"echo",' + b",".join(b'"x%d":1' % number for number in range(5_000)) + b"}"
    answer = await gateway.admin.post("/providers", content=strange, headers={"content-type": "application/json"})
    assert (422, 100) == (answer.status_code, len(answer.json()["errors"]))


async def test_an_admin_body_is_not_read_from_a_stranger(gateway: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = "POST /admin/v1/providers HTTP/1.1\r\nhost: x\r\nx-api-key: no\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: 9000000\r\n\r\n".encode())
    assert b"401" == (await reader.readuntil(b"\r\n"))[9:12]
    writer.close()
    assert 200 == (await gateway.admin.get("/models", headers={"authorization": f"Bearer {ADMIN_KEY}"})).status_code


@pytest.mark.parametrize(("members", "status"), [(3000, 200), (5000, 413)])
async def test_a_body_is_packed_in_so_many_members_at_most(gateway: Running, members: int, status: int) -> None:
    """Each is a stream of its own, which costs much more than its twenty bytes."""
    body = gzip.compress(b"") * members + gzip.compress(b'{"model":"m","messages":[%b]}' % MESSAGE)
    headers = gateway.auth | {"content-encoding": "gzip", "content-type": "application/json"}
    answer = await gateway.http.post("/v1/chat/completions", content=body, headers=headers)
    assert status == answer.status_code, answer.text


async def test_what_is_unpacked_counts_while_it_is(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, gateway=f"edge = {{ held_bytes = {4 * KIB * KIB} }}") as run:
        body = b'{"model":"m","messages":[%b],"stop":"' % MESSAGE + os.urandom(3 * KIB * KIB).hex().encode() + b'"}'
        headers = run.auth | {"content-encoding": "gzip", "content-type": "application/json"}
        for _ in range(2):
            answer = await run.http.post("/v1/chat/completions", content=gzip.compress(body), headers=headers)
            assert (503, "overloaded") == (answer.status_code, answer.json()["error"]["code"])
        assert 200 == (await run.chat()).status_code
