"""Requests whose meaning could be argued about never reach the application."""

import asyncio
import json
import random

import pytest

from support.edge import until

HOST = b"Host: gateway.test\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def post(headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/" + version + b"\r\n" + HOST + headers + b"\r\n" + body


def get(headers: bytes, target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + headers + b"\r\n"


MALFORMED = {
    "two lengths that differ": post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
    "two lengths that agree": post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3\r\n", b"abc"),
    "a signed length": post(b"Content-Length: +5\r\n", b"abcde"),
    "a negative length": post(b"Content-Length: -5\r\n", b"abcde"),
    "a hexadecimal length": post(b"Content-Length: 0x5\r\n", b"abcde"),
    "an empty length": post(b"Content-Length: \r\n"),
    "a length past 64 bits": post(b"Content-Length: 99999999999999999999999\r\n"),
    "length, then chunked": post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunked, then length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunked and identity": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "gzip, then chunked": post(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "identity, then chunked": post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "x, then chunked": post(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunked in a list": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "chunked not last": post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "another encoding": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "chunked on 1.0": post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"1.0"),
    "no Host": get(b""),
    "no Host on 1.0": get(b"", version=b"1.0"),
    "two Hosts": get(HOST + HOST),
    "a Host with a path": get(b"Host: a/b?x\r\n"),
    "a Host with a user": get(b"Host: user@a\r\n"),
    "an empty Host": get(b"Host: \r\n"),
    "a Host with a bad port": get(b"Host: a:b\r\n"),
    "a list of Hosts": get(b"Host: a, b\r\n"),
    "a folded header": get(HOST + b"X: a\r\n b\r\n"),
    "a folded Host": get(b"Host: a\r\n b\r\n"),
    "a folded first header": b"GET / HTTP/1.1\r\n " + HOST + b"\r\n",
    "a bare newline after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare newline after a header": get(b"Host: a\nX: b\r\n"),
    "a bare carriage return": get(b"Host: a\rX: b\r\n"),
    "a NUL in a value": get(HOST + b"X: a\x00b\r\n"),
    "a control character in a value": get(HOST + b"X: a\x01b\r\n"),
    "a DEL in a value": get(HOST + b"X: a\x7fb\r\n"),
    "a NUL in a name": get(HOST + b"X\x00: ab\r\n"),
    "an empty name": get(HOST + b": ab\r\n"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 by name": get(HOST, version=b"0.9"),
    "HTTP/2 by name": get(HOST, version=b"2.0"),
    "HTTP/2 outright": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": get(HOST, version=b"1.2"),
    "a lower-case method": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "CONNECT": b"CONNECT other.test:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target that is no path": get(HOST, b"a/b"),
    "a fragment": get(HOST, b"/a#b"),
    "a raw byte in the target": get(HOST, b"/\xff"),
    "a NUL in the target": get(HOST, b"/\x00"),
}
# These begin as proper requests, so the application may have been started before the body turned out wrong.
MALFORMED_BODIES = {
    "a signed chunk size": CHUNKED + b"+5\r\nabcde\r\n0\r\n\r\n",
    "a prefixed chunk size": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk size past 64 bits": CHUNKED + b"fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "a bare newline after a chunk size": CHUNKED + b"5\nabcde\r\n0\r\n\r\n",
    "a bare newline in a chunk extension": CHUNKED + b"5;a\nabcde\r\n0\r\n\r\n",
    "a bare newline after a chunk": CHUNKED + b"5\r\nabcde\n0\r\n\r\n",
    "a NUL in a trailer": CHUNKED + b"0\r\nX: a\x00b\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_request_that_could_be_read_two_ways_is_refused(edge, name):
    client = await edge.ask(MALFORMED[name] + get(HOST))
    assert (400, "malformed_request") == await client.refusal()
    assert [] == edge.seen
    assert {"malformed_request": 1} == edge.refused


@pytest.mark.parametrize("name", MALFORMED_BODIES)
async def test_a_body_that_could_be_read_two_ways_is_refused(edge, name):
    client = await edge.ask(MALFORMED_BODIES[name] + get(HOST))
    assert (400, "malformed_request") == await client.refusal()
    assert len(edge.seen) <= 1
    assert not any(edge.bodies)


@pytest.mark.parametrize("name", MALFORMED | MALFORMED_BODIES)
async def test_a_refusal_is_the_same_byte_by_byte(edge, name):
    client = await edge.connect()
    for byte in MALFORMED.get(name) or MALFORMED_BODIES[name]:
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (400, "malformed_request") == await client.refusal()


@pytest.mark.parametrize(
    "host",
    [b"gateway", b"gateway.test:8080", b"127.0.0.1", b"[::1]:80", b"my_service", b"a-b.c ", b"xn--bcher-kva.test"],
)
async def test_a_sane_host_is_served(edge, host):
    client = await edge.ask(get(b"Host: " + host + b"\r\n"))
    assert 200 == (await client.answer())[0]


async def test_a_chunked_body_arrives_whole_and_its_trailers_stay_out_of_the_headers(edge):
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in (b"a" * 10, b"b" * 300))
    client = await edge.ask(CHUNKED + chunks + b"0\r\nAuthorization: Bearer x\r\nHost: other\r\n\r\n")
    assert b"a" * 10 + b"b" * 300 == (await client.answer())[2]
    assert [b"host", b"transfer-encoding"] == [name for name, _ in edge.seen[0]["headers"]]


async def test_path_and_query_are_told_apart_and_the_raw_path_is_kept(edge):
    client = await edge.ask(get(HOST, b"/a%2Fb%20c?x=%41&y=1?"))
    await client.answer()
    scope = edge.seen[0]
    assert ("/a/b c", b"/a%2Fb%20c", b"x=%41&y=1?") == (scope["path"], scope["raw_path"], scope["query_string"])


async def test_a_whole_url_as_target_is_read_as_its_path(edge):
    client = await edge.ask(get(HOST, b"http://other.test/a/b?c=d"))
    await client.answer()
    scope = edge.seen[0]
    assert ("/a/b", b"/a/b", b"c=d") == (scope["path"], scope["raw_path"], scope["query_string"])


async def test_the_asterisk_target_is_served(edge):
    client = await edge.ask(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
    assert 200 == (await client.answer())[0]
    assert "*" == edge.seen[0]["path"]


async def test_nothing_is_served_after_a_refusal(edge):
    client = await edge.ask(get(HOST) + get(b"") + get(HOST, b"/second"))
    assert 200 == (await client.answer())[0]
    assert b"" == await client.rest()
    assert ["/"] == [scope["path"] for scope in edge.seen]


async def test_a_bad_request_behind_a_streaming_one_does_not_cut_into_its_answer(edge):
    client = await edge.ask(get(HOST, b"/stream"))
    assert 200 == (await client.head())[0]
    await client.send(get(b""))
    await until(lambda: edge.refused)
    edge.proceed.set()
    assert b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n" == await client.rest()


async def test_requests_sent_at_once_are_answered_in_order(edge):
    bodies = [b"%d" % number * 50_000 for number in range(5)]
    client = await edge.ask(b"".join(post(b"Content-Length: %d\r\n" % len(body), body) for body in bodies))
    assert bodies == [(await client.answer())[2] for _ in bodies]
    await client.send(get(HOST))
    assert 200 == (await client.answer())[0]


async def test_only_so_many_requests_are_queued_and_the_rest_is_not_served(start):
    edge = await start(max_pipelined=3)
    client = await edge.ask(get(HOST, b"/wait") + get(HOST) * 500)
    edge.proceed.set()
    answers = await client.rest()
    assert 4 == answers.count(b"HTTP/1.1 200 OK")
    assert 4 == len(edge.seen)


async def test_a_bad_body_of_a_queued_request_leaves_the_answers_before_it_alone(edge):
    client = await edge.ask(get(HOST, b"/wait") + get(HOST) + CHUNKED + b"+5\r\n")
    await until(lambda: edge.refused)
    edge.proceed.set()
    answers = await client.rest()
    assert 2 == answers.count(b"HTTP/1.1 200 OK")
    assert 2 == len(edge.seen)


@pytest.mark.parametrize("wanted", [b"websocket", b"h2c"])
@pytest.mark.parametrize(
    ("framing", "wire"),
    [
        (b"", b""),
        (b"Content-Length: 7\r\n", b"payload"),
        (b"Transfer-Encoding: chunked\r\n", b"7\r\npayload\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_wish_to_upgrade_is_passed_over_and_the_request_served(edge, wanted, framing, wire, at_once):
    head = post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + wanted + b"\r\n" + framing)
    client = await edge.ask(head + wire if at_once else head)
    if not at_once and wire:
        await until(lambda: edge.seen)
        for byte in wire:
            await client.send(bytes([byte]))
    assert b"payload" * bool(wire) == (await client.answer())[2]
    await client.send(post(b"Content-Length: 3\r\n", b"two"))
    assert b"two" == (await client.answer())[2]
    assert [b"host", b"content-length"] == [name for name, _ in edge.seen[1]["headers"]]


@pytest.mark.parametrize("seed", range(10))
async def test_mutilated_requests_never_make_the_server_fail(edge, seed):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    dice = random.Random(seed)
    whole = [get(HOST), post(b"Content-Length: 5\r\n", b"hello"), CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"]
    tokens = [
        b"\r\n",
        b"\n",
        b"\0",
        b":",
        HOST,
        b"Content-Length: 3\r\n",
        b"0\r\n\r\n",
        b"Upgrade: h2c\r\n",
        b"\xff",
        b"#",
    ]
    for _ in range(40):
        data = bytearray(b"".join(dice.choices(whole, k=3)))
        for _ in range(3):
            place = dice.randrange(len(data))
            data[place : place + dice.randrange(4)] = dice.choice(tokens)
        client = await edge.ask(bytes(data))
        client.writer.write_eof()
        answers = await client.rest()
        assert answers == b"" or answers.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 5" not in answers
    assert [] == failures
    assert 200 == (await (await edge.ask(get(HOST))).answer())[0]


async def test_an_error_answer_is_json_in_the_shape_of_openai(edge):
    client = await edge.ask(get(b""))
    raw = await client.rest()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"x-switchgear-error-source: client" in head
    assert {
        "error": {
            "message": "Send exactly one Host header holding a host name or address and nothing else.",
            "type": "invalid_request_error",
            "param": None,
            "code": "malformed_request",
        }
    } == json.loads(body)
