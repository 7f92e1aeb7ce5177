"""TLS is verified, never downgraded, and its failures are typed."""

import asyncio
import datetime as dt
import os
import ssl
import time
from pathlib import Path

import pytest
import trustme

from kernel.upstream.conftest import Connect, post
from kernel.upstream.peer import Line, Peer, answers, until
from switchgear.contracts.upstream import ConnectionSettings
from switchgear.errors import ConfigError, ConnectFailed, ConnectTimeout
from switchgear.upstream.tls import TlsContexts

CAP = 1 << 20


def lookup(host: str) -> list[str]:
    return ["127.0.0.1"]


def server_context(certificate: trustme.LeafCert, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


async def test_a_certificate_of_the_bundle_is_accepted_and_the_connection_reused(
    connect: Connect, authority: trustme.CA, bundle: str
) -> None:
    body = bytes(range(256)) * 2000
    async with Peer(answers, tls=server_context(authority.issue_cert("api.test"))) as peer:
        connection = connect(lookup=lookup, ca_bundle=bundle)
        for _ in range(3):
            response = await connection.send(post(f"https://api.test:{peer.port}/", body))
            assert body == await response.body(CAP)
        assert 1 == peer.accepted
        assert f"api.test:{peer.port}" == peer.requests[0].header("host")


async def test_a_self_signed_certificate_is_refused(connect: Connect, authority: trustme.CA) -> None:
    async with Peer(answers, tls=server_context(authority.issue_cert("api.test"))) as peer:
        with pytest.raises(ConnectFailed):
            await connect(lookup=lookup).send(post(f"https://api.test:{peer.port}/"))
        assert [] == peer.requests


async def test_verification_can_be_switched_off(connect: Connect, authority: trustme.CA) -> None:
    async with Peer(answers, tls=server_context(authority.issue_cert("other.test"))) as peer:
        connection = connect(lookup=lookup, verify_tls=False)
        response = await connection.send(post(f"https://api.test:{peer.port}/"))
        assert b"{}" == await response.body(CAP)


async def test_a_certificate_of_another_name_is_refused(connect: Connect, authority: trustme.CA, bundle: str) -> None:
    async with Peer(answers, tls=server_context(authority.issue_cert("other.test"))) as peer:
        with pytest.raises(ConnectFailed):
            await connect(lookup=lookup, ca_bundle=bundle).send(post(f"https://api.test:{peer.port}/"))
        assert [] == peer.requests


async def test_an_expired_certificate_is_refused(connect: Connect, authority: trustme.CA, bundle: str) -> None:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    expired = authority.issue_cert("api.test", not_before=past, not_after=past + dt.timedelta(days=1))
    async with Peer(answers, tls=server_context(expired)) as peer:
        with pytest.raises(ConnectFailed):
            await connect(lookup=lookup, ca_bundle=bundle).send(post(f"https://api.test:{peer.port}/"))
        assert [] == peer.requests


async def test_a_client_certificate_is_shown(
    connect: Connect, authority: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    client = tmp_path / "client.pem"
    authority.issue_cert("gateway@example.test").private_key_and_cert_chain_pem.write_to_path(client)
    context = server_context(authority.issue_cert("api.test"), client_ca=authority)
    async with Peer(answers, tls=context) as peer:
        connection = connect(lookup=lookup, ca_bundle=bundle, client_cert=str(client))
        response = await connection.send(post(f"https://api.test:{peer.port}/"))
        assert b"{}" == await response.body(CAP)


async def test_a_tls_handshake_that_stalls_times_out(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.gone()

    async with Peer(script) as peer:
        with pytest.raises(ConnectTimeout):
            await connect(lookup=lookup, connect_timeout=0.3).send(post(f"https://api.test:{peer.port}/"))
        await until(lambda: peer.open == 0)


async def test_a_call_cancelled_in_the_tls_handshake_reaches_the_peer(connect: Connect) -> None:
    async def script(line: Line) -> None:
        await line.gone()

    async with Peer(script) as peer:
        call = asyncio.ensure_future(connect(lookup=lookup).send(post(f"https://api.test:{peer.port}/")))
        await until(lambda: peer.open == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await until(lambda: peer.open == 0) < 1


async def test_a_plain_server_is_never_spoken_to_in_clear(connect: Connect) -> None:
    heard = b""

    async def script(line: Line) -> None:
        nonlocal heard
        heard += await line.reader.read(65536)
        await line.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with Peer(script) as peer:
        with pytest.raises(ConnectFailed):
            await connect(lookup=lookup).send(post(f"https://api.test:{peer.port}/", b"secret-body"))
        assert b"secret-body" not in heard
        assert b"HTTP" not in heard


@pytest.mark.parametrize("setting", ["ca_bundle", "client_cert"])
async def test_an_unusable_file_is_reported_at_once(connect: Connect, setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(**{setting: str(tmp_path / "absent.pem")})
    assert setting in str(caught.value)
    (tmp_path / "empty.pem").write_text("not a certificate")
    with pytest.raises(ConfigError) as caught:
        connect(**{setting: str(tmp_path / "empty.pem")})
    assert setting in str(caught.value)


async def test_a_bundle_renewed_in_place_is_used_without_a_failed_call(
    connect: Connect, authority: trustme.CA, bundle: str
) -> None:
    after = trustme.CA()
    connection = connect(lookup=lookup, ca_bundle=bundle)
    async with Peer(answers, tls=server_context(authority.issue_cert("api.test"))) as peer:
        assert b"{}" == await (await connection.send(post(f"https://api.test:{peer.port}/"))).body(CAP)
    async with Peer(answers, tls=server_context(after.issue_cert("api.test"))) as peer:
        with pytest.raises(ConnectFailed, match="certificate was refused"):
            await connection.send(post(f"https://api.test:{peer.port}/"))
        after.cert_pem.write_to_path(bundle)
        await asyncio.sleep(1.05)  # files are looked at once a second
        assert b"{}" == await (await connection.send(post(f"https://api.test:{peer.port}/"))).body(CAP)


async def test_a_client_certificate_renewed_in_place_is_shown(
    connect: Connect, authority: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    client, after = tmp_path / "client.pem", trustme.CA()
    authority.issue_cert("gateway@example.test").private_key_and_cert_chain_pem.write_to_path(client)
    context = server_context(authority.issue_cert("api.test"), client_ca=after)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # which says in the handshake that it refuses
    async with Peer(answers, tls=context) as peer:
        connection = connect(lookup=lookup, ca_bundle=bundle, client_cert=str(client))
        after.issue_cert("gateway@example.test").private_key_and_cert_chain_pem.write_to_path(client)
        assert b"{}" == await (await connection.send(post(f"https://api.test:{peer.port}/"))).body(CAP)


async def test_a_file_that_went_bad_leaves_what_was_read_before(
    tmp_path: Path, authority: trustme.CA, bundle: str
) -> None:
    contexts, settings = TlsContexts(), ConnectionSettings(ca_bundle=bundle)
    used = contexts.read(settings)
    Path(bundle).write_text("half a certif")  # noqa: ASYNC240 - a few bytes
    await contexts.renew_all()
    assert used is contexts.get(settings)
    assert ["it is not PEM" in why for why in contexts.failures.values()] == [True]
    with pytest.raises(ConfigError):
        contexts.read(settings)
    trustme.CA().cert_pem.write_to_path(bundle)
    await contexts.renew_all()
    assert used is not contexts.get(settings)
    assert not contexts.failures


@pytest.mark.parametrize("setting", ["ca_bundle", "client_cert"])
def test_what_is_no_regular_file_is_refused_at_once(setting: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large.pem").write_bytes(b"x" * (5 << 20))
    began = time.monotonic()
    for name, why in (
        (tmp_path / "fifo", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path, "it is a directory"),
        (tmp_path / "large.pem", "larger than"),
        (tmp_path / "absent.pem", "there is no such file"),
    ):
        with pytest.raises(ConfigError, match=why):
            TlsContexts().read(ConnectionSettings(**{setting: str(name)}))
    assert time.monotonic() - began < 2


async def test_why_there_is_no_connection_is_said(connect: Connect, authority: trustme.CA, bundle: str) -> None:
    async def plain(line: Line) -> None:
        await line.reader.read(100)
        await line.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    connection = connect(lookup=lookup, ca_bundle=bundle)
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    expired = authority.issue_cert("api.test", not_before=past, not_after=past + dt.timedelta(days=1))
    for certificate, why in (
        (authority.issue_cert("other.test"), "ertificate is not valid for 'api.test'"),
        (trustme.CA().issue_cert("api.test"), "unable to get local issuer certificate|self-signed certificate"),
        (expired, "certificate has expired"),
    ):
        async with Peer(answers, tls=server_context(certificate)) as peer:
            with pytest.raises(ConnectFailed, match=why):
                await connection.send(post(f"https://api.test:{peer.port}/"))
    async with Peer(plain) as peer:
        with pytest.raises(ConnectFailed, match="does not speak TLS"):
            await connection.send(post(f"https://api.test:{peer.port}/"))
        port = peer.port
    with pytest.raises(ConnectFailed, match="refused: nothing listens there"):
        await connection.send(post(f"https://api.test:{port}/"))
    with pytest.raises(ConnectFailed, match="refused: nothing listens there"):
        await connection.send(post(f"http://api.test:{port}/"))
