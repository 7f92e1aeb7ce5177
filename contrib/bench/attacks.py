"""Benchmark of a gateway under attack: its memory, `/live`, and the latency of another key. See README.md beside this file.

python contrib/bench/attacks.py --seconds 10 --attackers 6,60,1000
"""

import argparse
import asyncio
import http.client
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, cast

import msgspec
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # support.process: servers as child processes

import upstream
from contenders.base import Options
from contenders.switchgear import OfTree
from trees import THIS, Tree

from support.ports import free_port
from support.process import Child, Server

MIB = 1024 * 1024
LARGEST = 32 * MIB
PIECE = 256 * 1024
LARGE_KEYS = 20
PAUSE_S = 0.01
HEAVY = b"held-back"
"""A model by this name at the provider is answered a second after it was asked, so that what was sent is held meanwhile."""
HEAVY_S = 1.0


class Plan(msgspec.Struct, frozen=True):
    """What attackers are told."""

    attack: str
    port: int
    count: int
    seconds: float
    keys: list[str]


class Found(msgspec.Struct):
    """What one attack did."""

    attack: str
    attackers: int
    answers: dict[str, int]
    before_mb: float
    peak_mb: float
    after_mb: float
    live_p99_ms: float
    live_most_ms: float
    p50_ms: float
    p99_ms: float
    usual_p99_ms: float
    disk_kb: float


# The attackers: a process of their own


def ask(length: int, head: bytes, filler: Callable[[int], bytes]) -> bytes:
    """Make a body of JSON with so many bytes of filling."""
    end = b"}"
    return head + filler(length - len(head) - len(end)) + end


def _text(size: int) -> bytes:
    return b'"stop":"' + b"x" * (size - 9) + b'"'


def _members(size: int) -> bytes:
    made = b",".join(b'"%x":1' % number for number in range(size // 9))
    return made[:size].rpartition(b",")[0].ljust(size)


def _model(name: bytes) -> bytes:
    return b'{"model":"' + name + b'","messages":[{"role":"user","content":"x"}],'


BODIES: dict[str, Callable[[], bytes]] = {
    "large": lambda: ask(LARGEST, _model(b"heavy"), _text),
    "letters": lambda: ask(
        LARGEST, _model(b"heavy"), lambda size: '"stop":"€'.encode() + b"\\n" * ((size - 12) // 2) + b'"'
    ),
    "members": lambda: ask(29 * MIB, _model(b"heavy"), _members),
    "members-poor": lambda: ask(29 * MIB, _model(b"heavy"), _members),
    "trickle": lambda: ask(LARGEST, _model(b"heavy"), _text),
    "trickle-poor": lambda: ask(LARGEST, _model(b"heavy"), _text),
    "names": lambda: ask(4 * MIB, _model(b"z" * (4 * MIB - 200)), _text),
    "unread": lambda: b"",
    "open": lambda: b"",
}
_CODE, _QUOTE = b'"code":"', b'"'
POOR = {"permissions": {"models": []}, "limits": {"requests_per_minute": 1, "concurrent_requests": 1}}
STRANGE = {"permissions": {"models": ["none-of-these"]}}
RICH = {"permissions": {"models": ["*"]}}
KEYS: dict[str, tuple[int, dict[str, Any]]] = {
    "large": (LARGE_KEYS, RICH), "letters": (LARGE_KEYS, RICH), "members": (LARGE_KEYS, RICH), "members-poor": (1, POOR),
    "trickle": (LARGE_KEYS, RICH), "trickle-poor": (1, POOR), "names": (1, STRANGE), "unread": (0, {}), "open": (0, {}),
}  # fmt: skip
"""How many keys an attack has, and what these may do."""
OPEN = ("/metrics", "/health", "/docs", "/openapi.json")


class Attack:
    """So many clients of ill will."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._body = memoryview(BODIES[plan.attack]())
        self._until = time.monotonic() + plan.seconds
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        how = {"unread": self._unread, "open": self._open, "trickle": self._trickle, "trickle-poor": self._trickle}
        act = how.get(self._plan.attack, self._send)
        await asyncio.gather(*(self._again_and_again(act, number) for number in range(self._plan.count)))

    async def _again_and_again(self, act: Callable[[int], Awaitable[None]], number: int) -> None:
        while self._left() > 0:
            try:
                async with asyncio.timeout(self._left() + 5):
                    await act(number)
            except (OSError, TimeoutError) as error:
                self.answers[type(error).__name__] += 1
            await asyncio.sleep(PAUSE_S)

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _head(self, number: int) -> bytes:
        key = self._plan.keys[number % len(self._plan.keys)]
        lines = ("POST /v1/chat/completions HTTP/1.1", "host: x", f"authorization: Bearer {key}")
        return "\r\n".join((*lines, f"content-length: {len(self._body)}", "", "")).encode()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._plan.port)

    async def _send(self, number: int, most: int = 1 << 40) -> None:
        reader, writer = await self._connect()
        answer = asyncio.ensure_future(self._answer(reader))
        try:
            writer.write(self._head(number))
            for at in range(0, min(len(self._body), most), PIECE):
                if answer.done():
                    break
                writer.write(self._body[at : at + PIECE])
                await writer.drain()
            if most < len(self._body):
                while not answer.done() and self._left() > 0:
                    writer.write(b"x" * 150)
                    await asyncio.sleep(0.1)
                if not answer.done():
                    self.answers["held"] += 1
                    return
            self.answers[await answer] += 1
        except ConnectionError:
            self.answers[await answer] += 1
        finally:
            answer.cancel()
            writer.transport.abort()

    async def _trickle(self, number: int) -> None:
        await self._send(number, len(self._body) - 300_000)

    async def _answer(self, reader: asyncio.StreamReader) -> str:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read(65_536)
        return told(head[9:12].decode(), body)

    async def _unread(self, _: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", self._plan.port))
            await loop.sock_sendall(sock, b"GET /docs/rapidoc-min.js HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(max(0, self._left()))
        self.answers["unread"] += 1

    async def _open(self, number: int) -> None:
        reader, writer = await self._connect()
        path = OPEN[number % len(OPEN)]
        for _ in range(8):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        for _ in range(8):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            self.answers[head[9:12].decode()] += 1
        writer.transport.abort()


# The provider: a process of its own


class Provider(asyncio.Protocol):
    """Passes over what it is sent, and answers."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer = upstream.Replies(1, 10).plain
        self._seen, self._left, self._wait_s = b"", 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._seen += data
            head, found, body = self._seen.partition(b"\r\n\r\n")
            if not found or len(body) < 100:
                return
            self._left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            self._wait_s = HEAVY_S if HEAVY in body[:200] else 0.0
            self._seen, data = b"", body
        self._left -= len(data)
        if not self._left:
            self._loop.call_later(self._wait_s, self.transport.write, self._answer)


async def provide(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


# The others, who are measured


class Others:
    """The clients that are measured: one that calls with a key of its own, and one that asks `/live`."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._over = threading.Event()
        self.calls: list[float] = []
        self.lives: list[float] = []
        self.failed: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._call, self.calls)),
            threading.Thread(target=self._repeat, args=(self._live, self.lives)),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, act: Callable[[http.client.HTTPConnection], str], spent: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            begun = time.perf_counter()
            try:
                status = act(connection)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failed[type(error).__name__] += 1
                continue
            spent.append((time.perf_counter() - begun) * 1000)
            if status != "200":
                self.failed[status] += 1
            self._over.wait(PAUSE_S)
        connection.close()

    def _call(self, connection: http.client.HTTPConnection) -> str:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "How are you today?" * 10}]})
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {self._key}"})
        return _read(connection)

    def _live(self, connection: http.client.HTTPConnection) -> str:
        connection.request("GET", "/live")
        return _read(connection)


def _read(connection: http.client.HTTPConnection) -> str:
    answer = connection.getresponse()
    return told(str(answer.status), answer.read())


def told(status: str, body: bytes) -> str:
    """Say how a request was answered: the status, and of an error its code."""
    return f"{status} {body.partition(_CODE)[2].partition(_QUOTE)[0].decode()}".strip()


def share(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] if times else float("inf")


class Bench:
    """One gateway, attacked in one way after the other."""

    def __init__(self, tree: Tree, home: Path) -> None:
        self._contender = OfTree(Options(), tree)
        self._home = home
        self._up = free_port()
        self._provider = Child([sys.executable, __file__, "--provide", str(self._up)])
        self._contender.install(home)
        launch = self._contender.launch(free_port(), "", home)
        port = int(launch.argv[launch.argv.index("--port") + 1])
        self._gateway = Server(launch.argv, port=port, env={**os.environ, **launch.env}, cwd=home)

    def __enter__(self) -> Self:
        self._provider.start()
        self._provider.first_line()
        self._gateway.start()
        self._gateway.wait_ready()
        self._contender.provision(self._gateway.url, f"http://127.0.0.1:{self._up}")
        for name, model in (("m", "quick"), ("heavy", HEAVY.decode())):
            self._admin("models", {"id": name, "provider_id": "bench", "provider_model": model})
        self._key = self._new_key(RICH)
        return self

    def __exit__(self, *_: object) -> None:
        self._gateway.close()
        self._provider.close()

    def _admin(self, kind: str, body: object) -> Any:
        return self._contender.admin(self._gateway.url, kind, body)

    def _new_key(self, members: dict[str, Any]) -> str:
        return str(self._admin("api-keys", {"name": "bench", **members})["key"])

    def usual(self, seconds: float) -> float:
        """Return the other key's p99 without an attack."""
        with Others(self._gateway.port, self._key) as others:
            time.sleep(seconds)
        return share(others.calls, 0.99)

    def attack(self, name: str, count: int, seconds: float, usual_ms: float, rest_s: float) -> Found:
        many, members = KEYS[name]
        plan = Plan(name, self._gateway.port, count, seconds, [self._new_key(members) for _ in range(many)])
        before, disk = self._gateway.rss_bytes(), self._disk()
        self._gateway.forget_peak()
        argv = [sys.executable, __file__, "--attack", msgspec.json.encode(plan).decode()]
        with Child(argv) as attackers, Others(self._gateway.port, self._key) as others:
            attackers.wait(seconds + 60)
            answers = json.loads(attackers.output() or "{}")
        peak, grown = self._gateway.peak_bytes(), self._disk() - disk
        time.sleep(rest_s)
        answers |= {f"another: {what}": many for what, many in others.failed.items()}
        return Found(
            name, count, answers, before / 1e6, peak / 1e6, self._gateway.rss_bytes() / 1e6, share(others.lives, 0.99),
            max(others.lives), share(others.calls, 0.5), share(others.calls, 0.99), usual_ms, grown / 1e3,
        )  # fmt: skip

    def _disk(self) -> int:
        return sum(file.stat().st_blocks * 512 for file in (self._home / "data").rglob("*") if file.is_file())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the gateway while it is attacked.")
    parser.add_argument("--seconds", type=float, default=10, help="of each attack (10)")
    parser.add_argument("--attackers", default="6,60,1000", help="how many at once (6,60,1000)")
    parser.add_argument("--attacks", default=",".join(BODIES), help=f"of {','.join(BODIES)}")
    parser.add_argument("--rest", type=float, default=10, help="seconds before memory is looked at again (10)")
    parser.add_argument(
        "--tree", default="", metavar="[NAME=]PATH", help="the gateway of this checkout or venv instead"
    )
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--provide", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    if chosen.provide:
        uvloop.run(provide(chosen.provide))
    elif chosen.attack:
        attack = Attack(msgspec.json.decode(chosen.attack, type=Plan))
        uvloop.run(attack.run())
        print(json.dumps(attack.answers))
    else:
        _measure(chosen)


def _measure(chosen: argparse.Namespace) -> None:
    found: list[Found] = []
    tree = Tree.of(chosen.tree) if chosen.tree else THIS
    memory, times = f"{'before':>8}{'peak':>6}{'after':>7} MB", f"{'p50':>7}{'p99':>7}{'usual':>7} ms"
    print(f"{'attack':13}{'by':>5}{memory} |{'live p99':>9}{'most':>7} |{times} | disk kB | answers")
    for name in filter(None, chosen.attacks.split(",")):
        for count in map(int, chosen.attackers.split(",")):
            with tempfile.TemporaryDirectory(prefix="attacks-") as home, Bench(tree, Path(home)) as bench:
                usual = bench.usual(chosen.seconds / 2)
                it = bench.attack(name, count, chosen.seconds, usual, chosen.rest)
            found.append(it)
            print(
                f"{it.attack:13}{it.attackers:5}{it.before_mb:8.0f}{it.peak_mb:6.0f}{it.after_mb:7.0f} MB |"
                f"{it.live_p99_ms:9.1f}{it.live_most_ms:7.1f} |{it.p50_ms:7.1f}{it.p99_ms:7.1f}{it.usual_p99_ms:7.1f} ms |"
                f"{it.disk_kb:8.0f} | {it.answers}",
                flush=True,
            )
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)))


if __name__ == "__main__":
    main()
