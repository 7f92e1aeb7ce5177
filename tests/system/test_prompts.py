"""Prompts that calls refer to, in every dialect, with their versions; rendering and the library over the admin API."""

import json
from typing import Any

import msgspec
import pytest

from support.faultup import FaultUpstream
from support.gateway import SOURCE, Running, running
from switchgear_plugins.prompts.library import library
from switchgear_plugins.prompts.resources import Prompt, problems

ENABLED = "prompts = { enabled = true, most_characters = 10000 }"


@pytest.fixture
async def gateway(tmp_path, upstream: FaultUpstream):
    async with running(tmp_path, upstream, plugins=ENABLED) as run:
        await run.create("prompts", id="greet", content="Speak ${var:language:English} to ${var:name}.")
        yield run


def sent(upstream: FaultUpstream) -> Any:
    return json.loads(upstream.ledger.entries[-1].body)


def reference(**members: Any) -> dict[str, Any]:
    return {"role": "system", "prompt_id": "greet", "variables": {"name": "Ann"}, **members}


async def ask(run: Running, path: str, **body: Any) -> Any:
    return await run.http.post(path, json={"model": "m", **body}, headers=run.auth)


HI = {"role": "user", "content": "Hi"}
SAID = "Speak English to Ann."


async def test_a_chat_says_what_its_prompt_says(gateway: Running, upstream: FaultUpstream) -> None:
    for stream in (False, True):
        answer = await ask(gateway, "/v1/chat/completions", messages=[reference(), HI], stream=stream)
        assert 200 == answer.status_code, answer.text
        assert [{"role": "system", "content": SAID}, HI] == sent(upstream)["messages"]
        record = await gateway.usage_of(answer.headers["x-request-id"])
        assert {"prompt": "greet", "prompt_version": "1"} == record["labels"]


async def test_messages_say_it_in_their_system_text(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("credentials", id="a", type="anthropic", source=SOURCE)
    await gateway.create("providers", id="a", type="anthropic", base_url=upstream.url, credential_id="a")
    await gateway.create("models", id="claude", provider_id="a", provider_model="claude-opus-4-5")
    body = {"model": "claude", "max_tokens": 9, "messages": [reference(), HI]}
    answer = await gateway.http.post("/v1/messages", json=body, headers=gateway.auth)
    assert 200 == answer.status_code, answer.text
    assert [HI] == sent(upstream)["messages"]
    assert SAID in json.dumps(sent(upstream)["system"])


async def test_responses_say_it_in_their_instructions(gateway: Running, upstream: FaultUpstream) -> None:
    answer = await ask(gateway, "/v1/responses", input=[reference(), HI])
    assert 200 == answer.status_code, answer.text
    assert SAID == sent(upstream)["instructions"]


async def test_a_prompt_of_several_messages_stands_where_it_is_referred_to(
    gateway: Running, upstream: FaultUpstream
) -> None:
    messages = [{"role": "system", "content": "Be ${var:how:brief}."}, {"role": "user", "content": "1+${var:n}?"}]
    await gateway.create("prompts", id="sum", messages=messages)
    asked = [HI, {"role": "user", "prompt_id": "sum", "variables": {"n": 2}}, {"role": "assistant", "content": "3"}, HI]
    await ask(gateway, "/v1/chat/completions", messages=asked)
    expected = [HI, {"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+2?"}, asked[2], HI]
    assert expected == sent(upstream)["messages"]


async def test_a_version_is_the_one_that_was_written_then(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.patch("/prompts/greet", content="New for ${var:name}.")
    for members, text, version in (
        ({}, "New for Ann.", "2"),
        ({"version": 1}, SAID, "1"),
        ({"version": 2}, "New for Ann.", "2"),
    ):
        answer = await ask(gateway, "/v1/chat/completions", messages=[reference(**members), HI])
        assert text == sent(upstream)["messages"][0]["content"]
        record = await gateway.usage_of(answer.headers["x-request-id"])
        assert version == record["labels"]["prompt_version"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt_id": "nope"}, "prompt_not_found"),
    ({"version": 9}, "prompt_not_found"),
    ({"version": 0}, "prompt_not_found"),
    ({"variables": {}}, "missing_variables"),
    ({"variables": {"name": ["Ann"]}}, "invalid_reference"),
    ({"variable": {}}, "invalid_reference"),
    ({"prompt_id": 7}, "invalid_reference"),
    ({"variables": {"name": "x" * 10_001}}, "prompt_too_long"),
]


async def test_a_reference_that_cannot_be_followed_is_refused(gateway: Running, upstream: FaultUpstream) -> None:
    for members, code in REFUSED:
        answer = await ask(gateway, "/v1/chat/completions", messages=[reference(**members), HI])
        assert (400, code) == (answer.status_code, answer.json()["error"]["code"]), members
    assert not upstream.ledger.entries


async def test_a_prompt_that_is_disabled_or_another_teams_is_not_there(
    gateway: Running, upstream: FaultUpstream
) -> None:
    await gateway.create("prompts", id="theirs", content="Red things.", team_id="red")
    await gateway.create("prompts", id="off", content="Off.", enabled=False)
    _, red = await gateway.new_key(team_id="red")
    codes = set()
    for id in ("theirs", "off", "nope"):
        answer = await ask(gateway, "/v1/chat/completions", messages=[{"role": "system", "prompt_id": id}, HI])
        codes.add((answer.status_code, answer.json()["error"]["message"].replace(id, "ID")))
    assert 1 == len(codes)
    assert not upstream.ledger.entries
    gateway.key = red
    answer = await ask(gateway, "/v1/chat/completions", messages=[{"role": "system", "prompt_id": "theirs"}, HI])
    assert 200 == answer.status_code, answer.text


async def test_a_message_with_content_is_no_reference_and_goes_through_as_it_came(
    gateway: Running, upstream: FaultUpstream
) -> None:
    mine = {"role": "user", "content": "Hi", "prompt_id": "of the client"}
    answer = await ask(gateway, "/v1/chat/completions", messages=[mine])
    assert 200 == answer.status_code, answer.text
    assert [mine] == sent(upstream)["messages"]


async def test_explain_says_which_prompts_a_call_is_made_of(gateway: Running) -> None:
    key, _ = await gateway.new_key()
    asked = {"request": {"model": "m", "messages": [reference(), HI]}, "key_id": key}
    said = (await gateway.admin.post("/explain", json=asked)).json()
    [policy] = [it for it in said["policies"] if it["name"] == "prompts"]
    assert {"prompts": [{"id": "greet", "version": 1}]} == policy["says"]


async def test_rendering_shows_what_is_missing_and_what_is_unused(gateway: Running) -> None:
    rendered = await gateway.act("/prompts/greet/render", variables={"language": "Latin", "other": 1})
    assert ["name"] == rendered["missing"]
    assert ["other"] == rendered["unused"]
    assert [{"role": None, "content": "Speak Latin to ${var:name}."}] == rendered["messages"]
    assert [{"name": "language", "default": "English"}, {"name": "name", "default": None}] == rendered["variables"]
    text = await gateway.act("/prompts/render", content="${var:a:x}${var:b}", variables={"b": "y"})
    assert ("xy", None) == (text["messages"][0]["content"], text["version"])
    wrong = await gateway.admin.post("/prompts/render", json={"content": "${var:}"})
    assert (422, "/content") == (wrong.status_code, wrong.json()["errors"][0]["pointer"])
    assert 404 == (await gateway.admin.post("/prompts/greet/render", json={"version": 3})).status_code


async def test_an_id_is_letters_digits_and_hyphens(gateway: Running) -> None:
    for id in ("a_b", "a.b", "library", "render", "x" * 51):
        answer = await gateway.admin.post("/prompts", json={"id": id, "content": "x"})
        assert 422 == answer.status_code, answer.text


async def test_a_prompt_has_either_content_or_messages(gateway: Running) -> None:
    both = {"id": "p", "content": "x", "messages": [{"role": "user", "content": "y"}]}
    for body in (both, {"id": "p"}, {"id": "p", "content": " "}):
        answer = await gateway.admin.post("/prompts", json=body)
        assert (422, "/content") == (answer.status_code, answer.json()["errors"][0]["pointer"])


async def test_the_library_is_installed_and_never_written_over(gateway: Running) -> None:
    assert 17 == len(library())
    await gateway.create("prompts", id="translate", content="My own.")
    first = await gateway.act("/prompts/library/install", ids=["translate", "title"])
    assert {"installed": ["title"], "existing": ["translate"]} == first
    rest = await gateway.act("/prompts/library/install")
    assert 15 == len(rest["installed"])
    assert "My own." == (await gateway.admin.get("/prompts/translate")).json()["content"]
    listed = (await gateway.admin.get("/prompts/library")).json()["data"]
    assert [True] * 17 == [it["installed"] for it in listed]
    assert 404 == (await gateway.admin.post("/prompts/library/install", json={"ids": ["nope"]})).status_code


@pytest.mark.parametrize("id", library())
def test_every_prompt_of_the_library_can_be_a_prompt(id: str) -> None:
    body = library()[id]
    assert [] == problems(msgspec.convert(body, Prompt))
    assert body["name"]
    assert body["description"]
