"""The fault upstream in a process of its own, for tests of a gateway that is one too."""

import os
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

import msgspec

from support.process import Child
from switchgear.testing.upstream.ledger import Entry
from switchgear.testing.upstream.script import Script

_TESTS = Path(__file__).parents[2]


class State(msgspec.Struct):
    """What `GET /_ledger` tells."""

    entries: list[Entry]
    open_connections: int
    connections_ever: int

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.finish == "open"]


class FaultProcess:
    """A context manager around `python -m support.faultup`; the same words as `FaultUpstream`, over HTTP."""

    def __init__(self, *, seed: int = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
        argv = [sys.executable, "-m", "support.faultup", "--port", "0", "--seed", str(seed)]
        self.child = Child(argv, env=environment)
        self.port = 0

    def __enter__(self) -> Self:
        self.child.start()
        try:
            self.port = int(self.child.first_line())
        except BaseException:
            self.child.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def script(self, *scripts: Script, times: int = 1, path: str | None = None) -> None:
        suffix = f"&path={path}" if path else ""
        for script in scripts:
            self._call("POST", f"/_script?times={times}{suffix}", msgspec.json.encode(script))

    def register(self, name: str, script: Script) -> str:
        self._call("POST", f"/_script?name={name}", msgspec.json.encode(script))
        return f"fault-{name}"

    def set_default(self, script: Script) -> None:
        self._call("POST", "/_script?default=1", msgspec.json.encode(script))

    def reset(self) -> None:
        self._call("POST", "/_reset", b"")

    def state(self) -> State:
        return msgspec.json.decode(self._call("GET", "/_ledger", b""), type=State)

    def settled(self, count: int = 1, timeout_s: float = 5.0) -> list[Entry]:
        """Wait until `count` requests have arrived and none is open; return the entries."""
        return self.until(lambda state: len(state.entries) >= count and not state.open, timeout_s).entries

    def until(self, condition: Callable[[State], bool], timeout_s: float = 5.0) -> State:
        deadline = time.monotonic() + timeout_s
        while not condition(state := self.state()):
            if time.monotonic() > deadline:
                seen = [(entry.id, entry.path, entry.status, entry.finish) for entry in state.entries]
                raise TimeoutError(f"the ledger did not come to that in {timeout_s} s: {seen}")
            time.sleep(0.01)
        return state

    def _call(self, method: str, target: str, body: bytes) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, body)
            reply = connection.getresponse()
            answer = reply.read()
        finally:
            connection.close()
        if reply.status != 200:
            raise ValueError(f"{method} {target}: {answer.decode()}")
        return answer
