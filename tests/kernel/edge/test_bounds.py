"""No client can hold a connection, memory or a worker by sending too much or too slowly."""

import asyncio
import resource

import pytest

from support.edge import until
from support.stopwatch import Stopwatch
from switchgear.edge.limits import peer_key

HOST = b"Host: gateway.test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


def post(body: bytes, length: int | None = None, path: bytes = b"/") -> bytes:
    length = len(body) if length is None else length
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length + body


async def dribble(client, byte: bytes, every: float):
    """Send one byte after another until the connection ends."""
    try:
        while True:
            await client.send(byte)
            await asyncio.sleep(every)
    except ConnectionError:
        return


# Heads


async def test_a_silent_connection_is_told_and_closed(start):
    edge = await start(head_timeout=0.3)
    took = Stopwatch()
    client = await edge.connect()
    assert (408, "header_timeout") == await client.refusal()
    assert took.between(0.25, 1), took
    assert {"header_timeout": 1} == edge.refused


@pytest.mark.parametrize("so_far", [b"", b"\r\n", b"GET /", GET[:-2], b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_head_that_dribbles_in_is_ended_at_the_deadline(start, so_far):
    edge = await start(head_timeout=0.3, linger=0.1)
    took = Stopwatch()
    client = await edge.ask(so_far)
    sender = asyncio.create_task(dribble(client, b"\r\n" if so_far == b"\r\n" else b"a", 0.02))
    if not so_far:
        sender.cancel()
    assert (408, "header_timeout") == await client.refusal()
    assert took.between(0.25, 1), took
    sender.cancel()


async def test_a_later_head_that_dribbles_in_is_ended_at_its_own_deadline(start):
    edge = await start(head_timeout=0.3)
    client = await edge.ask(GET)
    assert 200 == (await client.answer())[0]
    await asyncio.sleep(0.4)
    took = Stopwatch()
    await client.send(b"GET / HT")
    assert (408, "header_timeout") == await client.refusal()
    assert took.between(0.25, 1), took


async def test_a_connection_idle_between_requests_is_closed_without_a_word(start):
    edge = await start(keep_alive=0.3)
    client = await edge.ask(GET)
    assert 200 == (await client.answer())[0]
    took = Stopwatch()
    assert b"" == await client.rest()
    assert took.between(0.25, 1), took


async def test_a_request_in_flight_knows_no_idle_deadline(start):
    edge = await start(keep_alive=0.1, head_timeout=0.1, body_grace=0.1)
    client = await edge.ask(GET.replace(b"/ ", b"/wait "))
    await asyncio.sleep(0.4)
    edge.proceed.set()
    assert b"waited" == (await client.answer())[2]


@pytest.mark.parametrize("byte", [b"a", b"a: b\r\n"])
async def test_a_flood_of_header_bytes_is_refused_and_memory_stays_flat(edge, byte):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client = await edge.ask(b"GET / HTTP/1.1\r\n" + HOST)
    flood = byte * (65536 // len(byte))

    async def pour():
        try:
            for _ in range(1024):
                await client.send(flood)
        except ConnectionError:
            return

    sender = asyncio.create_task(pour())
    assert (431, "headers_too_large") == await client.refusal()
    sender.cancel()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024
    assert [] == edge.seen


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 960 + b"\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1100 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 19 + b"\r\n", 200),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 20 + b"\r\n", 431),
        (b"GET /" + b"a" * 199 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"a" * 2000, 414),
    ],
)
async def test_size_lines_and_url_of_a_head_have_exact_caps(start, head, expected, at_once):
    edge = await start(head_bytes=1024, head_lines=20, url_bytes=200)
    client = await edge.connect()
    step = len(head) if at_once else 50
    for begin in range(0, len(head), step):
        client.writer.write(head[begin : begin + step])
        await asyncio.sleep(0)
    status, _ = await client.head()
    assert expected == status


@pytest.mark.parametrize(("size", "served"), [(960, 2), (1100, 1)])
async def test_the_cap_holds_for_a_head_that_comes_with_the_end_of_another_message(start, size, served):
    edge = await start(head_bytes=1024)
    second = b"GET / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: " + b"a" * size + b"\r\n\r\n"
    client = await edge.ask(post(b"b" * 5000) + second)
    assert served == (await client.rest()).count(b"HTTP/1.1 200 OK")
    assert served == len(edge.seen)


async def test_a_large_body_does_not_count_as_head(start):
    edge = await start(head_bytes=1024)
    client = await edge.ask(post(b"b" * 500_000) + post(b"c" * 500_000))
    assert 500_000 == len((await client.answer())[2])
    assert 500_000 == len((await client.answer())[2])


# Bodies


async def test_a_body_announced_too_large_is_refused_before_it_comes(start):
    edge = await start(body_bytes=1000)
    client = await edge.ask(post(b"", 1001))
    assert (413, "body_too_large") == await client.refusal()
    assert [] == edge.seen


@pytest.mark.parametrize("chunk", [1, 100, 400])
async def test_a_chunked_body_is_refused_once_it_has_grown_too_large(start, chunk):
    edge = await start(body_bytes=1000)
    client = await edge.ask(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(1001 // chunk + 1):
        client.writer.write(b"%x\r\n%b\r\n" % (chunk, b"x" * chunk))
        await asyncio.sleep(0)
    assert (413, "body_too_large") == await client.refusal()
    assert 1 == len(edge.seen)
    assert 1 == len(edge.lost)


async def test_a_client_that_keeps_sending_a_refused_body_still_reads_the_answer(start):
    edge = await start(body_bytes=1000)
    client = await edge.ask(post(b"", 5_000_000))
    for _ in range(50):
        await client.send(b"x" * 100_000)
    assert (413, "body_too_large") == await client.refusal()


@pytest.mark.parametrize(
    ("opening", "more"),
    [
        (b"0\r\nX: ", b"a" * 1000),
        (b"0\r\n", b"X: a\r\n" * 100),
        (b"1;", b"a" * 1000),
    ],
)
async def test_chunk_framing_without_end_is_refused(start, opening, more):
    edge = await start(head_bytes=10_000)
    client = await edge.ask(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + opening)
    sender = asyncio.create_task(dribble(client, more, 0))
    assert (431, "headers_too_large") == await client.refusal()
    sender.cancel()


async def test_a_large_head_does_not_count_as_chunk_framing(start):
    edge = await start(head_bytes=1000)
    head = b"POST / HTTP/1.1\r\nX: " + b"a" * 900 + b"\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    client = await edge.ask(head)
    await until(lambda: edge.seen)
    for byte in b"5;" + b"e" * 500 + b"\r\nhello\r\n0\r\n\r\n":
        await client.send(bytes([byte]))
    assert b"hello" == (await client.answer())[2]


@pytest.mark.parametrize("dribbling", [True, False])
async def test_a_body_below_the_minimum_rate_is_ended(start, dribbling):
    edge = await start(body_grace=0.3, body_min_rate=1000)
    took = Stopwatch()
    client = await edge.ask(post(b"", 100_000))
    sender = asyncio.create_task(dribble(client, b"xx", 0.01 if dribbling else 5))
    assert (408, "body_timeout") == await client.refusal()
    assert took.between(0.25, 1), took
    assert 1 == len(edge.lost)
    sender.cancel()


async def test_a_slow_body_above_the_minimum_rate_is_served(start):
    edge = await start(body_grace=0.1, body_min_rate=1000)
    client = await edge.ask(post(b"", 5000))
    for _ in range(25):
        await client.send(b"x" * 200)
        await asyncio.sleep(0.02)
    assert b"x" * 5000 == (await client.answer())[2]


async def test_who_lets_much_be_held_must_bring_more(start):
    edge = await start(body_grace=0.1, body_min_rate=1, body_patience=1.0)
    little, much = [await edge.ask(post(b"x" * size, 90_000)) for size in (10, 60_000)]
    for _ in range(6):
        await asyncio.sleep(0.05)
        for client in (little, much):
            client.writer.write(b"y" * 100)
    assert (408, "body_timeout") == await much.refusal()
    await little.send(b"z")
    assert {"body_timeout": 1} == edge.refused


async def test_a_body_that_the_application_does_not_read_yet_is_not_called_slow(start):
    edge = await start(body_grace=0.1, body_min_rate=1000)
    client = await edge.connect()
    body = b"x" * 16_000_000  # more than the operating system holds for two ends
    sender = asyncio.create_task(client.send(post(body, path=b"/hold-body")))
    await asyncio.sleep(0.4)
    assert not sender.done()
    edge.proceed.set()
    assert body == (await client.answer())[2]
    await sender


async def test_a_client_waiting_for_100_continue_is_not_called_slow(start):
    edge = await start(body_grace=0.1, body_min_rate=1000)
    head = post(b"", 5, path=b"/hold-body").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    client = await edge.ask(head)
    await asyncio.sleep(0.4)
    edge.proceed.set()
    assert 100 == (await client.head())[0]
    await client.send(b"hello")
    assert b"hello" == (await client.answer())[2]


async def test_the_rest_of_a_body_that_was_answered_early_is_still_bounded(start):
    edge = await start(body_grace=0.2, body_min_rate=1000)
    client = await edge.ask(post(b"", 100_000, path=b"/unread"))
    assert 401 == (await client.answer())[0]
    assert b"" == await client.rest()
    assert {"body_timeout": 1} == edge.refused


# Readers


async def test_a_reader_that_stops_bounds_what_is_buffered_and_is_cut_at_the_deadline(start):
    edge = await start(write_timeout=0.4)
    client = await edge.connect(receive_buffer=4096)
    await client.send(GET.replace(b"/ ", b"/flood "))
    await until(lambda: edge.sent)
    sent = 0
    while sent != edge.sent:
        sent = edge.sent
        await asyncio.sleep(0.1)
    # 64 KiB in the write buffer, 128 KiB unsent and what is under way in the operating system's.
    assert sent <= 512 * 1024
    assert await until(lambda: edge.lost) < 2
    assert {"write_timeout": 1} == edge.refused
    await until(lambda: edge.ended["/flood"])


async def test_a_slow_reader_that_goes_on_reading_is_served(start):
    edge = await start(write_timeout=0.3)
    client = await edge.connect(receive_buffer=4096)
    await client.send(b"GET /flood HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    for _ in range(20):
        await client.reader.readexactly(40_000)
        await asyncio.sleep(0.05)
    assert not edge.lost
    edge.proceed.set()
    assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_an_answer_nobody_reads_does_not_outlive_the_deadline(start):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"x" * 8_000_000})

    edge = await start(app, write_timeout=0.3, linger=0.1, keep_alive=0.2)
    client = await edge.connect(receive_buffer=4096)
    took = Stopwatch()
    await client.send(GET)
    await asyncio.sleep(1)
    assert len(await client.rest()) < 8_000_000
    assert took.s < 2


# Connections


async def served_again(edge):
    """Try until a connection that was closed has made room."""
    request = GET.replace(b"Host", b"Connection: close\r\nHost")
    for _ in range(300):
        if b"HTTP/1.1 200" in await (await edge.ask(request)).rest():
            return
        await asyncio.sleep(0.01)
    pytest.fail("no room was made")


async def test_connections_over_the_cap_are_told_to_come_back(start):
    edge = await start(max_connections=2)
    first, second = await edge.ask(GET), await edge.ask(GET)
    assert [200, 200] == [(await client.answer())[0] for client in (first, second)]
    third = await edge.connect()
    raw = await third.rest()
    assert raw.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in raw
    assert b'"code":"too_many_connections"' in raw
    assert b"x-switchgear-error-source: gateway" in raw
    assert {"too_many_connections": 1} == edge.refused
    await first.close()
    await served_again(edge)


async def test_connections_of_one_peer_over_its_cap_are_refused(start, monkeypatch):
    monkeypatch.setattr("switchgear.edge.connection.peer_key", lambda host: host)
    edge = await start(max_connections_per_peer=2)
    clients = [await edge.ask(GET) for _ in range(2)]
    assert [200, 200] == [(await client.answer())[0] for client in clients]
    assert (503, "too_many_connections") == await (await edge.connect()).refusal()
    await clients[0].close()
    await served_again(edge)


async def test_loopback_is_not_counted_per_peer(start):
    edge = await start(max_connections_per_peer=1)
    for _ in range(3):
        assert 200 == (await (await edge.ask(GET)).answer())[0]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002"),
        ("fe80::1%eth0", "fe80000000000000"),
    ],
)
def test_a_peer_is_an_address_or_an_ipv6_network(host, key):
    assert key == peer_key(host)


# Long bodies that come at once

LONG = b"x" * 200_000
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(LONG), LONG)


@pytest.mark.parametrize("request_", [post(LONG), CHUNKED], ids=["length", "chunks"])
async def test_more_of_long_bodies_than_one_turn_may_read_is_refused(start, request_):
    edge = await start(turn_bytes=1000)
    assert (503, "overloaded") == await (await edge.ask(request_)).refusal()
    assert 200 == (await (await edge.ask(post(b"short"))).answer())[0]
    assert LONG not in edge.bodies


async def test_long_bodies_are_read_one_after_the_other_where_a_turn_has_one_read(start):
    edge = await start(turn_reads=1)
    bodies = [b"%d" % number * 700_000 for number in range(4)]
    clients = [await edge.ask(post(body)) for body in bodies]
    assert [(200, body) for body in bodies] == [(await client.answer())[::2] for client in clients]


async def test_what_nobody_wants_is_read_to_its_end_in_several_turns(start):
    edge = await start(turn_reads=1)
    client = await edge.ask(post(b"", 3_000_000, b"/unread"))
    assert 401 == (await client.answer())[0]
    await client.send(b"x" * 3_000_000 + GET)
    assert 200 == (await client.answer())[0]
