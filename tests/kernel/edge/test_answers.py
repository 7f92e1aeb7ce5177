"""What an application sends through ASGI arrives as proper HTTP/1.1."""

import asyncio
import logging

import pytest

from support.edge import until

HOST = b"Host: gateway.test\r\n"


def request(path: bytes = b"/", method: bytes = b"GET", extra: bytes = b"", version: bytes = b"1.1") -> bytes:
    return method + b" " + path + b" HTTP/" + version + b"\r\n" + HOST + extra + b"\r\n"


def answering(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def head(*headers, status=200):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data=b"", *, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_an_answer_carries_date_and_lower_case_names(start):
    edge = await start(answering(head((b"X-Thing", b"a\tb"), (b"Content-Length", b"2")), body(b"ok")))
    client = await edge.ask(request())
    status, headers, payload = await client.answer()
    assert (200, b"ok") == (status, payload)
    assert {"date", "x-thing", "content-length"} == set(headers)
    assert "a\tb" == headers["x-thing"]
    assert headers["date"].endswith(" GMT")


async def test_a_body_without_length_is_chunked(start):
    edge = await start(answering(head(), body(b"a" * 20, more=True), body(b"", more=True), body(b"b")))
    client = await edge.ask(request(extra=b"Connection: close\r\n"))
    _, headers = await client.head()
    assert "chunked" == headers["transfer-encoding"]
    assert b"14\r\n" + b"a" * 20 + b"\r\n1\r\nb\r\n0\r\n\r\n" == await client.rest()


@pytest.mark.parametrize(
    ("method", "status", "headers", "expected"),
    [
        (b"HEAD", 200, [(b"content-length", b"5")], {"date", "content-length"}),
        (b"HEAD", 200, [], {"date"}),
        (b"GET", 204, [], {"date"}),
        (b"GET", 304, [], {"date"}),
    ],
)
async def test_answers_without_a_body_have_none(start, method, status, headers, expected):
    edge = await start(answering(head(*headers, status=status), body(b"" if method == b"GET" else b"hello")))
    client = await edge.ask(request(method=method) * 2)
    for _ in range(2):
        got, names = await client.head()
        assert (status, expected) == (got, set(names))


@pytest.mark.parametrize(
    ("version", "extra", "closes"),
    [
        (b"1.1", b"", False),
        (b"1.1", b"Connection: close\r\n", True),
        (b"1.0", b"", True),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
async def test_the_connection_is_kept_as_the_client_wishes(edge, version, extra, closes):
    client = await edge.ask(request(version=version, extra=extra))
    _, headers, _ = await client.answer()
    assert closes == ("connection" in headers)
    await client.send(request())
    if closes:
        assert b"" == await client.rest()
    else:
        assert 200 == (await client.answer())[0]


async def test_the_application_can_close_the_connection(start):
    edge = await start(answering(head((b"Connection", b"Close"), (b"content-length", b"0")), body()))
    client = await edge.ask(request() * 2)
    _, headers, _ = await client.answer()
    assert "Close" == headers["connection"]
    assert b"" == await client.rest()


@pytest.mark.parametrize(
    "bad",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\x00b"),
        (b"x", b"a\x7fb"),
        (b"x\r\ny", b"a"),
        (b"x: y", b"a"),
        (b"x y", b"a"),
        (b"", b"a"),
        (b"content-length", b"many"),
    ],
)
async def test_a_header_that_could_split_the_answer_is_never_sent(start, bad, caplog):
    edge = await start(answering(head((b"x-good", b"1"), bad), body(b"hello")))
    client = await edge.ask(request())
    assert (500, "internal_error") == await client.refusal()


async def test_a_failing_application_is_a_500_that_names_nothing(edge, caplog):
    client = await edge.ask(request(b"/raise"))
    raw = await client.rest()
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in raw
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    request_id = raw.split(b"x-request-id: ")[1].split(b"\r\n")[0].decode()
    assert request_id in record.getMessage()
    assert "a secret of the application" in caplog.text


async def test_a_failure_after_the_head_cuts_the_answer(edge, caplog):
    client = await edge.ask(request(b"/raise-late"))
    assert 200 == (await client.head())[0]
    assert b"5\r\nfirst\r\n" == await client.rest()
    assert "LookupError" in caplog.text


async def test_an_application_that_answers_nothing_is_a_500(edge, caplog):
    client = await edge.ask(request(b"/silent"))
    assert (500, "internal_error") == await client.refusal()
    assert "without completing" in caplog.text


async def test_a_body_shorter_than_promised_cuts_the_connection(start, caplog):
    edge = await start(answering(head((b"content-length", b"5")), body(b"xxx")))
    client = await edge.ask(request())
    await client.head()
    assert b"xxx" == await client.rest()
    assert "content-length" in caplog.text


async def test_a_body_longer_than_promised_is_a_500_if_nothing_was_sent(start, caplog):
    edge = await start(answering(head((b"content-length", b"5")), body(b"x" * 8)))
    client = await edge.ask(request())
    assert (500, "internal_error") == await client.refusal()
    assert "content-length" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        [body(b"early")],
        [head(), head()],
        [head((b"content-length", b"0")), body(), body()],
    ],
)
async def test_messages_out_of_order_are_an_error(start, messages, caplog):
    edge = await start(answering(*messages))
    client = await edge.ask(request(extra=b"Connection: close\r\n"))
    await client.rest()
    assert "RuntimeError" in caplog.text


async def test_100_continue_is_sent_when_the_application_reads(edge):
    client = await edge.ask(request(method=b"POST", extra=b"Content-Length: 2\r\nExpect: 100-Continue\r\n"))
    assert 100 == (await client.head())[0]
    await client.send(b"ok")
    assert b"ok" == (await client.answer())[2]


async def test_a_body_that_was_never_invited_closes_the_connection(edge):
    extra = b"Content-Length: 20\r\nExpect: 100-continue\r\n"
    client = await edge.ask(request(b"/unread", b"POST", extra))
    status, headers, _ = await client.answer()
    assert (401, "close") == (status, headers["connection"])
    await client.send(request())
    assert b"" == await client.rest()
    assert 1 == len(edge.seen)


async def test_a_body_answered_early_is_passed_over_and_the_connection_kept(edge):
    client = await edge.ask(request(b"/unread", b"POST", b"Content-Length: 200000\r\n"))
    assert 401 == (await client.answer())[0]
    await client.send(b"x" * 200_000 + request())
    assert 200 == (await client.answer())[0]


async def test_a_large_body_comes_in_pieces_and_pauses_the_client_until_it_is_read(edge):
    client = await edge.connect()
    payload = bytes(range(256)) * 64_000
    sender = asyncio.create_task(
        client.send(request(b"/hold-body", b"POST", b"Content-Length: %d\r\n" % len(payload)) + payload)
    )
    await until(lambda: edge.seen)
    await asyncio.sleep(0.1)
    assert not sender.done()
    edge.proceed.set()
    assert payload == (await client.answer())[2]


async def test_a_request_sent_before_the_last_empty_message_is_served_after_it(edge):
    client = await edge.ask(request(b"/split"))
    assert b"ok" == (await client.answer())[2]
    await client.send(request())
    await asyncio.sleep(0.05)
    assert 1 == len(edge.seen)
    edge.proceed.set()
    assert 200 == (await client.answer())[0]
