"""What the tests of this plugin share."""

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call, ProviderConfig, StreamEvent, TargetModel
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins.vertex.provider import VertexProvider
from switchgear_plugins.vertex.settings import VertexProviderSettings

GOLDEN = Path(__file__).parents[1] / "plugins/vertex/golden"
KEY = {"api_key": "k-1"}
TOKEN = {"access_token": "ya29.t"}


def provider(base_url: str | None = None, headers: dict[str, str] | None = None, **settings: Any) -> VertexProvider:
    chosen = msgspec.convert(settings, VertexProviderSettings)
    return VertexProvider(ProviderConfig("google", base_url, headers or {}, chosen, FixedAmbient()))


def target(name: str, **defaults: Any) -> TargetModel:
    raw = {member: Raw(msgspec.json.encode(value)) for member, value in defaults.items()}
    return TargetModel(id="public", name=name, name_json=Raw(msgspec.json.encode(name)), defaults=raw)


def call(
    wire: str = "chat", *, stream: bool = False, strict: bool = False, wanted: bool = True, **members: Any
) -> Call:
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in {"model": "public", **members}.items()}
    operation = {"embeddings": "embedding", "count": "count"}.get(wire, "chat")
    return Call(operation, wire, raw, model="public", stream=stream, strict=strict, usage_wanted=wanted)


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def chunks(events: list[StreamEvent]) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in events if event.data]
