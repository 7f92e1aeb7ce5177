"""The application learns within a moment that its client has left."""

import asyncio
import socket
import struct

import pytest

from support.edge import until

HOST = b"Host: gateway.test\r\n"
RESET = struct.pack("ii", 1, 0)


def get(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def leave(client, how):
    sock = client.writer.get_extra_info("socket")
    if how == "half close":
        client.writer.write_eof()
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.writer.transport.abort()
    else:
        client.writer.transport.abort()


@pytest.mark.parametrize("how", ["close", "half close", "reset"])
@pytest.mark.parametrize("path", [b"/wait", b"/stream", b"/hold-body", b"/flood"])
async def test_a_client_that_leaves_is_noticed(edge, path, how):
    client = await edge.ask(get(path))
    await until(lambda: edge.peers)
    if path == b"/stream":
        assert 200 == (await client.head())[0]
    if path == b"/flood":
        await until(lambda: edge.sent)
    assert not edge.peers[0].lost
    leave(client, how)
    assert await until(lambda: edge.lost) < 1
    assert edge.peers[0].lost is True
    edge.proceed.set()
    await until(lambda: edge.ended)
    assert 1 == len(edge.lost)


async def test_a_half_close_behind_a_full_write_buffer_is_noticed(edge):
    client = await edge.connect(receive_buffer=4096)
    await client.send(get(b"/flood"))
    await until(lambda: edge.sent > 100_000)
    client.writer.write_eof()
    assert await until(lambda: edge.lost) < 1
    await until(lambda: edge.ended["/flood"])


async def test_a_client_that_leaves_in_its_body_is_noticed(edge):
    client = await edge.ask(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nhalf")
    await until(lambda: edge.peers)
    await client.close()
    assert await until(lambda: edge.lost) < 1
    await until(lambda: edge.ended["/"])
    assert [b"half"] == edge.bodies


async def test_a_client_that_leaves_after_its_answer_is_not_missed(edge):
    client = await edge.ask(get(b"/"))
    assert 200 == (await client.answer())[0]
    await client.close()
    await asyncio.sleep(0.1)
    assert [] == edge.lost
    assert edge.peers[0].lost is False


async def test_only_the_request_in_flight_hears_of_it(edge):
    client = await edge.ask(get(b"/") + get(b"/wait") + get(b"/"))
    await client.answer()
    await until(lambda: len(edge.peers) == 2)
    await client.close()
    assert await until(lambda: edge.lost) < 1
    assert [False, True] == [peer.lost for peer in edge.peers]
    edge.proceed.set()
    await until(lambda: edge.ended["/wait"])
    assert 2 == len(edge.seen)


async def test_a_waiting_receive_reports_the_disconnect(start):
    received = []

    async def app(scope, receive, send):
        received.append(await receive())
        received.append(await receive())

    edge = await start(app)
    client = await edge.ask(get(b"/"))
    await until(lambda: received)
    await client.close()
    await until(lambda: len(received) == 2)
    assert [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}] == received


async def test_writing_to_a_client_that_left_does_nothing(edge):
    client = await edge.ask(get(b"/stream"))
    assert 200 == (await client.head())[0]
    await client.close()
    await until(lambda: edge.lost)
    edge.proceed.set()
    await until(lambda: edge.ended["/stream"])
