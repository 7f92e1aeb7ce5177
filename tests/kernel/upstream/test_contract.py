"""What every engine keeps, on both event loops, against a real server on loopback."""

import asyncio
import itertools
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from kernel.upstream.conftest import Connect, post
from kernel.upstream.peer import Line, Peer, answers, hangs, plays, until
from switchgear.contracts.upstream import OutboundRequest, UpstreamResponse
from switchgear.errors import (
    ConnectFailed,
    ConnectionBroken,
    ConnectTimeout,
    EgressDenied,
    MalformedRequest,
    ResponseTooLarge,
)

CAP = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


async def drained(response: UpstreamResponse) -> list[bytes]:
    pieces = []
    while (piece := await response.read()) is not None:
        pieces.append(piece)
    return pieces


async def test_sends_the_request_as_given_and_little_else(connect: Connect) -> None:
    async with Peer(answers) as peer:
        response = await connect().send(post(f"{peer.url}/chat?a=b", b'{"x": 1}', authorization="Bearer k"))
        assert b'{"x": 1}' == await response.body(CAP)
        assert 200 == response.status
        [request] = peer.requests
        assert "POST /v1/chat?a=b HTTP/1.1" == request.start
        assert b'{"x": 1}' == request.body
        lines = dict(request.lines)
        lines.pop("accept", None)  # reqwest's
        assert {
            "host": f"127.0.0.1:{peer.port}",
            "authorization": "Bearer k",
            "accept-encoding": "identity",
            "user-agent": "switchgear",
            "content-length": "8",
        } == lines


async def test_a_request_may_name_its_own_agent_and_encoding(connect: Connect) -> None:
    async with Peer(answers) as peer:
        await (await connect().send(post(peer.url, user_agent="me/1", accept_encoding="gzip"))).body(CAP)
        assert "me/1" == peer.requests[0].header("user-agent")
        assert "gzip" == peer.requests[0].header("accept-encoding")


async def test_reuses_its_connection(connect: Connect) -> None:
    async with Peer(answers) as peer:
        connection = connect()
        for number in range(5):
            body = b"%d" % number
            assert body == await (await connection.send(post(peer.url, body))).body(CAP)
        assert 1 == peer.accepted


async def test_a_large_body_arrives_whole_both_ways(connect: Connect) -> None:
    body = bytes(range(256)) * 4096 * 3
    async with Peer(answers) as peer:
        response = await connect().send(post(peer.url, body))
        pieces = await drained(response)
        assert body == b"".join(pieces)
        assert max(map(len, pieces)) <= 64 * 1024


async def test_reading_past_the_end_stays_at_the_end(connect: Connect) -> None:
    async with Peer(answers) as peer:
        response = await connect().send(post(peer.url, b"x"))
        assert [b"x"] == await drained(response)
        assert None is await response.read()
        await response.close()
        await response.close()
        assert None is await response.read()


async def test_headers_are_found_whatever_their_case(connect: Connect) -> None:
    async with Peer(
        plays(OK + b"X-Request-Id: abc\r\nset-cookie: a\r\nSet-Cookie: b\r\ncontent-length: 0\r\n\r\n")
    ) as peer:
        response = await connect().send(post(peer.url))
        assert "abc" == response.header("x-request-ID")
        assert "a" == response.header("set-cookie")
        assert None is response.header("absent")
        assert 4 == len(response.headers())
        assert b"" == await response.body(CAP)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT"])
async def test_every_method_works_and_the_connection_survives(connect: Connect, method: str) -> None:
    async with Peer(answers) as peer:
        connection = connect()
        for _ in range(2):
            response = await connection.send(OutboundRequest(method=method, url=peer.url, headers={}))
            assert b"" == await response.body(CAP)
        expected = "0" if method == "PUT" else None
        assert [expected, expected] == [request.header("content-length") for request in peer.requests]


async def test_head_has_a_length_and_no_body(connect: Connect) -> None:
    async with Peer(plays(OK + b"content-length: 1000\r\n\r\n")) as peer:
        response = await connect().send(OutboundRequest(method="HEAD", url=peer.url, headers={}))
        assert "1000" == response.header("content-length")
        assert b"" == await response.body(CAP)


async def test_pieces_arrive_as_they_are_sent(connect: Connect) -> None:
    turn = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nfirst\r\n")
        await turn.wait()
        await line.send(b"6\r\nsecond\r\n0\r\n\r\n")
        await line.gone()

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        assert b"first" == await response.read()
        turn.set()
        assert b"second" == await response.read()
        assert None is await response.read()


async def test_an_informational_answer_is_skipped(connect: Connect) -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok"
    async with Peer(plays(data)) as peer:
        response = await connect().send(post(peer.url))
        assert (200, None) == (response.status, response.header("link"))
        assert b"ok" == await response.body(CAP)


# What goes wrong before the answer.


async def test_a_refused_port_means_nothing_was_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectFailed):
        await connect().send(post(f"http://127.0.0.1:{port}/"))


async def test_a_connection_that_is_never_accepted_times_out(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with pytest.raises(ConnectTimeout):
            await connect(connect_timeout=0.3).send(post(f"http://127.0.0.1:{address[1]}/"))
        for filler in fillers:
            filler.close()


async def test_a_reset_before_the_head_may_have_been_executed(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        line.reset()

    async with Peer(script) as peer:
        with pytest.raises(ConnectionBroken):
            await connect().send(post(peer.url))


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nfoo: ba"])
async def test_an_end_before_the_head_is_complete_is_broken(connect: Connect, start: bytes) -> None:
    async with Peer(plays(start)) as peer:
        with pytest.raises(ConnectionBroken):
            await connect().send(post(peer.url))


@pytest.mark.parametrize(
    "data",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_broken(connect: Connect, data: bytes) -> None:
    async with Peer(plays(data)) as peer:
        with pytest.raises(ConnectionBroken):
            await connect().send(post(peer.url))


@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"a" * 70_000 + b"\r\n",
        b"x: " + b"a" * 400_000 + b"\r\n",
        b"".join(b"x%d: %s\r\n" % (number, b"a" * 1000) for number in range(80)),
        b"".join(b"x%d: a\r\n" % number for number in range(101)),
    ],
    ids=["70 KB line", "400 KB line", "80 KB in 80 lines", "101 lines"],
)
async def test_a_huge_head_is_refused(connect: Connect, head: bytes) -> None:
    async with Peer(plays(OK + head + b"content-length: 2\r\n\r\nok")) as peer:
        with pytest.raises(ResponseTooLarge):
            await connect().send(post(peer.url))
        await until(lambda: peer.open == 0)


async def test_an_endless_head_is_refused(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK)
        while True:
            await line.send(b"x: " + b"a" * 16_000)

    async with Peer(script) as peer:
        with pytest.raises(ResponseTooLarge):
            await connect().send(post(peer.url))
        await until(lambda: peer.open == 0)


# What goes wrong in the body.


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhello\r\nzz\r\n",
        OK + b"content-length: 10\r\n\r\nhello",
    ],
)
async def test_a_cut_body_is_broken(connect: Connect, data: bytes) -> None:
    async with Peer(plays(data)) as peer:
        response = await connect().send(post(peer.url))
        with pytest.raises(ConnectionBroken):
            await drained(response)


async def test_the_end_of_the_connection_ends_a_body_without_length(connect: Connect) -> None:
    async with Peer(plays(OK + b"\r\nhello")) as peer:
        response = await connect().send(post(peer.url))
        assert b"hello" == await response.body(CAP)


async def test_a_reset_in_the_body_is_broken(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await turn.wait()
        line.reset()

    turn = asyncio.Event()
    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        assert b"hello" == await response.read()
        turn.set()
        with pytest.raises(ConnectionBroken):
            await response.read()


async def test_an_endless_body_is_cut_at_the_cap(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED)
        while True:
            await line.send(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        with pytest.raises(ResponseTooLarge):
            await response.body(100_000)
        await until(lambda: peer.open == 0)


async def test_a_peer_is_not_read_far_ahead_of_the_reader(connect: Connect) -> None:
    sent = 0

    async def script(line: Line) -> None:
        nonlocal sent
        line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        line.writer.transport.set_write_buffer_limits(high=0)
        await line.request()
        await line.send(CHUNKED)
        while True:
            await line.send(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
            sent += 0x4000

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        await response.read()
        level = -1
        while level != sent:  # until the sender stands still
            level = sent
            await asyncio.sleep(0.2)
        assert sent < 16 * 1024 * 1024  # the kernel's socket buffers, mostly
        await response.close()
        await until(lambda: peer.open == 0)


async def test_bytes_of_an_encoding_that_is_not_known_pass_as_they_are(connect: Connect) -> None:
    data = b"\x1f\x8b\x08\x00 not really anything"
    head = OK + b"content-encoding: zebra\r\ncontent-length: %d\r\n\r\n" % len(data)
    async with Peer(plays(head + data)) as peer:
        response = await connect().send(post(peer.url))
        assert data == await response.body(CAP)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(connect: Connect, status: int) -> None:
    async with (
        Peer(answers) as other,
        Peer(
            plays(b"HTTP/1.1 %d R\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, other.url.encode()))
        ) as peer,
    ):
        response = await connect().send(post(peer.url))
        assert (status, other.url) == (response.status, response.header("location"))
        assert 0 == other.accepted


async def test_cookies_are_not_kept(connect: Connect) -> None:
    async def script(line: Line) -> None:
        for _ in range(2):
            await line.request()
            await line.send(OK + b"set-cookie: a=b\r\ncontent-length: 0\r\n\r\n")

    async with Peer(script) as peer:
        connection = connect()
        for _ in range(2):
            await (await connection.send(post(peer.url))).body(CAP)
        assert [None, None] == [request.header("cookie") for request in peer.requests]


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\ninjected: yes"},
        {"x": "a\nb"},
        {"x": "a\rb"},
        {"x": "a\0b"},
        {"x\r\ny": "a"},
        {"x y": "a"},
        {"": "a"},
        {"host": "elsewhere"},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
        {"connection": "close"},
    ],
    ids=repr,
)
async def test_a_header_that_breaks_the_request_apart_is_not_sent(connect: Connect, headers: dict[str, str]) -> None:
    async with Peer(answers) as peer:
        with pytest.raises(MalformedRequest) as caught:
            await connect().send(OutboundRequest(method="POST", url=peer.url, headers={"good": "g", **headers}))
        assert "injected" not in str(caught.value)
        assert [] == peer.requests


@pytest.mark.parametrize("method", ["", "P T", "P\r\nX: y"])
async def test_a_method_that_is_no_token_is_not_sent(connect: Connect, method: str) -> None:
    async with Peer(answers) as peer:
        with pytest.raises(MalformedRequest):
            await connect().send(OutboundRequest(method=method, url=peer.url, headers={}))
        assert [] == peer.requests


async def test_bytes_after_the_answer_never_reach_the_next_call(connect: Connect) -> None:
    async with Peer(plays(OK + b"content-length: 2\r\n\r\nok" + OK + b"content-length: 4\r\n\r\nevil")) as peer:
        connection = connect()
        for _ in range(3):
            assert b"ok" == await (await connection.send(post(peer.url))).body(CAP)
        assert 3 == peer.accepted


async def test_a_closed_pool_sends_no_more_and_calls_in_flight_finish(connect: Connect) -> None:
    turn = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await turn.wait()
        await line.send(b"0\r\n\r\n")
        await line.gone()

    async with Peer(script) as peer:
        connection = connect()
        response = await connection.send(post(peer.url))
        await connection.close()
        turn.set()
        assert b"hello" == await response.body(CAP)
        with pytest.raises(ConnectFailed):
            await connection.send(post(peer.url))


async def test_environment_proxies_are_ignored(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Peer(plays(b"HTTP/1.1 502 Proxy\r\ncontent-length: 0\r\n\r\n")) as proxy,
        Peer(answers) as peer,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert b"{}" == await (await connect().send(post(peer.url))).body(CAP)
        assert 0 == proxy.accepted


async def test_max_connections_bounds_calls_in_flight(connect: Connect) -> None:
    async with Peer(hangs) as peer:
        connection = connect(max_connections=2, connect_timeout=0.2)
        calls = [asyncio.ensure_future(connection.send(post(peer.url))) for _ in range(2)]
        await until(lambda: len(peer.requests) == 2)
        with pytest.raises(ConnectTimeout):
            await connection.send(post(peer.url))
        assert 2 == peer.accepted
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


async def test_a_call_takes_the_slot_that_another_returns(connect: Connect) -> None:
    at_once: list[int] = []

    async def script(line: Line) -> None:
        while True:
            request = await line.request()
            at_once.append(len(line.peer.requests) - answered)
            await answer(line, request.body)

    answered = 0

    async def answer(line: Line, body: bytes) -> None:
        nonlocal answered
        answered += 1
        await line.send(OK + b"content-length: %d\r\n\r\n" % len(body) + body)

    async with Peer(script) as peer:
        connection = connect(max_connections=1)

        async def call(number: int) -> bytes:
            return await (await connection.send(post(peer.url, b"%d" % number))).body(CAP)

        assert [b"%d" % number for number in range(20)] == await asyncio.gather(*map(call, range(20)))
        assert [1] * 20 == at_once


async def test_an_idle_connection_that_the_peer_closed_is_not_used(connect: Connect) -> None:
    async with Peer(plays(OK + b"content-length: 2\r\n\r\nok")) as peer:
        connection = connect()
        for _ in range(3):
            assert b"ok" == await (await connection.send(post(peer.url))).body(CAP)
            await until(lambda: peer.open == 0)
            await asyncio.sleep(0.05)  # the end of the connection travels to the client's thread
        assert 3 == peer.accepted


# Names and addresses.


@pytest.mark.parametrize("first_bytes", [b"", b"HTTP/1.1 2"])
async def test_a_kept_connection_that_breaks_is_replaced_if_nothing_was_heard(
    connect: Connect, first_bytes: bytes
) -> None:
    async def breaks_at_its_second(line: Line) -> None:
        await line.request()
        await line.send(OK + b"content-length: 2\r\n\r\nhi")
        await line.request()
        if line.peer.accepted == 1:
            await line.send(first_bytes)
        else:
            await line.send(OK + b"content-length: 2\r\n\r\nho")

    async with Peer(breaks_at_its_second) as peer:
        connection = connect()
        await (await connection.send(post(peer.url))).body(CAP)
        if first_bytes:
            with pytest.raises(ConnectionBroken):
                await connection.send(post(peer.url, b"twice"))
            assert (1, 2) == (peer.accepted, len(peer.requests))
            return
        assert b"hi" == await (await connection.send(post(peer.url, b"twice"))).body(CAP)
        assert (2, [b"{}", b"twice", b"twice"]) == (peer.accepted, [it.body for it in peer.requests])


async def test_a_name_is_looked_up_once_and_sent_as_host(connect: Connect) -> None:
    asked: list[tuple[str, str]] = []

    def lookup(host: str) -> list[str]:
        asked.append((host, threading.current_thread().name))
        return ["127.0.0.1"]

    async with Peer(answers) as peer:
        connection = connect(lookup=lookup)
        for _ in range(3):
            await (await connection.send(post(f"http://API.Example.test:{peer.port}/v1"))).body(CAP)
        assert [("api.example.test", "switchgear-resolve")] == asked
        assert {f"api.example.test:{peer.port}"} == {request.header("host") for request in peer.requests}


async def test_the_next_address_is_tried_when_one_refuses(connect: Connect) -> None:
    async with Peer(answers, host="127.0.0.2") as peer:
        connection = connect(lookup=lambda _: ["127.0.0.1", "127.0.0.2"])
        for _ in range(2):
            assert b"{}" == await (await connection.send(post(f"http://many.test:{peer.port}/"))).body(CAP)


async def test_one_private_address_among_the_answers_denies_the_name(connect: Connect) -> None:
    async with Peer(answers) as peer:
        connection = connect(lookup=lambda _: ["127.0.0.1", "10.0.0.1"])
        with pytest.raises(EgressDenied):
            await connection.send(post(f"http://mixed.test:{peer.port}/"))
        assert 0 == peer.accepted


async def test_a_name_that_does_not_resolve_fails_to_connect(connect: Connect) -> None:
    def lookup(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(ConnectFailed):
        await connect(lookup=lookup).send(post("http://absent.test/"))


# Cancelling.


async def test_cancelling_a_read_reaches_the_peer(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.gone()

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        assert b"hello" == await response.read()
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await until(lambda: peer.open == 0) < 1
        with pytest.raises(ConnectionBroken):
            await response.read()


async def test_closing_an_unfinished_answer_reaches_the_peer(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.gone()

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        await response.close()
        await response.close()
        assert await until(lambda: peer.open == 0) < 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=3000), max_size=12),
    framing=st.sampled_from(["chunked", "counted", "closed"]),
)
async def test_the_pieces_joined_are_what_was_sent_however_it_was_split(
    connect: Connect, chunks: list[bytes], cuts: list[int], framing: str
) -> None:
    body = b"".join(chunks)
    if framing == "chunked":
        wire = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    elif framing == "counted":
        wire = OK + b"content-length: %d\r\n\r\n" % len(body) + body
    else:
        wire = OK + b"\r\n" + body
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]

    async def script(line: Line) -> None:
        line.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await line.request()
        for start, end in itertools.pairwise(edges):
            await line.send(wire[start:end])
            await asyncio.sleep(0)

    async with Peer(script) as peer:
        response = await connect().send(post(peer.url))
        assert body == b"".join(await drained(response))


LONG = bytes(range(256)) * (20 * 1024)  # 5 MiB


@pytest.mark.parametrize("pieces", [False, True])
async def test_a_long_body_waits_until_the_peer_takes_it(connect: Connect, pieces: bool) -> None:
    """No more of it than a piece lies at the transport meanwhile: encrypted, it would exist there once more."""
    goes_on = asyncio.Event()

    async def slow(line: Line) -> None:
        await goes_on.wait()
        await line.request()
        await line.send(OK + b"content-length: 2\r\n\r\nok")

    body = tuple(Raw(LONG[at : at + 700_000]) for at in range(0, len(LONG), 700_000)) if pieces else LONG
    async with Peer(slow) as peer:
        connection = connect()
        channel = connection._channel()  # type: ignore[attr-defined]
        connection._channel = lambda: channel  # type: ignore[attr-defined]
        sending = asyncio.create_task(connection.send(OutboundRequest("POST", f"{peer.url}/x", {}, body)))
        await until(lambda: channel._write_paused)
        assert channel._transport.get_write_buffer_size() <= CAP
        goes_on.set()
        assert b"ok" == await (await sending).body(CAP)
        assert LONG == peer.requests[0].body


async def test_an_answer_before_the_end_of_a_long_body_is_heard(connect: Connect) -> None:
    async def impatient(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.send(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno")
        await line.gone()

    async with Peer(impatient) as peer:
        connection = connect()
        for _ in range(2):  # what has unsent bytes is not used again
            response = await connection.send(post(f"{peer.url}/x", LONG))
            assert (413, b"no") == (response.status, await response.body(CAP))
        assert 2 == peer.accepted
