"""Certificates and handshakes that are wrong: nothing is sent, nothing is tried in clear, the next target answers."""

import asyncio
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from faults.figures import Record
from support.faultup import FaultUpstream
from support.gateway import PROVIDER_KEY, SOURCE, Running, running

STALLED_S = 0.25
ROW = "29 TLS"
PROMPT = "prompt-canary-9876543210"
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


def good() -> ssl.SSLContext:
    return context(AUTHORITY.issue_cert("api.test"))


def expired() -> ssl.SSLContext:
    return context(
        AUTHORITY.issue_cert("api.test", not_before=LONG_AGO, not_after=LONG_AGO + dt.timedelta(days=1)),
    )


def not_yet_valid() -> ssl.SSLContext:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    return context(AUTHORITY.issue_cert("api.test", not_before=soon, not_after=soon + dt.timedelta(days=1)))


def of_another_name() -> ssl.SSLContext:
    return context(AUTHORITY.issue_cert("other.test"))


def of_a_stranger() -> ssl.SSLContext:
    return context(STRANGER.issue_cert("api.test"))


def of_tls_1_0() -> ssl.SSLContext:
    made = good()
    made.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1
    return made


class Wire:
    """Takes connections and keeps every byte the gateway sends in them before TLS is agreed on; hands them on to `to`."""

    def __init__(self, to: int | None, says: bytes = b"") -> None:
        self.heard: list[bytearray] = []
        self.port = 0
        self._to, self._says = to, says
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        heard = bytearray()
        self.heard.append(heard)
        writer.write(self._says)
        back = None
        try:
            onward = None
            if self._to is not None:
                far, onward = await asyncio.open_connection("127.0.0.1", self._to)
                back = asyncio.create_task(_copy(far, writer))
            while data := await reader.read(65_536):
                heard += data
                if onward is not None:
                    onward.write(data)
            if onward is not None:
                onward.close()
        except ConnectionError:
            pass  # the gateway left
        finally:
            if back is not None:
                back.cancel()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@pytest.fixture
async def spare() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, spare: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `c` asks `t` at `https://api.test`, then `m` at `spare`."""
    async with running(tmp_path, spare, retries=1, lookup=lambda _: ["127.0.0.1"]) as run:
        yield run


async def provide(gateway: Running, tmp_path: Path, port: int, **members: Any) -> None:
    bundle = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(bundle)
    await gateway.create("credentials", id="d", type="openai", source=SOURCE)
    base_url = f"https://api.test:{port}/v1"
    where = {"base_url": base_url, "credential_id": "d", "ca_bundle": str(bundle), **members}
    await gateway.create("providers", id="t", type="openai", **where)
    await gateway.create("models", id="t", provider_id="t", provider_model="far")
    await gateway.create("chains", id="c", steps=[{"target": "t"}, {"target": "m"}])


async def breaker(gateway: Running) -> dict[str, Any]:
    detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    [found] = [target["breaker"] for target in detail["targets"] if target["provider_model"] == "far"]
    state: dict[str, Any] = found
    return state


async def check(gateway: Running, wire: Wire, code: str, figure: Record, fault: str) -> None:
    """Ask alone and through the chain, until the breaker has opened; look at everything that went over the wire."""
    alone = await gateway.chat(PROMPT, model="t")
    assert (502, code) == (alone.status_code, alone.json()["error"]["code"])
    assert "provider" == alone.headers["x-switchgear-error-source"]
    for words in ("certificate", "SSL", "ssl", "api.test", "127.0.0.1", "ca.pem"):
        assert words not in alone.text
    record = await gateway.usage_of(alone.headers["x-request-id"])
    assert ("upstream_error", code.removeprefix("upstream_")) == (record["outcome"], record["cause"])
    assert record["input_tokens"] is None, "nothing was sent, so nothing is charged"
    slowest = 0.0
    for stream in (False, True, False):
        answer = await gateway.chat(PROMPT, model="c", stream=stream)
        assert (200, "m") == (answer.status_code, answer.headers["x-switchgear-model"])
        slowest = max(slowest, answer.elapsed.total_seconds())
    while (await breaker(gateway))["state"] == "closed":
        assert len(wire.heard) < 20
        await gateway.chat(PROMPT, model="c")
    tried = len(wire.heard)
    for _ in range(5):
        assert "1" == (await gateway.chat(PROMPT, model="c")).headers["x-switchgear-attempts"]
    assert tried == len(wire.heard), "an open breaker spares it"
    assert all(heard[:1] == b"\x16" for heard in wire.heard), "every connection begins with a handshake record"
    sent = b"".join(wire.heard)
    clear = sum(sent.count(canary.encode()) for canary in (PROVIDER_KEY, PROMPT, "POST ", "HTTP/1.1"))
    assert 0 == clear
    figure(ROW, f"{fault}: requests sent in clear", f"{clear} over {tried} connections", "0")
    figure(ROW, f"{fault}: slowest answer of the next target", f"{slowest * 1e3:.0f} ms")


@pytest.mark.parametrize("made", [expired, not_yet_valid, of_another_name, of_a_stranger, of_tls_1_0])
async def test_a_certificate_or_version_that_is_refused(
    gateway: Running, tmp_path: Path, figure: Record, made: Callable[[], ssl.SSLContext]
) -> None:
    async with FaultUpstream(tls=made()) as far, Wire(far.port).open() as wire:
        await provide(gateway, tmp_path, wire.port)
        await check(gateway, wire, "upstream_connect", figure, made.__name__.replace("_", " "))
        assert [] == far.ledger.entries, "no request was sent"


@pytest.mark.parametrize(
    ("says", "code"),
    [(b"", "upstream_connect_timeout"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "upstream_connect")],
    ids=["stalls", "speaks plain HTTP"],
)
async def test_a_handshake_that_does_not_come_about(
    gateway: Running, tmp_path: Path, figure: Record, says: bytes, code: str
) -> None:
    async with Wire(None, says).open() as wire:
        patience = {} if says else {"timeouts": {"connect": STALLED_S}}
        await provide(gateway, tmp_path, wire.port, **patience)
        await check(
            gateway, wire, code, figure, "plain HTTP on the port" if says else f"handshake stalls for {STALLED_S} s"
        )


async def test_a_certificate_that_is_good_is_taken(gateway: Running, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(FaultUpstream(tls=good()))
        wire = await stack.enter_async_context(Wire(far.port).open())
        await provide(gateway, tmp_path, wire.port)
        assert 200 == (await gateway.chat(PROMPT, model="t")).status_code
        assert PROMPT == json.loads(far.ledger[0].body)["messages"][0]["content"]
        assert PROMPT.encode() not in b"".join(wire.heard)
