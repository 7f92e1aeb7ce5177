"""WebSockets on the data plane, opened by a client that many use."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from support.distributions import installed
from support.gateway import Running, eventually, running

DOORS = Path(__file__).parents[2] / "contrib" / "examples" / "doors" / "switchgear_doors.py"
PROBE = """
    import asyncio
    import msgspec
    from switchgear import Offer
    from switchgear.contracts.dialect import WebSocketRoute

    SEEN = []

    class Sockets(switchgear.Plugin):
        api = 1
        name = "sockets"
        request_id_header = None
        retry_count_header = b""
        inference = ()

        def switchgear_dialects(self):
            return [Offer("sockets", lambda: self)]

        def error(self, error, request_id):
            return msgspec.json.encode({"code": error.code})

        @property
        def routes(self):
            return (
                WebSocketRoute("/ws/open/{name}", self.open, open_to="everybody", subprotocols=("b", "a")),
                WebSocketRoute("/ws/closed", self.open, action="read", kind="secrets"),
                WebSocketRoute("/ws/bug", self.bug, open_to="everybody"),
                WebSocketRoute("/ws/deaf", self.deaf, open_to="everybody"),
                WebSocketRoute("/ws/count", self.count, open_to="everybody"),
            )

        async def open(self, request, socket):
            await socket.send(f"{request.params['name']} {socket.subprotocol} {request.query.get('q')}")
            async for message in socket:
                await socket.send(message)
            SEEN.append("over")

        async def bug(self, request, socket):
            raise RuntimeError("a secret")

        async def deaf(self, request, socket):
            try:
                await asyncio.sleep(60)
            finally:
                SEEN.append("ended")

        async def count(self, request, socket):
            count = 0
            async for message in socket:
                count += len(message)
                if message == "?":
                    await socket.send(str(count))
                if message == "!":
                    await socket.close(4001, "as you say")
"""


@asynccontextmanager
async def opened(tmp_path: Path, gateway: str = "") -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("doors", {"doors": "Doors"}, DOORS.read_text(), module="switchgear_doors")
        site.add("sockets", {"sockets": "Sockets"}, PROBE)
        plugins = "doors = { enabled = true }\nsockets = { enabled = true }"
        async with running(tmp_path, plugins=plugins, gateway=gateway) as run:
            yield run


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with opened(tmp_path) as run:
        yield run


def client(gateway: Running, path: str, *, key: str | None = None, **options) -> connect:
    headers = {"authorization": f"Bearer {gateway.key if key is None else key}"} if key != "" else {}
    headers |= options.pop("headers", {})
    return connect(f"ws://127.0.0.1:{gateway.port}{path}", additional_headers=headers, proxy=None, **options)


def seen() -> list[str]:
    return sys.modules["sockets"].SEEN


async def test_messages_go_both_ways_and_the_session_has_a_record(gateway: Running) -> None:
    async with client(gateway, "/doors/echo") as socket:
        assert "hello tests" == (await socket.recv()).partition("-")[0]
        for message in ("", "héllo", b"\x00\xff", "x" * 300_000):
            await socket.send(message)
            assert message == await socket.recv()
        await socket.send(["a", "b", "c"])
        assert "abc" == await socket.recv()
        await (await socket.ping())
        request_id = socket.response.headers["x-request-id"]
        assert 1 == gateway.gateway.exchanges_in_flight
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    assert 1000 == socket.close_code
    record = await gateway.usage_of(request_id)
    assert {"operation": "echo", "outcome": "complete", "status": 101}.items() <= record.items()


async def test_who_may_not_is_refused_before_it_is_open(gateway: Running) -> None:
    for path, key, status in (("/doors/echo", "", 401), ("/ws/closed", None, 403), ("/ws/none", None, 404)):
        with pytest.raises(InvalidStatus) as refused:
            await client(gateway, path, key=key).__aenter__()
        assert status == refused.value.response.status_code
    plain = await gateway.http.get("/ws/closed", headers=gateway.auth)
    assert 405 == plain.status_code


async def test_limits_count_open_sockets(gateway: Running) -> None:
    _, key = await gateway.new_key(limits={"concurrent_requests": 1})
    async with client(gateway, "/doors/echo", key=key):
        with pytest.raises(InvalidStatus) as refused:
            await client(gateway, "/doors/echo", key=key).__aenter__()
        assert 429 == refused.value.response.status_code
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    async with client(gateway, "/doors/echo", key=key) as socket:
        assert await socket.recv()


async def test_path_query_and_subprotocol_reach_the_handler(gateway: Running) -> None:
    async with client(gateway, "/ws/open/me?q=1", key="", subprotocols=["a", "b"]) as socket:
        assert "me b 1" == await socket.recv()
        assert "b" == socket.subprotocol
    async with client(gateway, "/ws/open/me", key="", subprotocols=["z"]) as socket:
        assert "me None None" == await socket.recv()


@pytest.mark.parametrize(
    ("cors", "origin", "is_open"),
    [
        ("", None, True),
        ("", "http://127.0.0.1:{port}", True),
        ("", "https://evil.example", False),
        ('[gateway.cors]\norigins = ["https://app.example"]', "https://app.example", True),
        ('[gateway.cors]\norigins = ["https://app.example"]', "https://evil.example", False),
        ('[gateway.cors]\norigins = ["*"]', "https://evil.example", True),
    ],
)
async def test_pages_of_other_origins_open_nothing(
    tmp_path: Path, cors: str, origin: str | None, *, is_open: bool
) -> None:
    async with opened(tmp_path, cors) as gateway:
        headers = {} if origin is None else {"origin": origin.format(port=gateway.port)}
        made = client(gateway, "/ws/open/x", headers=headers)
        if is_open:
            async with made as socket:
                assert await socket.recv()
        else:
            with pytest.raises(InvalidStatus) as refused:
                await made.__aenter__()
            assert 403 == refused.value.response.status_code


async def test_a_message_is_bounded_whole_and_in_pieces(tmp_path: Path) -> None:
    async with opened(tmp_path, "[gateway.edge]\nmessage_bytes = 1000") as gateway:
        for message in ("x" * 1001, ["x" * 600] * 2):
            async with client(gateway, "/ws/open/x") as socket:
                await socket.recv()
                await socket.send("y" * 1000)
                assert "y" * 1000 == await socket.recv()
                await socket.send(message)
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert 1009 == socket.close_code


async def test_what_is_no_proper_frame_closes(gateway: Running) -> None:
    async with client(gateway, "/ws/open/x") as socket:
        await socket.recv()
        socket.transport.write(b"\xff\xff\xff\xff")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert 1002 == socket.close_code
    async with client(gateway, "/ws/open/x") as socket:
        await socket.recv()
        socket.protocol.send_frame(__import__("websockets").frames.Frame(Opcode.TEXT, b"\xff"))
        socket.send_data()
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert 1007 == socket.close_code


async def test_a_handler_that_fails_or_closes_says_how(gateway: Running) -> None:
    async def code(socket: ClientConnection) -> tuple[int, str]:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        return socket.close_code, socket.close_reason

    async with client(gateway, "/ws/bug") as socket:
        number, reason = await code(socket)
        assert 1011 == number
        assert "secret" not in reason
    async with client(gateway, "/ws/count") as socket:
        await socket.send("!")
        assert (4001, "as you say") == await code(socket)
    id, key = await gateway.new_key()
    async with client(gateway, "/doors/echo", key=key) as socket:
        await socket.recv()
        await gateway.act(f"/api-keys/{id}/revoke")
        assert 1008 == (await code(socket))[0]


async def test_a_client_that_is_cut_off_ends_its_handler(gateway: Running) -> None:
    socket = await client(gateway, "/ws/deaf").__aenter__()
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 1)
    socket.transport.abort()
    await eventually(lambda: seen() == ["ended"])
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)


async def test_a_client_that_is_not_heard_is_given_up_and_one_that_answers_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, "[gateway.edge]\nsocket_idle = 0.6") as gateway:
        async with client(gateway, "/ws/open/x") as alive:
            await alive.recv()
            silent = await client(gateway, "/ws/open/x").__aenter__()
            await silent.recv()
            silent.transport.pause_reading()
            await eventually(lambda: seen() == ["over"])
            await asyncio.sleep(0.7)
            await alive.send("still here")
            assert "still here" == await alive.recv()
        silent.transport.abort()


async def test_a_handler_that_does_not_read_holds_its_client_up(gateway: Running) -> None:
    socket = await client(gateway, "/ws/deaf").__aenter__()

    async def flood() -> None:
        while True:
            await socket.send(b"x" * 100_000)

    flooding = asyncio.create_task(flood())
    done, _ = await asyncio.wait({flooding}, timeout=1.0)
    assert not done
    [task] = [
        it for it in gateway.gateway._overload._tasks if "deaf" in repr(it.get_coro().cr_frame.f_locals["self"].path)
    ]
    held = task.get_coro().cr_frame.f_locals["self"].socket._held
    assert held < 1_000_000
    flooding.cancel()
    socket.transport.abort()


async def test_open_sockets_are_told_when_the_gateway_stops(tmp_path: Path) -> None:
    async with opened(tmp_path) as gateway:
        socket = await client(gateway, "/ws/open/x").__aenter__()
        deaf = await client(gateway, "/ws/deaf").__aenter__()
        await socket.recv()
    for one in (socket, deaf):
        with pytest.raises(ConnectionClosed):
            await one.recv()
        assert 1001 == one.close_code


async def test_where_none_is_served_the_wish_is_passed_over(gateway: Running) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket", **gateway.auth}
    answer = await gateway.http.get("/v1/models", headers=headers)
    assert 200 == answer.status_code
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    assert 200 == (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).status_code
    bad = await gateway.http.get("/ws/open/x", headers=headers)
    assert (400, "invalid_handshake") == (bad.status_code, bad.json()["code"])
