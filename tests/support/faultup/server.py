"""The scripted upstream, as strict as the vendors whose wire formats it speaks, and controlled from other processes."""

import ssl
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from support.faultup.dialects import Dialects, speak
from support.faultup.dialects.chat import check_key
from support.faultup.dialects.common import Heard, Refused
from support.faultup.dialects.desk import Desk
from switchgear.testing.upstream.answer import Ask
from switchgear.testing.upstream.connection import Connection, Request
from switchgear.testing.upstream.ledger import Entry
from switchgear.testing.upstream.reply import CREATED, Reply, error_object, json_reply
from switchgear.testing.upstream.script import Script
from switchgear.testing.upstream.server import ScriptedUpstream

_MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")


class FaultUpstream(ScriptedUpstream):
    """A scripted upstream whose paths of other vendors are answered in their wire formats (`dialects`).

    `desk` hands out the tokens some of them want. Under `/lenient` OpenAI's chat is not strict, as that of a compatible server.
    """

    def __init__(
        self, *, seed: int = 0, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(seed=seed, host=host, port=port, tls=tls)
        self.desk = Desk()
        self._dialects = Dialects()

    def reset(self) -> None:
        """Forget the tokens as well."""
        super().reset()
        self.desk.clear()

    # One request

    def admit(self, request: Request, connection: Connection) -> tuple[Script, Entry, Reply]:
        """Keep what controls out of the ledger."""
        if not request.path.startswith("/_"):
            return super().admit(request, connection)
        self.connections_ever -= not connection.control
        connection.control = True
        return Script(), self.entry(request, connection), self._control(request)

    def answer(self, request: Request, entry: Entry) -> tuple[Script, Reply]:
        """Answer in the wire of the path."""
        if not self.own_bytes_next(request):
            heard = self._heard(request, entry)
            spoken = self._dialects.answer(heard, lambda model: self.choose(request, model))
            if spoken is not None:
                return spoken
        return super().answer(request, entry)

    def reply(self, script: Script, ask: Ask, request: Request, entry: Entry) -> tuple[Script, Reply]:
        """Answer in OpenAI's own wire, as strictly as the script says."""
        heard = self._heard(request, entry)
        if script.strict and request.method == "POST":
            wire = self._dialects.lenient if request.path.startswith("/lenient") else self._dialects.strict
            return speak(wire, heard, lambda _: script)
        if script.cause is not None:
            return script, self._dialects.strict.refuse(Refused(script.cause, ""), heard, script)
        if request.method == "GET" and script.status < 400 and script.own is None:
            return script, self._models(heard)
        return super().reply(script, ask, request, entry)

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
