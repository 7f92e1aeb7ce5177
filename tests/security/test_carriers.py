"""Ways in which something may look like credentials: only the three that are documented count, on both sides."""

import asyncio

import pytest

from support.gateway import ADMIN_KEY, Running
from support.shared import gateway, shared_upstream

__all__ = ["gateway", "shared_upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b'{"model":"echo","messages":[{"role":"user","content":"x"}]}'
GOOD = ["Authorization: Bearer {key}", "authorization: bearer {key}", "X-Api-Key: {key}", "api-key: {key}"]
BAD = [
    "", "Authorization: {key}", "Authorization: Bearer", "Authorization: Bearer ", "Authorization: Basic {key}",
    "Authorization: Bearer{key}", "Authorization: Bearer wrong", "Authorization: Token {key}", "Authorization: Bearer {key}x",
    "Authorization: Bearer {key}\r\nAuthorization: Bearer wrong", "Authorization: Bearer wrong\r\nx-api-key: {key}",
    'Authorization: Bearer "{key}"', "Authorization: Bearer {key},{key}", "Authorization: Bearer {upper}",
    "Proxy-Authorization: Bearer {key}", "X-Forwarded-Authorization: Bearer {key}", "X-Authorization: Bearer {key}",
    "Cookie: api_key={key}; token={key}", "X-Api-Token: {key}", "X-Goog-Api-Key: {key}", "Ocp-Apim-Subscription-Key: {key}",
    "X-Original-URL: /live", "X-Forwarded-For: 127.0.0.1", "Sec-WebSocket-Protocol: openai-insecure-api-key.{key}",
    "x-api-key: wrong", "x-api-key: ", "api-key: {key}x",
]  # fmt: skip
PATHS = ["/v1/chat/completions?api_key={key}", "/v1/chat/completions?key={key}&access_token={key}"]


async def status(port: int, method: str, path: str, lines: str, body: bytes = b"") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    writer.write(head.encode() + (f"{lines}\r\n".encode() if lines else b"") + b"\r\n" + body)
    answer = await reader.read(-1)
    writer.close()
    return int(answer[9:12])


@pytest.mark.parametrize(("side", "inside"), [("/v1/chat/completions", 200), ("/admin/v1/models", 200)])
async def test_only_what_is_documented_lets_anybody_in(gateway: Running, side: str, inside: int) -> None:
    key = gateway.key if side.startswith("/v1") else ADMIN_KEY
    method, body = ("POST", BODY) if side.startswith("/v1") else ("GET", b"")

    async def ask(lines: str, path: str = side) -> int:
        said = lines.format(key=key, upper=key.upper())
        return await status(gateway.port, method, path.format(key=key), said, body)

    assert {inside} == {await ask(lines) for lines in GOOD}
    assert dict.fromkeys(BAD, 401) == {lines: await ask(lines) for lines in BAD}
    if side.startswith("/v1"):
        assert [401, 401] == [await ask("", path) for path in PATHS]


async def test_keys_of_one_side_do_not_open_the_other(gateway: Running) -> None:
    assert 401 == await status(gateway.port, "POST", "/v1/chat/completions", f"x-api-key: {ADMIN_KEY}", BODY)
    assert 403 == await status(gateway.port, "GET", "/admin/v1/models", f"x-api-key: {gateway.key}")


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/echo", "/admin/v1/usage", "/admin/v1/openapi", "/health/detailed"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "TRACE", "PROPFIND"])
async def test_nothing_is_told_to_whoever_has_no_key(gateway: Running, path: str, method: str) -> None:
    assert await status(gateway.port, method, path, "") in (401, 404, 405)
