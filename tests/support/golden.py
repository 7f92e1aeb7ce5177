"""Recorded exchanges: files beside a provider's tests, and what must hold of every recorded stream."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from switchgear.contracts.provider import Call, ProviderFault, StreamDecoder, StreamEvent
from switchgear.errors import ConnectionBroken


def call_of(wire: str, body: dict[str, Any], *, origin: str | None = None, **others: Any) -> Call:
    """Make the call that a client's body is."""
    operation = {"embeddings": "embedding", "count": "count"}.get(wire, "chat")
    members = {name: Raw(json.dumps(value, ensure_ascii=False).encode()) for name, value in body.items()}
    stream = bool(body.get("stream"))
    return Call(operation, wire, members, model=str(body.get("model")), stream=stream, origin=origin, **others)


def files(folder: Path, pattern: str) -> list[Any]:
    """Return the recordings as parameters of a test, named after their files."""
    found = sorted(folder.glob(pattern))
    assert found, f"no {pattern} in {folder}"
    return [pytest.param(path, id=path.stem) for path in found]


def read(decoder: StreamDecoder, *pieces: bytes) -> list[StreamEvent]:
    """Feed a stream and end it."""
    events = [event for piece in pieces for event in decoder.feed(piece)]
    decoder.close()
    return events


def check_every_cut(make: Callable[[], StreamDecoder], stream: bytes) -> list[StreamEvent]:
    """Show that it does not matter where a stream is cut in two, and that one cut short is never complete."""
    whole = read(make(), stream)
    for at in range(len(stream)):
        assert whole == read(make(), stream[:at], stream[at:])
        short = make()
        if not any(event.terminal for event in short.feed(stream[:at])):
            with pytest.raises((ConnectionBroken, ProviderFault)):
                short.close()
    return whole
