"""What becomes of a Messages request on its way to a provider of another wire format."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.anthropic.inbound import COUNT, GOLDEN, HELLO, MESSAGES, call, members, said
from switchgear.errors import InvalidRequest

REQUESTS = sorted((GOLDEN / "inbound_requests").glob("*.json"))


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_requests_are_translated(file: Path) -> None:
    golden = json.loads(file.read_text())
    given = {name: value for name, value in golden["request"].items() if name != "model"}
    made = MESSAGES.canonical(call(**given))
    assert golden["canonical"] == said(made)
    assert golden["dropped"] == list(made.dropped)


def test_the_translated_call_asks_for_the_same() -> None:
    asked = call(stream=True, max_tokens=77)
    made = MESSAGES.canonical(asked)
    assert ("chat", "chat", "m", True, 77, True) == (
        made.operation,
        made.wire,
        made.model,
        made.stream,
        made.max_tokens,
        made.usage_wanted,
    )
    assert asked.dropped == ()


def test_the_arguments_of_a_call_stay_as_the_client_wrote_them() -> None:
    body = b'{"type":"tool_use","id":"t","name":"n","input":{"a": 1e2, "b":12345678901234567890123, "a": 3}}'
    asked = call()
    asked.members["messages"] = type(asked.members["messages"])(b'[{"role":"assistant","content":[%b]}]' % body)
    [message] = said(MESSAGES.canonical(asked))["messages"]
    assert '{"a": 1e2, "b":12345678901234567890123, "a": 3}' == message["tool_calls"][0]["function"]["arguments"]


def test_a_strict_client_is_refused_what_would_be_dropped() -> None:
    asked = call(context_management={})
    asked.strict = True
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.canonical(asked)
    assert "context_management" == caught.value.param


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        ({"type": "disabled"}, None, {"reasoning_effort": "none"}),
        ({"type": "disabled"}, "high", {"reasoning_effort": "none"}),
        ({"type": "adaptive"}, None, {"reasoning_effort": "high"}),
        ({"type": "adaptive"}, "low", {"reasoning_effort": "low"}),
        ({"type": "adaptive", "display": "omitted"}, "xhigh", {"reasoning_effort": "xhigh", "thinking": ...}),
        ({"type": "enabled", "budget_tokens": 1024}, None, {"reasoning_effort": "low", "thinking": ...}),
        ({"type": "enabled", "budget_tokens": 4096}, None, {"reasoning_effort": "medium", "thinking": ...}),
        ({"type": "enabled", "budget_tokens": 16384}, None, {"reasoning_effort": "high", "thinking": ...}),
        ({"type": "enabled", "budget_tokens": 16384}, "max", {"reasoning_effort": "max", "thinking": ...}),
        ({"type": "between_tools"}, None, {"thinking": ...}),
        (None, "medium", {"reasoning_effort": "medium"}),
        (None, None, {}),
    ],
)
def test_thinking_becomes_an_effort(thinking: dict[str, Any] | None, effort: str | None, expected: Any) -> None:
    body: dict[str, Any] = {} if thinking is None else {"thinking": thinking}
    if effort is not None:
        body["output_config"] = {"effort": effort}
    made = MESSAGES.canonical(call(**body))
    found = {name: value for name, value in said(made).items() if name in ("reasoning_effort", "thinking")}
    assert {name: thinking if value is ... else value for name, value in expected.items()} == found
    assert made.dropped == ()


@pytest.mark.parametrize(
    ("given", "expected"), [("auto", "auto"), ("any", "required"), ("none", "none")], ids=["auto", "any", "none"]
)
def test_tool_choices_are_translated(given: str, expected: str) -> None:
    assert expected == said(MESSAGES.canonical(call(tool_choice={"type": given})))["tool_choice"]


def test_the_older_name_of_the_output_format_is_read_too() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
    assert wanted == said(MESSAGES.canonical(call(output_format=form)))["response_format"]


def test_nulls_are_not_passed_on() -> None:
    nothing = dict.fromkeys(("system", "tools", "temperature", "stop_sequences", "thinking", "output_config", "stream"))
    made = MESSAGES.canonical(call(**nothing, metadata={"user_id": None}))
    assert {"max_tokens": 9, "messages": HELLO} == said(made)
    assert made.dropped == ()


def user(*content: Any) -> list[Any]:
    return [{"role": "user", "content": list(content)}]


def assistant(*content: Any) -> list[Any]:
    return [*HELLO, {"role": "assistant", "content": list(content)}]


@pytest.mark.parametrize(
    ("param", "body"),
    [
        (
            "messages[0].content[0]",
            {"messages": user({"type": "image", "source": {"type": "file", "file_id": "f"}})},
        ),
        ("messages[0].content[0]", {"messages": user({"type": "container_upload", "file_id": "f"})}),
        ("messages[0].content[0]", {"messages": user({"type": "thinking", "thinking": "t", "signature": "s"})}),
        ("messages[1].content[0]", {"messages": assistant({"type": "image", "source": {"type": "url", "url": "x"}})}),
        ("system[0]", {"system": [{"type": "image", "source": {"type": "url", "url": "x"}}]}),
        (
            "messages[0].content[0].source.content[0]",
            {"messages": user({"type": "document", "source": {"type": "content", "content": [{"type": "document"}]}})},
        ),
        ("container", {"container": "c"}),
        ("mcp_servers", {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "n"}]}),
        ("inference_geo", {"inference_geo": "eu"}),
        ("thread", {"thread": {"type": "create"}}),
        ("max_tokens", {"max_tokens": 0}),
    ],
)
def test_what_cannot_be_carried_and_matters_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.canonical(call(**body))
    assert param == caught.value.param
    assert f"`{param}`" in caught.value.message
    assert caught.value.code in (
        "unsupported_content",
        "unsupported_tool",
        "unsupported_parameter",
        "thread_unsupported_request",
    )


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("messages[0]", {"messages": ["hello"]}),
        ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
        ("messages[0]", {"messages": [{"role": "user"}]}),
        ("messages[0].content[0].text", {"messages": user({"type": "text", "text": 5})}),
        ("messages[0].content[0].type", {"messages": user({"type": 5})}),
        ("messages[0].content[0].source", {"messages": user({"type": "image", "source": {"type": "base64"}})}),
        ("messages[0].content[0].source", {"messages": user({"type": "image", "source": {"type": "url"}})}),
        ("messages[1].content[0]", {"messages": assistant({"type": "tool_use", "id": "t", "name": "n"})}),
        (
            "messages[1].content[0].input",
            {"messages": assistant({"type": "tool_use", "id": "t", "name": "n", "input": [1]})},
        ),
        ("system", {"system": 5}),
        ("tools[0]", {"tools": [{"name": "a"}]}),
        ("tools[0].name", {"tools": [{"name": 5, "input_schema": {}}]}),
        ("tool_choice.name", {"tool_choice": {"type": "tool"}}),
        ("tool_choice.type", {"tool_choice": {"type": "must"}}),
        ("thinking", {"thinking": True}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": "many"}}),
        ("output_config.format.type", {"output_config": {"format": {"type": "grammar", "schema": {}}}}),
        ("metadata.user_id", {"metadata": {"user_id": 5}}),
        ("stop_sequences", {"stop_sequences": "END"}),
    ],
)
def test_what_is_malformed_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.canonical(call(**body))
    assert param == caught.value.param
    assert f"`{param}`" in caught.value.message


FOUND = {
    "type": "search_result",
    "title": "T",
    "source": "https://e.com",
    "content": [{"type": "text", "text": "found"}],
}
CALLED_BY_CODE = {"type": "tool_use", "id": "t", "name": "n", "input": {}, "caller": {"type": "code_execution"}}


@pytest.mark.parametrize(
    ("body", "told", "dropped"),
    [
        (user(FOUND), "T (https://e.com)\\nfound", "messages.content.search_result"),
        (
            user(
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "tool_reference", "tool_name": "late"}],
                }
            ),
            "[tool: late]",
            "messages.content.content.tool_reference",
        ),
        (assistant({"type": "compaction", "content": "so far"}), "so far", "messages.content.compaction"),
        (assistant(CALLED_BY_CODE), '"name":"n"', "messages.content.caller"),
        (
            assistant({"type": "thinking", "thinking": "hm", "signature": "switchgear.v1.%%"}),
            "hm",
            "messages.content.thinking",
        ),
        (
            assistant({"type": "text", "text": "a"}, {"type": "redacted_thinking", "data": "switchgear.v1.e30é"}),
            '"a"',
            "messages.content.redacted_thinking",
        ),
    ],
)
def test_what_is_past_and_has_no_form_elsewhere_is_told_and_named(body: list[Any], told: str, dropped: str) -> None:
    made = MESSAGES.canonical(call(messages=body))
    assert told in bytes(made.members["messages"]).decode()
    assert (dropped,) == made.dropped


def test_a_document_at_a_web_address_is_a_file_of_that_address() -> None:
    document = {"type": "document", "title": "a.pdf", "source": {"type": "url", "url": "https://e.com/a.pdf"}}
    made = MESSAGES.canonical(call(messages=user(document)))
    assert {"file_data": "https://e.com/a.pdf", "filename": "a.pdf"} == said(made)["messages"][0]["content"][0]["file"]


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("model", {"max_tokens": 1, "messages": HELLO}),
        ("model", {"model": "", "max_tokens": 1, "messages": HELLO}),
        ("messages", {"model": "m", "max_tokens": 1}),
        ("messages", {"model": "m", "max_tokens": 1, "messages": []}),
        ("max_tokens", {"model": "m", "messages": HELLO}),
        ("max_tokens", {"model": "m", "max_tokens": -1, "messages": HELLO}),
        ("max_tokens", {"model": "m", "max_tokens": "9", "messages": HELLO}),
        ("stream", {"model": "m", "max_tokens": 1, "messages": HELLO, "stream": "yes"}),
    ],
)
def test_the_head_is_checked(param: str, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.check(MESSAGES.parse(members(**body), {}))
    assert param == caught.value.param


def test_a_count_is_a_chat_without_a_bound() -> None:
    asked = COUNT.parse(members(model="m", messages=HELLO, system="s", tools=[{"name": "t", "input_schema": {}}]), {})
    made = COUNT.canonical(asked)
    assert ("messages_count", "count", "count", False, None) == (
        asked.wire,
        made.wire,
        made.operation,
        made.stream,
        made.max_tokens,
    )
    assert {
        "messages": [{"role": "system", "content": "s"}, *HELLO],
        "tools": [{"type": "function", "function": {"name": "t", "parameters": {}}}],
    } == said(made)


@pytest.mark.parametrize("body", [{"messages": HELLO}, {"model": "m"}])
def test_the_head_of_a_count_is_checked(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        COUNT.check(COUNT.parse(members(**body), {}))


WORDS = st.sampled_from(
    [
        "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "base64", "url", "content",
        "user", "assistant", "system", "custom", "auto", "tool", "enabled", "adaptive", "json_schema", "ephemeral",
        "switchgear.v1.e30=",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "type", "text", "source", "data", "url", "media_type", "content", "role", "id", "name", "input", "tool_use_id",
        "is_error", "thinking", "signature", "cache_control", "caller", "title", "input_schema", "format", "schema", "effort",
        "budget_tokens",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    [
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "cache_control",
    ]
)


@given(
    st.dictionaries(MEMBERS, ANYTHING, max_size=4), st.lists(st.dictionaries(NAMES, ANYTHING, max_size=5), max_size=2)
)
def test_whatever_comes_is_translated_or_refused(body: dict[str, Any], blocks: list[Any]) -> None:
    param = ""
    roles = []
    try:
        asked = call(**{"messages": user(*blocks), **body})
        MESSAGES.check(asked)
        roles = [message["role"] for message in said(MESSAGES.canonical(asked))["messages"]]
    except InvalidRequest as refused:
        param = refused.param or ""
    assert bool(roles) != bool(param), "one or the other, and by name"


def test_what_a_vendor_ran_in_an_earlier_turn_is_told_in_words_and_named() -> None:
    found = [{"type": "web_search_result", "url": "https://a.test", "title": "A", "encrypted_content": "x"}]
    failed = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    asked = assistant(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": found},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": failed},
        {"type": "text", "text": "It is A."},
    )
    made = MESSAGES.canonical(call(messages=asked))
    texts = [part["text"] for part in said(made)["messages"][1]["content"]]
    assert ['[web_search: {"query":"q"}]', "[Found:\nA: https://a.test]", "It is A."] == texts
    assert {"messages.content.server_tool_use", "messages.content.web_search_tool_result"} == set(made.dropped)
