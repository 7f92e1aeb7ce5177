"""No address that somebody writes leads to the inside: neither a provider's, nor its proxy's, nor where tokens are traded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.gateway import SOURCE, Running, running

HOSTS = [
    "127.0.0.1", "localhost", "localhost.", "LOCALHOST", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1",
    "0177.0.0.1", "017700000001", "127.0.0.1.", "127.255.255.254", "127.0.0.53", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]",
    "[fe80::1%25lo]", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255", "a@127.0.0.1", "127.0.0.1@8.8.8.8:80@127.0.0.1",
    "8.8.8.8\\@127.0.0.1",
    "127。0。0。1", "①②⑦.⓪.⓪.①", "127.0.0.1%00.example.com", "127.0.0.1\t", "inside.test", "mixed.test", "mapped.test",
    "alias.test", "rebinding.test",
]  # fmt: skip
"""`inside.test` and those behind it are names: of an inside address, of one beside a public one, of a mapped one, of several, and
one that is another address each time.
"""
NAMES = {
    "inside.test": ["127.0.0.1"],
    "mixed.test": ["8.8.8.8", "127.0.0.1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "alias.test": ["::1", "127.0.0.1"],
}


class Inside:
    """Listens on loopback, IPv4 and IPv6, on one port, and counts who comes."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Inside"]:
        async with AsyncExitStack() as stack:
            for host in ("127.0.0.1", "::1"):
                server = await asyncio.start_server(self._visit, host, self.port)
                self.port = server.sockets[0].getsockname()[1]
                stack.callback(server.close)
            yield self

    async def _visit(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with Inside().open() as found:
        yield found


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """Nothing is allowed but public addresses; names that are not listed are as the system knows them."""
    asked: dict[str, int] = {}

    def lookup(name: str) -> list[str]:
        asked[name] = asked.get(name, 0) + 1
        if name == "rebinding.test":
            return ["192.0.2.1"] if asked[name] == 1 else ["127.0.0.1"]
        return NAMES.get(name, ["127.0.0.1"])

    environ = {"SWITCHGEAR__GATEWAY__EGRESS__ALLOW": "[]", "SWITCHGEAR__GATEWAY__TIMEOUTS__CONNECT": "1"}
    plugins = "azure_openai = { enabled = true }\ngigachat = { enabled = true }\nvertex = { enabled = true }"
    async with running(tmp_path, plugins=plugins, lookup=lookup, environ=environ) as run:
        await run.create("credentials", id="c", type="openai_compatible", source=SOURCE)
        yield run


async def ask(gateway: Running, number: int, **provider: Any) -> list[int]:
    """Make a provider, ask for its models and have it answer; return the statuses of those that were possible."""
    id = f"p{number}"
    made = await gateway.admin.post("/providers", json={"id": id, **provider})
    if made.status_code != 201:
        assert 422 == made.status_code, made.text
        return [422]
    listed = await gateway.admin.get(f"/providers/{id}/models")
    called = await gateway.chat(model=f"{id}/m")
    return [201, listed.status_code, called.status_code]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_an_address_leads_inside(gateway: Running, inside: Inside, scheme: str) -> None:
    found = {}
    for number, host in enumerate(HOSTS):
        url = f"{scheme}://{host}:{inside.port}/v1"
        found[host] = await ask(gateway, number, type="openai_compatible", base_url=url)
    assert 0 == inside.visits
    assert {(422,), (201, 502, 502)} == {tuple(statuses) for statuses in found.values()}, found


async def test_no_proxy_is_inside(gateway: Running, inside: Inside) -> None:
    for number, host in enumerate(HOSTS):
        proxy = f"http://{host}:{inside.port}"
        statuses = await ask(gateway, number, type="openai_compatible", base_url="https://8.8.8.8/v1", proxy=proxy)
        assert statuses in ([422], [201, 502, 502]), host
    assert 0 == inside.visits


@pytest.mark.parametrize(
    "scheme", ["file", "gopher", "dict", "ftp", "unix", "ws", "javascript", "data", "http+unix", ""]
)
async def test_only_the_web_is_called(gateway: Running, inside: Inside, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{inside.port}/v1"
    assert [422] == await ask(gateway, 0, type="openai_compatible", base_url=url)
    assert 0 == inside.visits


async def test_tokens_are_not_traded_inside(gateway: Running, inside: Inside) -> None:
    there = f"127.0.0.1:{inside.port}"
    values = {
        "azure_openai": {"tenant_id": "t", "client_id": "c", "client_secret": "secret-of-the-client"},
        "gigachat": {"auth_key": "bm90OmtleQ=="},
    }
    settings = {"azure_openai": {"authority": f"https://{there}"}, "gigachat": {"auth_url": f"https://{there}/oauth"}}
    for number, type in enumerate(values):
        source = {"backend": "encrypted", "values": values[type]}
        await gateway.create("credentials", id=type.replace("_", "-"), type=type, source=source)
        statuses = await ask(
            gateway,
            number,
            type=type,
            base_url="https://8.8.8.8/v1",
            credential_id=type.replace("_", "-"),
            settings=settings[type],
        )
        assert statuses == [422] or set(statuses[1:]) <= {502, 503}, (type, statuses)
        await gateway.admin.post(f"/credentials/c{number}/test", json={})
    assert 0 == inside.visits


async def test_the_test_of_a_credential_does_not_lead_inside(gateway: Running, inside: Inside) -> None:
    url = f"http://localhost:{inside.port}/v1"
    await gateway.create("providers", id="t", type="openai_compatible", base_url=url, credential_id="c")
    answer = await gateway.admin.post("/credentials/c/test", json={})
    assert (200, False) == (answer.status_code, answer.json()["ok"])
    assert 0 == inside.visits


async def test_the_way_inside_is_open_where_it_is_allowed(tmp_path: Path, inside: Inside) -> None:
    """The listeners would have been reached."""
    async with running(tmp_path) as gateway:
        for number, host in enumerate(("127.0.0.1", "localhost", "127.1", "2130706433")):
            await ask(gateway, number, type="openai_compatible", base_url=f"http://{host}:{inside.port}/v1")
    assert inside.visits >= 4
