"""The scripted upstream: an OpenAI-style server whose every fault is chosen by the test."""

import asyncio
import ssl
from collections import deque
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import msgspec

from support.faultup.answer import Ask
from support.faultup.bucket import Bucket
from support.faultup.connection import Connection, Request
from support.faultup.dialects import Dialects, speak
from support.faultup.dialects.chat import check_key
from support.faultup.dialects.common import Heard, Refused
from support.faultup.dialects.desk import Desk
from support.faultup.ledger import Entry, Ledger
from support.faultup.reply import CREATED, Reply, compose, error_object, json_reply
from support.faultup.script import PRESETS, Script

_MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")


class FaultUpstream:
    """An upstream on loopback that does what it is told and keeps a ledger.

    Which script a request gets: its `x-fault` header (a script as JSON), else the next of the queue
    (`script`), else that of its model name (what follows `fault-` in it: `register` or `PRESETS`), else `default`. The
    queue serves POSTs of any path, or the path it was given for. Answers depend on `seed` and the
    request body alone. Paths of other vendors are answered in their wire formats (`dialects`); `desk` hands out the
    tokens some of them want. Under `/lenient` OpenAI's chat is not strict, as that of a compatible server.
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
        self.desk = Desk()
        self._dialects = Dialects()
        self._tls = tls
        self._queue: deque[tuple[str | None, Script]] = deque()
        self._server: asyncio.Server | None = None
        self._arrived = self._numbers = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def open_connections(self) -> int:
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
        self.desk.clear()

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
            raise BaseExceptionGroup("the fault upstream itself failed", self.failures)

    def _connected(self) -> Connection:
        self.connections_ever += 1
        self._numbers += 1
        return Connection(self, self._numbers)

    # One request

    def admit(self, request: Request, connection: Connection) -> tuple[Script, Entry, Reply]:
        """Enter a request in the ledger and choose its script and reply."""
        path = request.path
        control = path.startswith("/_")
        self._arrived += not control
        entry = Entry(
            id=f"req_{self.port:05d}{self._arrived:011d}",  # unique among all upstreams of a test
            method=request.method,
            path=path,
            headers=request.headers,
            body=bytes(request.body),
            arrived_at=request.arrived_at,
            connection=connection.number,
            answer=b"" if self.keep_answers else None,
        )
        if control:
            self.connections_ever -= not connection.control
            connection.control = True
            return Script(), entry, self._control(request)
        self.ledger.entries.append(entry)
        heard = self._heard(request, entry)
        spoken = None
        own_bytes = self._own_bytes_next(request)
        if not own_bytes:
            spoken = self._dialects.answer(heard, lambda model: self._choose(request, model))
        if spoken is not None:
            return spoken[0], entry, spoken[1]
        try:
            ask = msgspec.json.decode(entry.body, type=Ask) if entry.body and not own_bytes else Ask()
            script = self._choose(request, ask.model)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Script(), entry, json_reply(error_object(400, {"message": f"Unreadable: {error}"}), 400)
        if script is None:
            return (
                Script(),
                entry,
                json_reply(error_object(404, {"message": f"No scenario {ask.model!r}"}), 404),
            )
        chosen = script
        if script.strict and request.method == "POST":
            wire = self._dialects.lenient if path.startswith("/lenient") else self._dialects.strict
            script, reply = speak(wire, heard, lambda _: chosen)
            return script, entry, reply
        if script.cause is not None:
            return script, entry, self._dialects.strict.refuse(Refused(script.cause, ""), heard, script)
        if request.method == "GET" and script.status < 400 and script.own is None:
            return script, entry, self._models(heard)
        return script, entry, compose(script, ask, path, request_id=entry.id, seed=self.seed, body=entry.body)

    def _own_bytes_next(self, request: Request) -> bool:
        """Say whether the next script of the queue has bytes of its own, which are played on any path, whatever is asked."""
        for path, script in self._queue:
            if request.path.endswith(path) if path is not None else request.method == "POST":
                return bool(script.events) or script.own is not None
        return False

    def _heard(self, request: Request, entry: Entry) -> Heard:
        query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
        return Heard(
            method=request.method,
            path=unquote(request.path),
            raw_path=request.path,
            query=query,
            headers=request.headers,
            body=entry.body,
            id=entry.id,
            seed=self.seed,
            desk=self.desk,
            names=(),
        )

    def _choose(self, request: Request, model: str) -> Script | None:
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

    def _models(self, heard: Heard) -> Reply:
        path = heard.raw_path
        try:
            check_key(heard)
        except Refused as refused:
            return self._dialects.strict.refuse(refused, heard, Script())
        names = [*_MODELS, *(f"fault-{name}" for name in self.named)]
        cards = [{"id": name, "object": "model", "created": CREATED, "owned_by": "faultup"} for name in names]
        wanted = path.rpartition("/models")[2].strip("/")
        if not path.rpartition("/models")[1]:
            return json_reply(error_object(404, {"message": f"No such endpoint: {path}", "code": None}), 404)
        if not wanted:
            return json_reply({"object": "list", "data": cards})
        for card in cards:
            if card["id"] == wanted:
                return json_reply(card)
        return json_reply(error_object(404), 404)

    # Control, for tests in another process

    def _control(self, request: Request) -> Reply:
        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        try:
            match request.method, request.path:
                case "GET", "/_ledger":
                    return json_reply(self.snapshot())
                case "POST", "/_script":
                    script = msgspec.json.decode(bytes(request.body), type=Script)
                    if "name" in query:
                        self.register(query["name"], script)
                    elif "default" in query:
                        self.default = script
                    else:
                        self.script(script, times=int(query.get("times", "1")), path=query.get("path"))
                    return json_reply({})
                case "POST", "/_reset":
                    self.reset()
                    return json_reply({})
        except msgspec.DecodeError as error:
            return json_reply(error_object(400, {"message": f"Not a script: {error}"}), 400)
        return json_reply(error_object(404, {"message": "GET /_ledger, POST /_script, POST /_reset"}), 404)

    def snapshot(self) -> dict[str, Any]:
        """Return the ledger and the counters as JSON values; bodies are base64."""
        return {
            "entries": msgspec.to_builtins(self.ledger.entries),
            "open_connections": self.open_connections,
            "connections_ever": self.connections_ever,
        }
