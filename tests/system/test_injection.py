"""Nothing an upstream says becomes an event of its own, in any way of speaking to the gateway, from any provider."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from matrix.clients import CLIENTS
from matrix.providers import NAMES
from matrix.scenarios import Wish
from sdk.served import Served, served
from support.faultup import Script, ToolCall

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = (
    'a\n\ndata: [DONE]\n\nevent: error\rdata: {"type":"message_stop"}\r\n\r\nid: 7\nretry: 1\n: c\x0b\x0c\x85\u2028\u2029'
    'event: response.completed\u2028data: {"choices":[]}\n\nz'
)
FREE = ("evil_finish", "evil_everywhere")
FREE_FINISH = ("openai", "openai_compatible", "azure_openai")
"""Whose scripts may end an answer for any reason; the other wires have words of their own."""
ARGUMENTS = json.dumps({"city": EVIL}, ensure_ascii=False)
KNOWN = {"event", "data", ""}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("gateway")) as made:
        register = made.upstream.register
        register("evil", Script(content=EVIL, strict=True))
        register("evil_model", Script(content="fine", model=EVIL, strict=True))
        register("evil_thoughts", Script(content="fine", reasoning=EVIL, strict=True))
        register("evil_refusal", Script(refusal=EVIL, strict=True))
        register("evil_tool", Script(tool_calls=(ToolCall("weather", ARGUMENTS),), content=None, strict=True))
        register("evil_finish", Script(content="fine", finish_reason=EVIL))
        register("evil_late", Script(content="a b c", error_event_after=1, error={"message": EVIL, "code": EVIL}))
        calls = [{"index": 0, "id": EVIL, "type": "function", "function": {"name": EVIL, "arguments": ARGUMENTS}}]
        chunks = [
            {"choices": [{"index": 0, "delta": {"role": EVIL, "tool_calls": calls}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {"content": EVIL}, "finish_reason": "tool_calls"}]},
        ]
        head = {"id": EVIL, "model": EVIL, "object": EVIL, "system_fingerprint": EVIL, "created": 1}
        said = [
            f"event: {name}\ndata: {json.dumps(head | chunk)}\n\n" for name, chunk in zip("ab", chunks, strict=True)
        ]
        register("evil_everywhere", Script(events=(*said, "data: [DONE]\n\n")))
        yield made


def frames(body: bytes) -> list[tuple[str, Any]]:
    """Read a stream as browsers do (WHATWG HTML, server-sent events): CR, LF and CRLF end lines. Fails for what is odd."""
    text = body.decode()
    assert not text.startswith("\ufeff")
    found = []
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        event, data = "", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            assert name in KNOWN, line
            if name == "event":
                event = value.strip()
            if name == "data":
                data.append(value.strip())
        if data:
            assert 1 == len(data)
            found.append((event, data[0] if data[0] == "[DONE]" else json.loads(data[0])))
    return found


def ends(dialect: str, told: list[tuple[str, Any]]) -> int:
    """Count what says that a stream is over."""
    words = {"response.completed", "response.incomplete", "response.failed"}  # which comes after `error`
    if dialect in {"chat", "completions"}:
        return sum(data == "[DONE]" or "error" in data for _, data in told)
    if dialect == "messages":
        words = {"message_stop", "error"}
    return sum(data["type"] in words for _, data in told)


@pytest.mark.parametrize("dialect", CLIENTS)
@pytest.mark.parametrize("provider", NAMES)
async def test_what_an_upstream_says_stays_inside_its_events(
    all_providers: Served, provider: str, dialect: str
) -> None:
    client, run = CLIENTS[dialect], all_providers.run
    headers = {**run.auth, "anthropic-version": "2023-06-01"}
    for case in (
        "evil",
        "evil_model",
        "evil_thoughts",
        "evil_refusal",
        "evil_tool",
        "evil_finish",
        "evil_late",
        "evil_everywhere",
    ):
        wish = Wish(tools=case == "evil_tool", effort="low" if case == "evil_thoughts" else None)
        body = client.ask(all_providers.model(provider, case), wish, stream=True)
        if body is None or (case in FREE and provider not in FREE_FINISH):
            continue
        answer = await run.http.post(client.path, json=body, headers=headers)
        if not answer.headers["content-type"].startswith("text/event-stream"):
            assert answer.status_code >= 400, (case, answer.text)
            assert "\n" not in answer.json()["error"]["message"]
            continue
        told = frames(answer.content)
        assert 1 == ends(dialect, told), (case, told)
        for event, data in told:
            assert event in {"", "error", "ping"} or event == data["type"], (case, event)
        if case == "evil":
            assert EVIL == client.read(client.whole(answer.text)[0]).text
        if case == "evil_tool":
            [call] = client.read(client.whole(answer.text)[0]).calls
            assert {"city": EVIL} == json.loads(call.arguments)


@pytest.mark.parametrize("dialect", CLIENTS)
@pytest.mark.parametrize("provider", NAMES)
async def test_what_an_upstream_calls_wrong_is_one_line(all_providers: Served, provider: str, dialect: str) -> None:
    client, run = CLIENTS[dialect], all_providers.run
    headers = {**run.auth, "anthropic-version": "2023-06-01"}
    for stream in (False, True):
        script = Script(
            status=400, body=json.dumps({"error": {"message": EVIL, "code": EVIL, "type": EVIL}, "message": EVIL})
        )
        body = client.ask(all_providers.model(provider, "ok"), Wish(), stream=stream)
        all_providers.upstream.script(script)
        answer = await run.http.post(client.path, json=body, headers=headers)
        assert (400, "application/json") == (answer.status_code, answer.headers["content-type"])
        error = answer.json()["error"]
        for value in (error["message"], error.get("code") or "", error.get("param") or ""):
            assert not {"\n", "\r", "\u2028", "\u2029", "\x85"} & {*value}
        assert {"x-request-id", "x-switchgear-error-source"} <= {*answer.headers}
