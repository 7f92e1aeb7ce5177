"""The httpx client for everything that is not inference goes through the same engine and guard."""

import asyncio
import gzip
import subprocess
import sys

import httpx
import pytest

from kernel.upstream.conftest import MakeUpstream
from kernel.upstream.peer import Line, Peer, answers, hangs, plays, until
from switchgear.contracts.upstream import ConnectionSettings
from switchgear.errors import EgressDenied

OK = b"HTTP/1.1 200 OK\r\n"


async def test_it_sends_and_reads(upstream: MakeUpstream) -> None:
    async with Peer(answers) as peer, upstream().http(headers={"x-one": "1"}) as client:
        response = await client.post(peer.url, json={"a": 1}, params={"q": "ü"}, headers={"x-two": "2"})
        assert (200, {"a": 1}) == (response.status_code, response.json())
        [request] = peer.requests
        assert "POST /v1?q=%C3%BC HTTP/1.1" == request.start
        assert ("1", "2") == (request.header("x-one"), request.header("x-two"))
        assert "identity" == request.header("accept-encoding")


async def test_it_streams_and_closing_reaches_the_peer(upstream: MakeUpstream) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await line.gone()

    async with Peer(script) as peer, upstream().http() as client:
        async with client.stream("GET", peer.url) as response:
            async for piece in response.aiter_bytes():
                assert b"hello" == piece
                break
        await until(lambda: peer.open == 0)


async def test_a_private_address_is_denied(upstream: MakeUpstream) -> None:
    async with Peer(answers) as peer, upstream(allow=()).http() as client:
        with pytest.raises(httpx.UnsupportedProtocol) as caught:
            await client.get(peer.url)
        assert isinstance(caught.value.__cause__, EgressDenied)
        assert 0 == peer.accepted


async def test_redirects_are_not_followed_unless_asked_for(upstream: MakeUpstream) -> None:
    async with Peer(plays(b"HTTP/1.1 302 F\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")) as peer:
        async with upstream().http() as client:
            assert 302 == (await client.get(peer.url)).status_code
        assert 1 == len(peer.requests)


async def test_every_hop_of_a_redirect_is_checked(upstream: MakeUpstream) -> None:
    async with Peer(answers, host="127.0.0.2") as inside:
        hop = b"HTTP/1.1 302 F\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % inside.url.encode()
        async with (
            Peer(plays(hop)) as peer,
            upstream(allow=("127.0.0.1/32",)).http(follow_redirects=True) as client,
        ):
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get(peer.url)
        assert 0 == inside.accepted


async def test_a_silent_peer_times_out(upstream: MakeUpstream) -> None:
    async with Peer(hangs) as peer, upstream().http(timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(peer.url)


async def test_a_refused_port_is_a_connect_error(upstream: MakeUpstream) -> None:
    async with Peer(answers) as peer:
        url = peer.url
    async with upstream().http() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_an_answer_over_the_cap_is_cut(upstream: MakeUpstream) -> None:
    async with Peer(answers) as peer, upstream().http(max_body=1000) as client:
        assert 1000 == len((await client.post(peer.url, content=b"a" * 1000)).content)
        with pytest.raises(httpx.ReadError):
            await client.post(peer.url, content=b"a" * 1001)


async def test_an_answer_that_was_compressed_unasked_is_unpacked_or_refused(upstream: MakeUpstream) -> None:
    packed = gzip.compress(b"plain")
    known = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    unknown = OK + b"content-encoding: zebra\r\ncontent-length: 1\r\n\r\nx"
    async with Peer(plays(known)) as peer, upstream().http() as client:
        assert "plain" == (await client.get(peer.url)).text
    async with Peer(plays(unknown)) as peer, upstream().http() as client:
        with pytest.raises(httpx.DecodingError):
            await client.get(peer.url)


async def test_the_environment_is_not_looked_at(upstream: MakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(answers) as proxy, Peer(answers) as peer:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        async with upstream().http() as client:
            assert 200 == (await client.get(peer.url)).status_code
        assert 0 == proxy.accepted


async def test_settings_are_those_of_a_provider(upstream: MakeUpstream) -> None:
    async with Peer(answers) as proxy:
        settings = ConnectionSettings(proxy=f"http://127.0.0.1:{proxy.port}")
        async with upstream().http(settings=settings) as client:
            assert 200 == (await client.get("http://api.test/")).status_code
        assert "GET http://api.test/ HTTP/1.1" == proxy.requests[0].start


@pytest.mark.parametrize("option", ["transport", "proxy", "verify", "trust_env"])
async def test_options_that_would_go_round_the_guard_are_refused(upstream: MakeUpstream, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        upstream().http(**{option: None})


async def test_a_cancelled_request_reaches_the_peer(upstream: MakeUpstream) -> None:
    async with Peer(hangs) as peer, upstream().http() as client:
        call = asyncio.ensure_future(client.get(peer.url))
        await until(lambda: len(peer.requests) == 1)
        call.cancel()
        await asyncio.wait((call,))
        assert await until(lambda: peer.open == 0) < 1


def test_starting_does_not_import_httpx() -> None:
    code = "import sys, switchgear.upstream.client; print(sorted({'httpx', 'httpcore'} & set(sys.modules)))"
    assert (
        "[]\n"
        == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    )
