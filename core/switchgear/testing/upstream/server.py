"""The scripted upstream: a server whose every answer and every fault is chosen by the test."""

import asyncio
import ssl
from collections import deque
from typing import Self

import msgspec

from switchgear.testing.upstream.answer import Ask
from switchgear.testing.upstream.bucket import Bucket
from switchgear.testing.upstream.connection import Connection, Request
from switchgear.testing.upstream.ledger import Entry, Ledger
from switchgear.testing.upstream.reply import Reply, compose, error_object, json_reply
from switchgear.testing.upstream.script import PRESETS, Script


class ScriptedUpstream:
    """An upstream on loopback that does what it is told and keeps a ledger.

    Which script a request gets: its `x-fault` header (a script as JSON), else the next of the queue
    (`script`), else that of its model name (what follows `fault-` in it: `register` or `PRESETS`), else `default`. The
    queue serves POSTs of any path, or the path it was given for. A script with bytes of its own (`body`, `payload`, `events`) is
    played on any path; the others answer in the canonical form of chats and embeddings. Answers depend on `seed` and the request
    body alone.
    """

    def __init__(
        self, *, seed: int = 0, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.seed, self.host, self.port = seed, host, port
        self.ledger = Ledger()
        self.default = Script()
        self.bucket: Bucket | None = None  # what it refuses does not reach the scripts
        self.keep_answers = False
        self.named = dict(PRESETS)
        self.connections: set[Connection] = set()
        self.connections_ever = 0  # without those that only control
        self.failures: list[BaseException] = []
        self._tls = tls
        self._queue: deque[tuple[str | None, Script]] = deque()
        self._server: asyncio.Server | None = None
        self._arrived = self._numbers = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """Where it listens, up to and including the version."""
        return f"{self.url}/v1"

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return sum(not connection.control for connection in self.connections)

    def script(self, *scripts: Script, times: int = 1, path: str | None = None) -> None:
        """Queue scripts for the next requests, each `times` times; `path` is how their path ends."""
        for script in scripts:
            self._queue.extend([(path, script)] * times)

    def register(self, name: str, script: Script) -> str:
        """Give a scenario a name; return the model name that asks for it."""
        self.named[name] = script
        return f"fault-{name}"

    def reset(self) -> None:
        """Forget the ledger, the queue and the registered names. Connections stay."""
        self.ledger.clear()
        self._queue.clear()
        self.named = dict(PRESETS)
        self.default = Script()
        self.bucket = None

    # Life

    async def open_port(self) -> None:
        """Listen, on the port of the last time if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connected, self.host, self.port, ssl=self._tls, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    def close_port(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def drop_connections(self) -> None:
        """Reset every connection, busy or idle."""
        await asyncio.gather(*(connection.stop() for connection in list(self.connections)))

    async def __aenter__(self) -> Self:
        await self.open_port()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_port()
        await self.drop_connections()
        if self.failures:
            raise BaseExceptionGroup("the scripted upstream itself failed", self.failures)

    def _connected(self) -> Connection:
        self.connections_ever += 1
        self._numbers += 1
        return Connection(self, self._numbers)

    # One request

    def admit(self, request: Request, connection: Connection) -> tuple[Script, Entry, Reply]:
        """Enter a request in the ledger and choose its script and reply."""
        self._arrived += 1
        entry = self.entry(request, connection)
        self.ledger.entries.append(entry)
        script, reply = self.answer(request, entry)
        return script, entry, reply

    def entry(self, request: Request, connection: Connection) -> Entry:
        """Make the entry of a request."""
        return Entry(
            id=f"req_{self.port:05d}{self._arrived:011d}",  # unique among all upstreams of a test
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=bytes(request.body),
            arrived_at=request.arrived_at,
            connection=connection.number,
            answer=b"" if self.keep_answers else None,
        )

    def answer(self, request: Request, entry: Entry) -> tuple[Script, Reply]:
        """Choose the script of a request and what it says."""
        try:
            ask = (
                msgspec.json.decode(entry.body, type=Ask) if entry.body and not self.own_bytes_next(request) else Ask()
            )
            script = self.choose(request, ask.model)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Script(), json_reply(error_object(400, {"message": f"Unreadable: {error}"}), 400)
        if script is None:
            return Script(), json_reply(error_object(404, {"message": f"No scenario {ask.model!r}"}), 404)
        return self.reply(script, ask, request, entry)

    def reply(self, script: Script, ask: Ask, request: Request, entry: Entry) -> tuple[Script, Reply]:
        """Make the reply of a script to what was asked."""
        return script, compose(script, ask, request.path, request_id=entry.id, seed=self.seed, body=entry.body)

    def own_bytes_next(self, request: Request) -> bool:
        """Say whether the next script of the queue has bytes of its own, which are played on any path, whatever is asked."""
        for path, script in self._queue:
            if request.path.endswith(path) if path is not None else request.method == "POST":
                return bool(script.events) or script.own is not None
        return False

    def choose(self, request: Request, model: str) -> Script | None:
        """Choose the script of a request for a model, None if the scenario it names is not known."""
        if self.bucket is not None and (refusal := self.bucket.refusal()) is not None:
            return refusal
        if (header := request.headers.get("x-fault")) is not None:
            return msgspec.json.decode(header, type=Script)
        for index, (path, script) in enumerate(self._queue):
            if request.path.endswith(path) if path is not None else request.method == "POST":
                del self._queue[index]
                return script
        if "fault-" in model:
            return self.named.get(model.rpartition("fault-")[2])
        return self.default
