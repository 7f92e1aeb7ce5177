"""Compares a contender's answers with what the upstream sent."""

import json
from http.client import HTTPConnection
from typing import Any

import load
import upstream
from contenders.base import Target

RANKS = ("wrong", "text", "events", "bytes")


def ask(port: int, target: Target, *, stream: bool) -> tuple[int, bytes]:
    """Ask once; return the status and the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json", **target.headers}
        connection.request("POST", target.path, load.request_body(target.model, stream=stream), headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def sameness(status: int, body: bytes, *, stream: bool) -> str:
    """Return how much of the upstream's answer came through: `bytes`, `events`, `text` or `wrong`."""
    sent = b"".join(upstream.stream_events(usage=False)) if stream else upstream.plain_body()
    if status != 200:
        return "wrong"
    if body == sent:
        return "bytes"
    try:
        got, expected = _values(body, stream=stream), _values(sent, stream=stream)
    except (ValueError, UnicodeDecodeError):
        return "wrong"
    if got == expected:
        return "events"
    return "text" if _text(got) == _text(expected) and (not stream or got[-1] == "[DONE]") else "wrong"


def _values(body: bytes, *, stream: bool) -> list[Any]:
    if not stream:
        return [json.loads(body)]
    values: list[Any] = []
    for event in body.decode().split("\n\n"):
        data = event.removeprefix("data:").strip()
        if data == "[DONE]":
            values.append(data)
        elif event.startswith("data:"):
            value = json.loads(data)
            if value.get("usage") is None:
                value.pop("usage", None)
            values.append(value)
    return values


def _text(values: list[Any]) -> str:
    text = ""
    for value in values:
        for choice in value["choices"] if isinstance(value, dict) else ():
            text += choice.get("delta", choice.get("message", {})).get("content") or ""
    return text
