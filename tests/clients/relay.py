"""What agents ask and are told, noted on its way, and what of it their models' providers were told."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from support.faultup import Entry

_CONVERSATION = ("messages", "contents", "input")
_HOPS = ("host", "connection", "content-length", "transfer-encoding", "upgrade")
_LEAST = 41
"""Characters of a text that is looked for: what is shorter may be a word of the form, or an id."""
_REWRITTEN = ("model", "encrypted_content", "signature", "data", "arguments")
"""Members that hold the gateway's own name of a model, what it has packed, or JSON that is an object elsewhere."""
_BILLING = "x-anthropic-billing-header:"
"""What a text begins with that is meant for one vendor's books, and left out elsewhere."""


class Noted(NamedTuple):
    """One request to a model: its body, and the members that the answer names as dropped or changed."""

    body: dict[str, Any]
    named: frozenset[str]


class Relay:
    """A server before the gateway at `target`, which tells everything on and notes what models are asked."""

    def __init__(self, target: str) -> None:
        self.noted: list[Noted] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                connection = HTTPConnection(urlsplit(target).netloc, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                said = answer.read()
                connection.close()
                if body:
                    relay.noted.append(Noted(json.loads(body), _named(answer.headers)))
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOPS:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_POST = do_HEAD = do_GET  # noqa: N815 - their names are those of the methods

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _named(headers: Any) -> frozenset[str]:
    told = ", ".join(headers.get(f"x-switchgear-{kind}", "") for kind in ("dropped", "changed"))
    return frozenset(name for name in re.split(r",\s*", told) if name)


def bodies(entries: list[Entry]) -> list[dict[str, Any]]:
    """Return what a provider was asked."""
    return [json.loads(entry.body) for entry in entries if entry.body[:1] == b"{"]


def said(body: dict[str, Any]) -> list[Any]:
    """Return the conversation of a request in its form, without marks of what is to be cached; each content is a list."""
    found: list[Any] = _unmarked(next(body[name] for name in _CONVERSATION if name in body))
    return found


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(one) for one in value if not (isinstance(one, dict) and "cachePoint" in one)]
    if isinstance(value, dict):
        left = {name: _unmarked(one) for name, one in value.items() if name != "cache_control"}
        if isinstance(left.get("content"), str):
            left["content"] = [{"type": "text", "text": left["content"]}]
        return left
    return value


def assert_told(relay: Relay, entries: list[Entry]) -> None:
    """Check that whoever answered was told everything, but what is named, and each vendor the same again in every turn."""
    answered = bodies([entry for entry in entries if entry.status == 200])
    assert [[]] * len(answered) == [unnamed(noted, told) for noted, told in zip(relay.noted, answered, strict=True)]
    for path in {entry.path for entry in entries}:
        assert_gone_on(bodies([entry for entry in entries if entry.path == path]))


def assert_cached(asked: list[dict[str, Any]]) -> None:
    """Check that each request begins as the one before it did, so that a provider has read that already."""
    for earlier, later in pairwise(asked):
        for name in (earlier.keys() | later.keys()).difference(_CONVERSATION):
            assert earlier.get(name) == later.get(name), name
    assert_gone_on(asked)


def assert_gone_on(asked: list[dict[str, Any]]) -> None:
    """Check that what was said is told again as it was."""
    for earlier, later in pairwise(asked):
        before, now = said(earlier), said(later)
        assert before[:-1] == now[: len(before) - 1]
        assert json.dumps(now[len(before) - 1]).startswith(json.dumps(before[-1])[:-2]), "it may have been added to"


def assert_texts(asked: list[dict[str, Any]]) -> None:
    """Check that each message of a chat says one text: some servers read nothing else."""
    contents = [message.get("content") for body in asked for message in body["messages"]]
    assert all(content is None or isinstance(content, str) for content in contents)


def unnamed(noted: Noted, told: dict[str, Any]) -> list[str]:
    """Return the texts of a request that its provider was not told and its client was not told of, by their paths."""
    heard = "\n".join(text for _, text in _texts(told, ""))
    named = tuple(re.sub(r"\[\d+\]", "", name) + "." for name in noted.named)
    return [
        f"{path}: {text[:80]}"
        for path, text in _texts(noted.body, "")
        if text.strip() not in heard
        and not f"{path}.".startswith(named)
        and path.rpartition(".")[2] not in _REWRITTEN
        and not text.startswith(_BILLING)
    ]


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and len(value) >= _LEAST:
        yield path, value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, path)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, f"{path}.{name}".lstrip("."))
