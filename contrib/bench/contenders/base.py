"""The protocol between the bench and a contender."""

import json
import subprocess
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct


class Unavailable(Exception):
    """This contender cannot run here; the message says why. The bench goes on without it."""


LIMITED_KEY = '{"limits": {"requests_per_minute": 1000000000, "concurrent_requests": 1000000}}'
"""What an API key carries unless told otherwise: limits that every request is counted against, and none reaches."""


class Options(Struct, frozen=True):
    """What the command line says to contenders. `beside` is the core for servers that a contender needs besides its own."""

    plugins: tuple[str, ...] = ()
    key: str = LIMITED_KEY
    beside: int | None = None


class Launch(Struct, frozen=True):
    """How to start a server. `ready` is a path that answers 200 once it serves; empty: it serves once it has a port.

    `port` is a regular expression whose group is the port, in the output of a server that chooses its own.
    """

    argv: list[str]
    ready: str
    env: dict[str, str] = {}
    port: str = ""


class Target(Struct, frozen=True):
    """How a client calls it."""

    model: str
    headers: dict[str, str] = {}
    path: str = "/v1/chat/completions"


class Contender:
    """A server that stands between wrk and the upstream.

    `sameness` is what its answers must at least have in common with the upstream's: the bytes, the events (but for
    `"usage": null`), or the text. One that cannot stream here says `streams = False` and why.
    """

    name = ""
    sameness: Literal["bytes", "events", "text"] = "text"
    streams = True

    def install(self, home: Path) -> None:
        """Put what it needs under `home`, which is thrown away. Raises `Unavailable`."""

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        """Return how to start it on `port` before `upstream` (scheme, host and port). `home` is its own directory."""
        raise Unavailable(f"{self.name} does not say how it is started")

    def provision(self, url: str, upstream: str) -> Target:
        """Configure it while it runs, once; return how it is called."""
        return Target(model="gpt-4o-mini")


def run(argv: list[str], *, timeout_s: float = 900) -> None:
    """Run an installer. Raises `Unavailable` with the end of what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(argv)} failed: {(done.stderr or done.stdout)[-400:].strip()}")


def call(url: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """Make one JSON request. Raises `Unavailable` for any status but 2xx."""
    host = url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=30)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"content-type": "application/json", **(headers or {})})
        reply = connection.getresponse()
        answer = reply.read()
    finally:
        connection.close()
    if not 200 <= reply.status < 300:
        raise Unavailable(f"{method} {path} answered {reply.status}: {answer[:400].decode(errors='replace')}")
    return json.loads(answer) if answer else None
