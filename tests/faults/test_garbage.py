"""Answers that are no answers: the client gets a typed error without a word of the upstream's, and the breaker hears of it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults.figures import Record
from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from support.wires import WIRES, Wire, provide

CANARY = "canary7f3a"
SAID = f"{CANARY} says {CANARY} again"
ERROR = {"message": f"no {CANARY}", "type": CANARY, "code": CANARY, "param": CANARY}
JSON, SSE = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
CHAT, MESSAGES, RESPONSES = WIRES


class Way(NamedTuple):
    """What a client speaks, what its upstream speaks, and whether it streams."""

    client: Wire
    upstream: Wire
    stream: bool

    def ask(self) -> dict[str, Any]:
        return {**self.client.ask("hi", stream=self.stream), "model": f"at-{self.upstream.name}"}

    def __str__(self) -> str:
        return f"{self.client.name}-{self.upstream.name}-{'stream' if self.stream else 'whole'}"


WAYS = [
    Way(client, upstream, stream)
    for client, upstream in (
        (CHAT, CHAT), (MESSAGES, MESSAGES), (RESPONSES, RESPONSES),
        (CHAT, MESSAGES), (MESSAGES, CHAT), (RESPONSES, CHAT),
    )
    for stream in (False, True)
]  # fmt: skip


class Served:
    """A gateway before an upstream, and what the upstream says when it is well."""

    def __init__(self, run: Running, up: FaultUpstream) -> None:
        self.run = run
        self.up = up
        self.answers = self.harmless = 0
        self._valid: dict[tuple[str, bool], bytes] = {}

    async def valid(self, way: Way) -> bytes:
        """Return the bytes of a whole answer."""
        known = self._valid.get((way.upstream.name, way.stream))
        if known is None:
            self.up.reset()
            self.up.keep_answers = True
            self.up.default = Script(content=SAID)
            answer = await self.post(way)
            assert 200 == answer.status_code, answer.text
            assert CANARY in answer.text
            known = self.up.ledger.entries[-1].answer
            assert known is not None
            self.up.keep_answers = False
            self._valid[way.upstream.name, way.stream] = known
        return known

    async def post(self, way: Way) -> httpx.Response:
        return await self.run.http.post(way.client.path, json=way.ask(), headers=self.run.auth)

    async def said(self, way: Way, script: Script) -> httpx.Response:
        """Let the upstream answer once as a script says; what the client gets of it must do no harm."""
        self.up.reset()
        self.up.script(script)
        answer = await self.post(way)
        self.answers += 1
        _is_harmless(way, answer)
        self.harmless += 1
        return answer


def _is_harmless(way: Way, answer: httpx.Response) -> None:
    assert answer.status_code in {200, 502}, answer.text
    assert "internal_error" not in answer.text
    if answer.status_code == 502:
        assert "upstream_" in answer.text, "it says what is wrong"
        assert CANARY not in answer.text + str(answer.headers)
    elif not way.stream:
        json.loads(answer.content)
    elif not way.client.is_complete(200, answer.content):
        events = answer.text.rstrip().split("\n\n")
        if way.client is RESPONSES:  # where the response as far as it came follows the error
            events = [event for event in events if event.startswith("event: error\n")]
        assert "upstream_" in events[-1]
        assert CANARY not in events[-1]


@pytest.fixture
async def served(tmp_path: Path, figure: Record, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with FaultUpstream() as up, running(tmp_path) as run:
        await provide(run, up)
        served = Served(run, up)
        yield served
        records = (await run.all_usage()).values()
        assert {"complete", "upstream_cut", "upstream_error"} >= {record["outcome"] for record in records}
        assert all(record["cause"] != "error" for record in records)
        figure(
            f"5 garbage: {_kind(request)}",
            "answered with a 5xx of the gateway's own, or with words of it",
            f"{served.answers - served.harmless} of {served.answers}",
            "0",
        )


def _kind(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).rpartition("[")[2].rstrip("]")


def _html(_: bytes) -> bytes:
    return f"<!doctype html><html><body>{CANARY} <script>alert(1)</script></body></html>".encode()


def _bad_json(valid: bytes) -> bytes:
    return valid.replace(b'"}', b'"', 1).replace(b'"]', b'"', 1)


def _bad_utf8(valid: bytes) -> bytes:
    return valid.replace(CANARY.encode(), CANARY.encode() + b"\xff\xfe\xc0\xaf")


def _error(valid: bytes) -> bytes:
    error = json.dumps({"type": "error", "error": ERROR}).encode()
    return error if valid.startswith(b"{") else b"event: error\ndata: " + error + b"\n\n"


def _types(valid: bytes) -> bytes:
    for name in (b"choices", b"content", b"output", b"delta", b"response"):
        for bracket in (b"[", b"{"):
            valid = valid.replace(b'"%s":%s' % (name, bracket), b'"%s":7,"x":%s' % (name, bracket))
    return valid.replace(b'"delta":"', b'"delta":7,"x":"')


def _empty(_: bytes) -> bytes:
    return b""


GARBAGE = [_html, _bad_json, _bad_utf8, _error, _types, _empty]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda it: it.__name__.strip("_"))
async def test_garbage_is_a_typed_error_without_a_word_of_it(served: Served, garbage: Callable[[bytes], bytes]) -> None:
    for way in WAYS:
        bad = garbage(await served.valid(way))
        answer = await served.said(way, Script(payload=bad, headers=SSE if way.stream else JSON))
        complete = way.client.is_complete(200, answer.content) if way.stream else answer.status_code == 200
        assert not complete, (str(way), bad, answer.text)


async def test_the_breaker_hears_of_garbage(served: Served) -> None:
    for way in WAYS[:2]:
        for _ in range(6):
            await served.said(way, Script(payload=_html(b""), headers=JSON))
    detail = (await served.run.http.get("/health/detailed", headers=served.run.admin.headers)).json()
    [breaker] = [it["breaker"] for it in detail["targets"] if it["provider_model"] == "upstream-chat"]
    assert "open" == breaker["state"]
    assert {"protocol"} == set(breaker["causes"])


# Mutations

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
PLACES = st.floats(0, 1, exclude_max=True)
BYTES = st.tuples(PLACES, st.integers(0, 40), st.binary(max_size=6))
"""Where so many bytes are replaced, and by what."""
MEMBERS = st.tuples(PLACES, PLACES, VALUES)
"""Which value of which event is replaced, and by what."""


def replaced_bytes(data: bytes, place: float, count: int, new: bytes) -> bytes:
    at = int(place * len(data))
    return data[:at] + new + data[at + count :]


def replaced_member(data: bytes, event: float, place: float, new: Any) -> bytes:
    """Replace one value of a JSON text, or of one of the events of a stream."""
    if data.startswith(b"{"):
        return msgspec.json.encode(_with_one_replaced(json.loads(data), place, new))
    lines = data.split(b"\n")
    places = [index for index, line in enumerate(lines) if line.startswith(b"data: {")]
    at = places[int(event * len(places))]
    lines[at] = b"data: " + msgspec.json.encode(_with_one_replaced(json.loads(lines[at][6:]), place, new))
    return b"\n".join(lines)


def _with_one_replaced(value: Any, place: float, new: Any) -> Any:
    spots: list[tuple[Any, Any]] = []
    _collect(value, spots)
    inside, name = spots[int(place * len(spots))]
    inside[name] = new
    return value


def _collect(value: Any, spots: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        spots.append((value, name))
        _collect(inner, spots)


@pytest.mark.parametrize("way", WAYS, ids=str)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(members=st.lists(MEMBERS, max_size=2), pieces=st.lists(BYTES, max_size=2))
async def test_whatever_is_wrong_with_an_answer_does_no_harm(
    served: Served, way: Way, members: list[tuple[float, float, Any]], pieces: list[tuple[float, int, bytes]]
) -> None:
    data = await served.valid(way)
    for event, place, new in members:
        data = replaced_member(data, event, place, new)
    for at, count, piece in pieces:
        data = replaced_bytes(data, at, count, piece)
    await served.said(way, Script(payload=data, headers=SSE if way.stream else JSON))
