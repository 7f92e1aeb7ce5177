"""Golden exchanges of a provider: what a client asks, what goes to the vendor, what comes back, what the client is told.

    class TestMine(ExchangeSuite):
        folder = Path(__file__).parent / "exchanges"      # *.json
        def make(self): return MyProvider(provider_config("https://api.example.com"))

A file is an object. You write what is asked and answered, `SWITCHGEAR_GOLDEN=write pytest` writes the rest, which you read:

    asked      the body of a canonical chat
    answered   `status` (200), `headers`, and the vendor's `body`, or the `events` of its stream (a text as it is: `[DONE]`)
    sent       `method`, `url`, `headers` and `body` of the request to the vendor
    dropped    what could not be carried
    told       the canonical answer, the chunks, or `cause` and `retry_after` of a failure
    refused    instead of all but `asked`: `param` and `code` of the error
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from msgspec import Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, Provider, ProviderConfig, ProviderFault, StreamDecoder, StreamEvent
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.offer import NoSettings
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import MODEL, RecordedHead, chat_call

S = TypeVar("S", bound=Struct)
WRITE = "SWITCHGEAR_GOLDEN"


def provider_config(base_url: str | None = None, settings: Any = None) -> ProviderConfig[Any]:
    """Make what a provider is made of, with time that stands still and ids that count."""
    return ProviderConfig("test", base_url, {}, NoSettings() if settings is None else settings, FixedAmbient())


class ExchangeSuite:
    """The exchanges in `folder`; `secret` are the fields of the credential."""

    folder: ClassVar[Path]
    secret: ClassVar[Mapping[str, str]] = {"api_key": "the-key"}

    def make(self) -> Provider:
        """Make the provider under test, with a `provider_config`."""
        raise AssertionError("override `make` to return the provider under test")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each file."""
        assert metafunc.cls is not None
        if "exchange" in metafunc.fixturenames:
            found = sorted(metafunc.cls.folder.glob("*.json"))
            assert found, f"there are no exchanges in {metafunc.cls.folder}"
            metafunc.parametrize("exchange", found, ids=[path.stem for path in found])

    def test_an_exchange_is_its_golden_one(self, exchange: Path) -> None:
        golden = json.loads(exchange.read_text("utf-8"))
        found = self._carried_out(golden)
        if os.environ.get(WRITE) == "write":
            exchange.write_text(_lines(found), "utf-8")
        assert found == golden, f"run with {WRITE}=write to write it, and read what was written"

    def _carried_out(self, golden: dict[str, Any]) -> dict[str, Any]:
        call = chat_call(usage_wanted=True, **golden["asked"])
        try:
            request = self.make().prepare(call, MODEL, Secret(self.secret))
        except InvalidRequest as refused:
            return {"asked": golden["asked"], "refused": {"param": refused.param, "code": refused.code}}
        sent = {
            "method": request.method,
            "url": request.url,
            "headers": request.headers,
            "body": msgspec.json.decode(request.whole_body()),
        }
        answered = golden["answered"]
        told = self._told(call, answered)
        return {
            "asked": golden["asked"],
            "sent": sent,
            "dropped": list(call.dropped),
            "answered": answered,
            "told": told,
        }

    def _told(self, call: Call, answered: dict[str, Any]) -> Any:
        head = RecordedHead(answered.get("status", 200), answered.get("headers"))
        if "events" in answered:
            return self._streamed(call, head, b"".join(map(_event, answered["events"])))
        body = json.dumps(answered.get("body"), ensure_ascii=False).encode()
        try:
            if not 200 <= head.status < 300:
                raise self.make().fault(call, head, body)
            return msgspec.json.decode(self.make().decode(call, head, body).body)
        except ProviderFault as fault:
            return _failure(fault)

    def _streamed(self, call: Call, head: RecordedHead, stream: bytes) -> list[Any]:
        whole = _read(self.make().decoder(call, head), stream)
        for at in range(len(stream)):
            assert whole == _read(self.make().decoder(call, head), stream[:at], stream[at:]), f"cut at {at}"
        return whole


def _read(decoder: StreamDecoder, *pieces: bytes) -> list[Any]:
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        if not any(event.fault for event in events):
            decoder.close()
    except ConnectionBroken:
        return [*_chunks(events), {"cut": True}]
    except ProviderFault as fault:
        return [*_chunks(events), _failure(fault)]
    return _chunks(events)


def _chunks(events: list[StreamEvent]) -> list[Any]:
    found: list[Any] = [msgspec.json.decode(event.data) for event in events if event.data]
    return found + [_failure(event.fault) for event in events if event.fault is not None]


def _event(event: Any) -> bytes:
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return b"data: %b\n\n" % data.encode()


def _lines(exchange: dict[str, Any]) -> str:
    """Write an exchange as JSON with a member a line, and a line for each chunk."""

    def line(value: Any, indent: str) -> str:
        many = isinstance(value, list) and any(isinstance(item, dict) for item in value)
        if isinstance(value, dict) and "events" in value:
            members = (f'{indent} "{name}": {line(item, indent + " ")}' for name, item in value.items())
            return "{\n" + ",\n".join(members) + f"\n{indent}}}"
        if many:
            return "[\n" + ",\n".join(f"{indent} {line(item, indent)}" for item in value) + f"\n{indent}]"
        return json.dumps(value, ensure_ascii=False)

    return "{\n" + ",\n".join(f' "{name}": {line(value, " ")}' for name, value in exchange.items()) + "\n}\n"


def _failure(fault: ProviderFault) -> dict[str, Any]:
    return {"cause": fault.cause, "retry_after": fault.retry_after}
