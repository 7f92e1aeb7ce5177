"""What is sent for a canonical chat: golden pairs, and what is refused."""

import json

import pytest

from support.vertex import GOLDEN, KEY, call, provider, target
from switchgear.contracts.credential import Secret
from switchgear.errors import InvalidRequest

CASES = sorted((GOLDEN / "requests").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_sends_what_the_golden_file_says(path):
    case = json.loads(path.read_text())
    asked = call(**case["call"])
    request = provider().prepare(asked, target(case["model"]), Secret(KEY))
    assert case["sent"] == json.loads(request.body)
    assert sorted(case["dropped"]) == sorted(asked.dropped)


@pytest.mark.parametrize(
    "path", [path for path in CASES if json.loads(path.read_text())["dropped"]], ids=lambda p: p.stem
)
def test_refuses_what_it_cannot_carry_when_strict(path):
    case = json.loads(path.read_text())
    with pytest.raises(InvalidRequest) as caught:
        provider().prepare(call(strict=True, **case["call"]), target(case["model"]), Secret(KEY))
    assert caught.value.param in case["dropped"]


def user(*parts: dict) -> dict:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def tool_call(arguments: str) -> dict:
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "tool", "content": "?"}]}, "messages[0].tool_call_id"),
        (user({"type": "image_url", "image_url": {"url": "ftp://x/y"}}), "messages[0].content[0].image_url.url"),
        (user({"type": "image_url", "image_url": {"url": "https://[x"}}), "messages[0].content[0].image_url.url"),
        (user({"type": "file", "file": {"file_id": "file-1"}}), "messages[0].content[0].file.file_id"),
        (
            user({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "a/b"}}),
            "messages[0].content[0].input_audio.format",
        ),
        (
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        ({"messages": [], "tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"messages": [], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"messages": [], "response_format": {"type": "grammar"}}, "response_format.type"),
        ({"messages": [], "reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"messages": [], "thinking": {"type": 7}}, "thinking"),
    ],
)
def test_refuses_what_dropping_would_falsify(members, param):
    with pytest.raises(InvalidRequest) as caught:
        provider().prepare(call(**members), target("gemini-3.5-flash"), Secret(KEY))
    assert param == caught.value.param


def test_lays_the_models_defaults_under_what_the_client_left_out():
    model = target("gemini-2.5-flash", temperature=0.1, max_tokens=10)
    asked = call(messages=[{"role": "user", "content": "Hi"}], temperature=0.9)
    sent = json.loads(provider().prepare(asked, model, Secret(KEY)).body)
    assert {"temperature": 0.9, "maxOutputTokens": 10} == sent["generationConfig"]


def test_sends_the_safety_settings_of_the_provider():
    chosen = {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE", "HARM_CATEGORY_HATE_SPEECH": "OFF"}
    asked = call(messages=[{"role": "user", "content": "Hi"}])
    sent = json.loads(provider(safety_settings=chosen).prepare(asked, target("gemini-2.5-flash"), Secret(KEY)).body)
    assert [{"category": name, "threshold": chosen[name]} for name in chosen] == sent["safetySettings"]


def test_tool_choice_without_tools_is_named():
    asked = call(messages=[{"role": "user", "content": "Hi"}], tool_choice="required")
    provider().prepare(asked, target("gemini-2.5-flash"), Secret(KEY))
    assert ("tool_choice",) == asked.dropped


def test_a_result_may_name_its_function_instead_of_its_call():
    asked = call(messages=[{"role": "tool", "name": "f", "content": "1"}])
    sent = json.loads(provider().prepare(asked, target("gemini-2.5-flash"), Secret(KEY)).body)
    response = {"name": "f", "response": {"output": "1"}}
    assert [{"role": "user", "parts": [{"functionResponse": response}]}] == sent["contents"]
    assert () == asked.dropped


@pytest.mark.parametrize(
    ("model", "level"), [("gemini-3-flash", "minimal"), ("gemini-3.7-flash", "low"), ("gemini-3.1-pro", "low")]
)
@pytest.mark.parametrize("effort", ["none", "minimal"])
def test_the_least_thinking_is_what_the_model_takes(model: str, level: str, effort: str) -> None:
    asked = call(messages=[{"role": "user", "content": "q"}], reasoning_effort=effort)
    sent = json.loads(provider().prepare(asked, target(model), Secret(KEY)).body)
    assert level == sent["generationConfig"]["thinkingConfig"]["thinkingLevel"]
