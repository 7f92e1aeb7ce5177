"""Names of tools over the Responses wire: short enough on the way out, the client's own on the way back."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call, TargetModel
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.chat_provider import RESPONSES, ChatProvider
from switchgear.wire.members import raw

LONG = "mcp__" + "a_server_of_ours__" * 4 + "look_up"
ODD = "files.read"
TOOLS = [
    {"type": "function", "name": LONG, "parameters": {"type": "object", "properties": {"name": {"const": LONG}}}},
    {"type": "custom", "name": ODD},
    {"type": "namespace", "name": "mcp", "tools": [{"type": "function", "name": LONG}]},
    {"type": "web_search"},
]
CALLED = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": LONG, "arguments": "{}"}
ASKED: dict[str, Any] = {
    "tools": TOOLS,
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": LONG}]},
    "input": [
        {"role": "user", "content": LONG},
        CALLED,
        {"type": "function_call_output", "call_id": "c", "output": "r"},
    ],
}
PROVIDER = ChatProvider("http://a.test", {}, wires=(RESPONSES,))


def call_of(**members: Any) -> Call:
    return Call("chat", RESPONSES, {name: raw(value) for name, value in members.items()}, model="m")


def sent(call: Call) -> dict[str, Any]:
    body = PROVIDER.prepare(call, TargetModel("", "m", raw("m")), None).body
    found: dict[str, Any] = json.loads(body if isinstance(body, bytes) else b"".join(map(bytes, body)))
    return found


def test_names_go_out_as_they_are_taken_and_nothing_else_changes() -> None:
    call = call_of(**ASKED)
    body = sent(call)
    short, even = body["tools"][0]["name"], body["tools"][1]["name"]
    assert len(short) == 64
    assert "." not in even
    assert call.aliases == {short: LONG, even: ODD}
    assert body == {
        "model": "m",
        **json.loads(json.dumps(ASKED).replace(f'"name": "{LONG}"', f'"name": "{short}"').replace(ODD, even)),
    }


@pytest.mark.parametrize("name", ["plain", "a" * 64])
def test_names_that_are_taken_stay(name: str) -> None:
    call = call_of(tools=[{"type": "function", "name": name}], input="q")
    assert (sent(call)["tools"][0]["name"], call.aliases) == (name, {})


def test_tools_that_cannot_be_read_are_for_the_server_to_judge() -> None:
    assert sent(call_of(tools=[{"type": "function", "name": 7}], input="q"))["tools"][0]["name"] == 7


def test_answers_call_tools_by_the_clients_names() -> None:
    call = call_of(**ASKED)
    short = sent(call)["tools"][0]["name"]
    told = {**CALLED, "name": short}
    response = {
        "object": "response",
        "status": "completed",
        "output": [told],
        "tools": [{"type": "function", "name": short}],
    }
    events = [
        {"type": "response.output_item.added", "item": told},
        {"type": "response.function_call_arguments.done", "name": short, "arguments": "{}"},
        {"type": "response.output_text.delta", "delta": short},
        {"type": "response.completed", "response": response},
    ]
    body = PROVIDER.decode(call, RecordedHead(), json.dumps(response).encode()).body
    assert json.loads(body) == {**response, "output": [CALLED], "tools": [{"type": "function", "name": LONG}]}
    decoder = PROVIDER.decoder(call, RecordedHead())
    added, done, said, end = (
        json.loads(it.data) for e in events for it in decoder.feed(b"data: %b\n\n" % json.dumps(e).encode())
    )
    assert (added["item"], done["name"], said["delta"]) == (CALLED, LONG, short)
    assert end["response"] == json.loads(body)
