"""Through a proxy: asked for by name, checked itself, tunnelled for TLS."""

import asyncio
import contextlib
from pathlib import Path

import pytest
import trustme

from kernel.upstream.conftest import Connect, post
from kernel.upstream.peer import Line, Peer, answers
from kernel.upstream.test_tls import server_context
from switchgear.errors import ConnectFailed, EgressDenied

CAP = 1 << 20


async def relay(line: Line) -> None:
    """Be a tunnelling proxy: join the client to the port it names, on loopback."""
    request = await line.request()
    port = int(request.start.split(" ")[1].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    await asyncio.gather(copy(line.reader, writer), copy(reader, line.writer))


def no_lookup(host: str) -> list[str]:
    return {"proxy.test": ["127.0.0.1"]}.get(host, [])


async def test_plain_http_is_sent_to_the_proxy_in_absolute_form(connect: Connect) -> None:
    async with Peer(answers) as proxy:
        connection = connect(lookup=no_lookup, proxy=f"http://me:p%40ss@proxy.test:{proxy.port}")
        response = await connection.send(post("http://api.test/v1/x?y=1"))
        assert b"{}" == await response.body(CAP)
        [request] = proxy.requests
        assert "POST http://api.test/v1/x?y=1 HTTP/1.1" == request.start
        assert "api.test" == request.header("host")
        assert "Basic bWU6cEBzcw==" == request.header("proxy-authorization")


async def test_https_is_tunnelled_and_verified(connect: Connect, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    tls = server_context(authority.issue_cert("api.test"))
    async with Peer(answers, tls=tls) as peer, Peer(relay) as proxy:
        connection = connect(lookup=no_lookup, proxy=f"http://me:secret@proxy.test:{proxy.port}", ca_bundle=str(bundle))
        for _ in range(2):
            response = await connection.send(post(f"https://api.test:{peer.port}/v1"))
            assert b"{}" == await response.body(CAP)
        [tunnel] = proxy.requests
        assert f"CONNECT api.test:{peer.port} HTTP/1.1" == tunnel.start
        assert "Basic bWU6c2VjcmV0" == tunnel.header("proxy-authorization")
        assert "POST /v1 HTTP/1.1" == peer.requests[0].start
        assert None is peer.requests[0].header("proxy-authorization")


async def test_a_proxy_that_refuses_means_nothing_was_sent(connect: Connect) -> None:
    async def refuse(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

    async with Peer(refuse) as proxy:
        with pytest.raises(ConnectFailed):
            await connect(proxy=f"http://127.0.0.1:{proxy.port}").send(post("https://api.test/"))


async def test_the_proxys_address_is_checked(connect: Connect) -> None:
    async with Peer(answers) as proxy:
        for host in ("127.0.0.1", "proxy.test"):
            connection = connect(allow=(), lookup=no_lookup, proxy=f"http://{host}:{proxy.port}")
            with pytest.raises(EgressDenied):
                await connection.send(post("http://api.test/"))
        assert 0 == proxy.accepted


async def test_a_literal_private_address_is_denied_also_through_a_proxy(connect: Connect) -> None:
    async with Peer(answers) as proxy:
        connection = connect(proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(EgressDenied):
            await connection.send(post("http://169.254.169.254/latest/"))
        assert 0 == proxy.accepted


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "https://proxy.test", "proxy.test:3128", ""])
async def test_a_proxy_of_another_kind_is_refused_at_once(connect: Connect, proxy: str) -> None:
    with pytest.raises(EgressDenied):
        connect(proxy=proxy)
