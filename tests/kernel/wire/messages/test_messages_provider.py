import json
import re
from typing import Any

import pytest
from msgspec import Raw

from switchgear.contracts.capability import usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, ProviderFault, TargetModel
from switchgear.errors import SecretUnavailable
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import RecordedHead, chat_call
from switchgear.wire.messages.provider import MessagesProvider
from switchgear.wire.messages.turns import Body

MODEL = TargetModel("m", "opus-5", Raw(b'"opus-5"'))
PROVIDER = MessagesProvider("https://x.test", {}, FixedAmbient())


class Elsewhere(MessagesProvider):
    """The same models at an address that names them."""

    def url_of(self, call: Call, model: TargetModel) -> str:
        return f"{self.base_url}/models/{model.name}:{'stream' if call.stream else 'whole'}"

    def amend(self, call: Call, model: TargetModel, body: Body) -> Body:
        del body["model"]
        return {"version": "elsewhere-1", **body}

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        return {"authorization": f"Bearer {secret['token']}"} if secret is not None else {}


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_a_subclass_has_its_own_address_credential_and_members(wire: str) -> None:
    members = chat_call(stream=True).members
    call = Call("chat", wire, members, model="m", stream=True)
    request = Elsewhere("https://x.test", {}, FixedAmbient()).prepare(call, MODEL, Secret({"token": "t"}))
    body: dict[str, Any] = json.loads(request.body)
    assert ("https://x.test/models/opus-5:stream", "Bearer t") == (request.url, request.headers["authorization"])
    assert ("elsewhere-1", False, True) == (body["version"], "model" in body, body["stream"])
    assert members == call.members


def test_without_a_key_nothing_can_be_sent() -> None:
    with pytest.raises(SecretUnavailable, match="api_key"):
        PROVIDER.prepare(chat_call(), MODEL, Secret({"other": "x"}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("opus-5", usual()),
        ("sonnet-4-5", usual(prefill=True)),
        ("3-5-haiku", usual(prefill=True, reasoning=False, json_schema=False)),
    ],
)
def test_says_what_a_model_can_do(name: str, expected: frozenset[str]) -> None:
    traits = PROVIDER.traits(name)
    assert ({"messages", "messages_count", "chat", "count"}, expected) == (traits.wires, traits.capabilities)


@pytest.mark.parametrize("wire", ["chat", "messages"])
@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', "overloaded"),
        (b'{"type":"error","error":{"type":"new_error","message":"m"}}', "server"),
        (b'{"type":"message"}', "protocol"),
        (b'{"type":"message","content":7}', "protocol"),
        (b'{"type":"message_batch","content":[]}', "protocol"),
        (b"[" * 100_000, "protocol"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(wire: str, body: bytes, cause: str) -> None:
    call = Call("chat", wire, {}, model="m")
    with pytest.raises(ProviderFault) as caught:
        PROVIDER.decode(call, RecordedHead(), body)
    assert cause == caught.value.cause


def test_an_answer_of_little_is_an_answer() -> None:
    answer = PROVIDER.decode(chat_call(), RecordedHead(), b'{"type":"message","content":[],"stop_reason":"end_turn"}')
    choice = json.loads(answer.body)["choices"][0]
    assert (None, "stop", None) == (choice["message"]["content"], choice["finish_reason"], answer.usage)


ODD = "mcp.server/go"


def call_with_odd_names() -> Call:
    long = "x" * 130
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in (ODD, long, "fits")]
    said = [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": ODD, "input": {}}]}]
    said += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "r"}]}]
    members: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": said, "tools": tools}
    members["tool_choice"] = {"type": "tool", "name": ODD}
    return Call("chat", "messages", {n: Raw(json.dumps(v).encode()) for n, v in members.items()}, model="m")


def test_names_of_tools_that_the_form_does_not_take_are_others_there_and_the_clients_own_here() -> None:
    call = call_with_odd_names()
    body = json.loads(PROVIDER.prepare(call, MODEL, None).body)
    sent = [tool["name"] for tool in body["tools"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in sent)
    assert "fits" == sent[2]
    assert sent[0] == body["messages"][0]["content"][0]["name"] == body["tool_choice"]["name"]
    block = {"type": "tool_use", "id": "2", "name": sent[0], "input": {"name": sent[0]}}
    message = {"type": "message", "id": "a", "model": "x", "content": [{"type": "text", "text": sent[0]}, block]}
    told = json.loads(PROVIDER.decode(call, RecordedHead(200), json.dumps(message).encode()).body)
    assert [message["content"][0], {**block, "name": ODD}] == told["content"]
    event = {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
    decoder = PROVIDER.decoder(call, RecordedHead(200))
    begun = {"type": "message_start", "message": message}
    *_, shown = decoder.feed(b"".join(b"data: %b\n\n" % json.dumps(it).encode() for it in (begun, event)))
    assert ODD == json.loads(shown.data)["content_block"]["name"]
