"""Claude on Vertex AI: both forms in, one address out; who answered is told by the answer."""

import json

import pytest
from msgspec import Raw

from support.vertex import KEY, TOKEN, call, golden, provider, target
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderFault
from switchgear.errors import ConnectionBroken
from switchgear.testing.provider_suite import RecordedHead, text_of

NAME = "claude-sonnet-4-5@20250929"
ACME = "https://us-east5-aiplatform.googleapis.com/v1/projects/acme/locations/us-east5/publishers/anthropic/models"
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


def sent(wire: str, *, stream: bool = False, name: str = NAME, **members: object) -> tuple[str, dict]:
    members = {**HELLO, "max_tokens": 5, **members}
    found = provider(project="acme", location="us-east5")
    asked = call(wire, stream=stream, **members)
    if stream:
        asked.members["stream"] = Raw(b"true")
    request = found.prepare(asked, target(name), Secret(TOKEN))
    assert "Bearer ya29.t" == request.headers["authorization"]
    return request.url, json.loads(request.body)


def test_a_message_goes_as_it_came_but_for_model_and_version():
    members = {"system": "S", "max_tokens": 5, "top_k": 3, "frobnicate": [None]}
    want = {"anthropic_version": "vertex-2023-10-16", **HELLO, **members}
    assert (f"{ACME}/{NAME}:rawPredict", want) == sent("messages", **members)
    assert (f"{ACME}/{NAME}:streamRawPredict", {**want, "stream": True}) == sent("messages", stream=True, **members)


def test_a_chat_is_translated():
    url, body = sent("chat", name=f"publishers/anthropic/models/{NAME}", stop="END")
    assert f"{ACME}/{NAME}:rawPredict" == url
    assert ("vertex-2023-10-16", 5, ["END"], False) == (
        body["anthropic_version"],
        body["max_tokens"],
        body["stop_sequences"],
        "model" in body,
    )


def test_counts_at_an_address_of_its_own():
    url, body = sent("count")
    assert f"{ACME}/count-tokens:rawPredict" == url
    assert (NAME, "vertex-2023-10-16", False) == (body["model"], body["anthropic_version"], "max_tokens" in body)


def test_reads_both_forms_of_an_answer():
    found = provider(project="acme")
    whole = golden("answers/claude.json")
    assert whole == found.decode(call("messages"), RecordedHead(), whole).body
    completion = json.loads(found.decode(call(), RecordedHead(), whole).body)
    assert "Héllo" == completion["choices"][0]["message"]["content"]
    assert b'{"input_tokens":14}' == found.decode(call("count"), RecordedHead(), b'{"input_tokens": 14}').body


def test_a_stream_of_its_own_form_goes_by_as_it_came():
    decoder = provider(project="acme").decoder(call("messages", stream=True), RecordedHead())
    events = decoder.feed(golden("streams/claude.sse"))
    decoder.close()
    assert [b"message_start", b"message_stop"] == [events[0].name, events[-1].name]


def test_tells_the_vendors_streams_apart_wherever_they_are_cut():
    for name, text in (("claude", "Héllo"), ("text", "Héllo, wörld")):
        body = golden(f"streams/{name}.sse")
        for at in range(40):
            decoder = provider(project="acme").decoder(call(stream=True), RecordedHead())
            events = [*decoder.feed(body[:at]), *decoder.feed(body[at:])]
            decoder.close()
            assert text == text_of(events)


def test_a_stream_that_never_says_whose_it_is_is_broken():
    decoder = provider(project="acme").decoder(call(stream=True), RecordedHead())
    assert [] == decoder.feed(b": hello\n" * 10_000)
    with pytest.raises(ConnectionBroken):
        decoder.close()


def test_an_error_of_either_vendor_is_read():
    found = provider(project="acme")
    google = b'[{"error":{"code":404,"message":"Publisher Model was not found.","status":"NOT_FOUND"}}]'
    theirs = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}'
    causes = [
        found.fault(call("messages"), RecordedHead(status), body).cause
        for status, body in ((404, google), (400, theirs))
    ]
    assert ["not_found", "context_length"] == causes
    with pytest.raises(ProviderFault):
        found.decode(call(), RecordedHead(), theirs)


def test_a_key_is_sent_as_googles():
    request = provider(project="acme").prepare(call(**HELLO), target(NAME), Secret(KEY))
    assert ("k-1", False) == (request.headers["x-goog-api-key"], "x-api-key" in request.headers)
