"""One request is one request to the gateway and to the proxy before it: no body is ever served as a request of its own."""

import asyncio
from pathlib import Path

import pytest

from security import proxies
from support.gateway import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BODY = b'{"model":"smuggled","messages":[{"role":"user","content":"x"}]}'


def inner(key: str) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return head.encode() + BODY


def framings(hidden: bytes) -> dict[str, bytes]:
    """Return requests whose bodies hold another one, framed so that two readers may differ over where it ends."""
    size, chunk = b"%d" % len(hidden), b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    end = b"0\r\n\r\n" + hidden
    lines = {
        "length and chunked": (b"Content-Length: %b\r\nTransfer-Encoding: chunked" % size, end),
        "chunked and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5", end),
        "length 0 and chunked": (b"Content-Length: 0\r\nTransfer-Encoding: chunked", chunk),
        "two lengths": (b"Content-Length: 0\r\nContent-Length: %b" % size, hidden),
        "two lengths turned": (b"Content-Length: %b\r\nContent-Length: 0" % size, hidden),
        "list of lengths": (b"Content-Length: 0, %b" % size, hidden),
        "same length twice": (b"Content-Length: %b\r\nContent-Length: %b" % (size, size), hidden),
        "signed length": (b"Content-Length: +0", hidden),
        "length in hex": (b"Content-Length: 0x0", hidden),
        "length with a blank": (b"Content-Length : %b" % size, hidden),
        "length behind a tab": (b"Content-Length:\t0", hidden),
        "negative length": (b"Content-Length: -1", hidden),
        "long length": (b"Content-Length: 00000000000000000000000000000000000", hidden),
        "xchunked": (b"Transfer-Encoding: xchunked", end),
        "chunked and identity": (b"Transfer-Encoding: chunked, identity", end),
        "identity and chunked": (b"Transfer-Encoding: identity, chunked", end),
        "two encodings": (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", end),
        "two encodings turned": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", end),
        "encoding with a blank": (b"Transfer-Encoding : chunked", end),
        "encoding behind a tab": (b"Transfer-Encoding:\tchunked", end),
        "encoding behind a vertical tab": (b"Transfer-Encoding:\x0bchunked", end),
        "quoted encoding": (b'Transfer-Encoding: "chunked"', end),
        "folded encoding": (b"Transfer-Encoding:\r\n chunked", end),
        "folded into another": (b"X: y\r\n Transfer-Encoding: chunked", end),
        "upper case": (b"TRANSFER-ENCODING: CHUNKED", end),
        "underscore": (b"Transfer_Encoding: chunked\r\nContent-Length: %b" % size, hidden),
        "bare line feed": (b"X: y\nTransfer-Encoding: chunked", end),
        "bare carriage return": (b"X: y\rTransfer-Encoding: chunked", end),
        "null": (b"X: y\0\r\nTransfer-Encoding: chunked", end),
        "chunk extension": (b"Transfer-Encoding: chunked", b"0;x=" + b"y" * 20 + b"\n\r\n" + hidden),
        "chunk extension with a line": (b"Transfer-Encoding: chunked", b"1;\nx\r\n0\r\n\r\n" + hidden),
        "chunk size with a sign": (b"Transfer-Encoding: chunked", b"+0\r\n\r\n" + hidden),
        "chunk size with 0x": (b"Transfer-Encoding: chunked", b"0x0\r\n\r\n" + hidden),
        "chunk size too long": (b"Transfer-Encoding: chunked", b"1" + b"0" * 16 + b"\r\n" + hidden),
        "chunk without its line": (b"Transfer-Encoding: chunked", b"1\r\nx0\r\n\r\n" + hidden),
        "chunk ended by a line feed": (b"Transfer-Encoding: chunked", b"0\n\n" + hidden),
        "trailer of framing": (b"Transfer-Encoding: chunked", b"0\r\nContent-Length: %b\r\n\r\n" % size + hidden),
        "upgrade": (b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %b" % size, hidden),
        "expectation": (b"Expect: 100-continue\r\nContent-Length: %b" % size, hidden),
    }
    found = {}
    for name, (head, body) in lines.items():
        found[name] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body
    found["body of a GET"] = b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n" % size + hidden
    found["HTTP/1.0"] = b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + end
    found["HTTP/0.9"] = b"GET /live\r\n" + hidden
    found["line in the target"] = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n HTTP/1.1\r\n" + hidden
    return found


FRAMED = {
    "upper case", "length behind a tab", "encoding behind a tab", "long length",
}  # fmt: skip
"""Of these everybody agrees that the request has ended, so that what follows is the next (RFC 9112, section 6)."""


async def talk(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        answer = b""
        async with asyncio.timeout(2):
            while piece := await reader.read(65_536):
                answer += piece
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return answer


@pytest.mark.parametrize("proxy", ["alone", *proxies.wanted()])
async def test_no_body_is_served_as_a_request(gateway: Running, tmp_path: Path, proxy: str) -> None:
    """What the gateway has served, a client has been answered: where they differ, somebody else would get the answer."""
    cases = framings(inner(gateway.key))
    async with proxies.behind(proxy, tmp_path, gateway.port) as port:
        answers = await asyncio.gather(*(talk(port, data) for data in cases.values()))
        alive = await talk(port, b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"200" == alive[9:12]
    answered = {name for name, answer in zip(cases, answers, strict=True) if b"model_not_found" in answer}
    served = await gateway.usage(model="smuggled")
    assert len(answered) == len(served)
    if proxy == "alone":  # proxies are laxer, and write anew what they have read
        assert FRAMED == answered
    assert [] == [answer for answer in answers if b"HTTP/1.1 500" in answer]


@pytest.mark.parametrize("proxy", proxies.wanted())
async def test_what_a_proxy_forbids_has_no_other_spelling(gateway: Running, tmp_path: Path, proxy: str) -> None:
    paths = [
        "/metrics", "//metrics", "/%6detrics", "/metrics/", "/metrics%2f", "/./metrics", "/x/../metrics", "/METRICS",
        "/metrics;x", "/metrics%00", "/%2fmetrics", "/x/%2e%2e/metrics", "/admin/v1/models", "//admin/v1/models",
        "/%61dmin/v1/models", "/x/../admin/v1/models", "/health/detailed", "/health/detailed/", "//health/detailed",
        "/health//detailed", "/health/%64etailed", "http://x/metrics", "*",
    ]  # fmt: skip
    admin = gateway.admin.headers["authorization"]
    async with proxies.behind(proxy, tmp_path, gateway.port) as port:
        for path in paths:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {admin}\r\nConnection: close\r\n\r\n"
            answer = await talk(port, head.encode())
            assert b"HTTP/1.1 200" not in answer, (path, answer[:300])
        assert 200 == (await gateway.http.get("/metrics")).status_code
