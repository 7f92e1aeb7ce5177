"""What was said before is past: however badly, it ends no session, at no provider and in no dialect."""

import json
import re
from typing import Any

import pytest

from matrix.clients import CLIENTS
from sdk.served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HALF = "cut \\ud83d"
BROKEN = ('{"city": "Par', "null", "[1]", '"x"', "{'city': 1}", "")


def chat(arguments: str) -> dict[str, Any]:
    def call(id: str) -> dict[str, Any]:
        return {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}

    return {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "HALF"},
            {"role": "assistant", "content": "\n"},
            {"role": "user", "content": "HALF again"},
            {"role": "assistant", "content": " ", "tool_calls": [call("a.b:0"), call("c2")]},
            {"role": "tool", "tool_call_id": "a.b:0", "content": "HALF"},
            {"role": "user", "content": "wait"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "assistant", "content": "done HALF"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
        ],
    }


def responses(arguments: str) -> dict[str, Any]:
    def call(id: str) -> dict[str, Any]:
        return {"type": "function_call", "call_id": id, "name": "weather", "arguments": arguments}

    return {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "HALF"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "\n"}]},
            {"role": "user", "content": "HALF again"},
            call("a.b:0"),
            call("c2"),
            {"type": "function_call_output", "call_id": "a.b:0", "output": "HALF"},
            {"role": "user", "content": "wait"},
            {"type": "function_call_output", "call_id": "c2", "output": ""},
            {"role": "assistant", "content": "done HALF"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}],
    }


def messages(_: str) -> dict[str, Any]:
    """In this form arguments are objects."""

    def call(id: str) -> dict[str, Any]:
        return {"type": "tool_use", "id": id, "name": "weather", "input": {"city": "HALF"}}

    return {
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "HALF"},
            {"role": "assistant", "content": [{"type": "text", "text": "\n"}, call("a.b:0"), call("c2")]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a.b:0", "content": "HALF"}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c2"}, {"type": "text", "text": "wait"}],
            },
            {"role": "assistant", "content": "done HALF"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}],
    }


HISTORIES = {"chat": chat, "messages": messages, "responses": responses}


@pytest.mark.parametrize("dialect", HISTORIES)
async def test_a_session_whose_history_is_broken_goes_on(
    all_providers: Served, provider: str, dialect: str, stream: bool
) -> None:
    run = all_providers.run
    native = dialect in all_providers.rows[provider].native
    for arguments in BROKEN if dialect != "messages" and not native else BROKEN[-1:]:
        body = HISTORIES[dialect](arguments or "{}" if native else arguments)
        body |= {"model": all_providers.model(provider, "text"), "stream": stream}
        raw = json.dumps(body).replace("HALF", HALF)
        headers = {**run.auth, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        answer = await run.http.post(CLIENTS[dialect].path, content=raw, headers=headers)
        assert 200 == answer.status_code, (arguments, answer.text)
        assert b"\\ud83d" not in all_providers.last.body
        assert not re.search(r"\"error\": ?\{|event: error", answer.text)


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
USER = {"role": "user", "content": "go on"}


def calls(*ids: str) -> dict[str, Any]:
    made = [{"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "mild"}


APART = {
    "one is missing": [USER, calls("a", "b"), result("a"), USER],
    "none is there": [USER, calls("a"), USER],
    "the last is not there yet": [USER, calls("a", "b"), result("b")],
    "of no call": [USER, result("a"), USER],
    "twice": [USER, calls("a"), result("a"), result("a"), USER],
    "late": [USER, calls("a"), USER, {"role": "assistant", "content": "x"}, result("a"), USER],
    "crossed": [USER, calls("a"), calls("b"), result("b"), result("a"), USER],
    "counted anew": [USER, calls("0"), result("0"), calls("0"), result("0"), USER],
    "under one id": [USER, calls("0", "0"), result("0"), result("0"), USER],
}
MOVED = ("late", "crossed", "counted anew", "under one id")
"""Where nothing has to be made up."""


@pytest.mark.parametrize("apart", APART)
async def test_results_apart_from_their_calls_end_no_session(all_providers: Served, provider: str, apart: str) -> None:
    run = all_providers.run
    body = {"model": all_providers.model(provider, "text"), "messages": APART[apart], "tools": [TOOL]}
    answer = await run.http.post("/v1/chat/completions", json=body, headers=run.auth)
    assert 200 == answer.status_code, answer.text
    if apart in MOVED:
        return
    assert "messages.tool_calls" in answer.headers["x-switchgear-changed"]
    strict = await run.http.post("/v1/chat/completions", json=body, headers={**run.auth, "x-switchgear-strict": "true"})
    assert (400, "messages.tool_calls") == (strict.status_code, strict.json()["error"]["param"])
