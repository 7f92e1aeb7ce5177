"""What is asked and what the upstream says, before any wire has shaped either."""

import base64
from typing import Any, Literal

from msgspec import Struct

from support.faultup import Script, ToolCall

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(56)).decode()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CALLS = (ToolCall("weather", '{"city":"Paris"}'), ToolCall("clock", '{"zone":"CET"}'))
TOOLS: dict[str, dict[str, Any]] = {
    "weather": WEATHER,
    "clock": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
SAYS = "Hello there, you."
THINKS = "Let me think about it."


class Wish(Struct, frozen=True, kw_only=True):
    """What a client asks. Every dialect writes it in its own words, or has none for it."""

    image: Literal["none", "data", "url"] = "none"
    tools: bool = False
    choice: Literal["none", "required", "named"] | None = None
    schema: bool = False
    effort: str | None = None
    limit: int | None = None
    options: bool = False
    results: bool = False  # goes on with the results of the tools that were called
    several: bool = False  # wants two answers


class Expected(Struct, frozen=True, kw_only=True):
    """What the client must see."""

    text: str = SAYS
    calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    refusal: str = ""
    finish: str = "stop"
    status: int = 200
    cut: bool = False
    usage: tuple[int, int, int] = (40, 0, 0)  # all input, of it cached, of it written to the cache


class Case(Struct, frozen=True):
    """One row of the matrix: a wish, the script that answers, and what the client must see of it."""

    script: Script
    expected: Expected
    wish: Wish = Wish()
    stream_only: bool = False


def _said(**fields: Any) -> Script:
    return Script(strict=True, **{"prompt_tokens": 40, "content": SAYS, **fields})


def _fails(cause: Any, status: int, **headers: str) -> Case:
    return Case(
        _said(cause=cause, headers={name.replace("_", "-"): v for name, v in headers.items()}), Expected(status=status)
    )


_THOUGHT = {"reasoning": THINKS, "redacted": "nobody may read this"}

CASES: dict[str, Case] = {
    "text": Case(_said(), Expected()),
    "options": Case(_said(), Expected(), Wish(options=True)),
    "length": Case(_said(content="word " * 20), Expected(text="word " * 16, finish="length"), Wish(limit=16)),
    "tools": Case(
        _said(tool_calls=CALLS, content=None), Expected(text="", calls=CALLS, finish="tool_calls"), Wish(tools=True)
    ),
    "tools_results": Case(
        _said(tool_calls=CALLS, content=None), Expected(text="The tools said: "), Wish(tools=True, results=True)
    ),
    "tools_none": Case(
        _said(tool_calls=CALLS, content=None),
        Expected(text="Nobody offered weather or clock."),
        Wish(tools=True, choice="none"),
    ),
    "tools_required": Case(
        _said(tool_calls=CALLS, content=None),
        Expected(text="", calls=CALLS, finish="tool_calls"),
        Wish(tools=True, choice="required"),
    ),
    "tools_named": Case(
        _said(tool_calls=CALLS[:1], content=None),
        Expected(text="", calls=CALLS[:1], finish="tool_calls"),
        Wish(tools=True, choice="named"),
    ),
    "image_data": Case(_said(describe=True), Expected(text="I see image/png of 64 bytes."), Wish(image="data")),
    "image_url": Case(_said(describe=True), Expected(text="I see https://example.com/a.png."), Wish(image="url")),
    "structured": Case(_said(conform=True), Expected(text='{"city":"text","people":7}'), Wish(schema=True)),
    "reasoning": Case(_said(**_THOUGHT), Expected(reasoning=THINKS), Wish(effort="low")),
    "reasoning_tools": Case(
        _said(tool_calls=CALLS, **{**_THOUGHT, "content": None}),
        Expected(text="The tools said: "),
        Wish(effort="low", tools=True, results=True),
    ),
    "refusal": Case(_said(refusal="I will not."), Expected(text="", refusal="I will not.", finish="stop")),
    "filtered": Case(_said(finish_reason="content_filter"), Expected(finish="content_filter")),
    "usage": Case(_said(prompt_tokens=120, cached_tokens=100), Expected(usage=(120, 100, 0))),
    "several": Case(_said(), Expected(), Wish(several=True)),
    "cut": Case(_said(cut_after_chunks=2), Expected(text="Hello there, ", cut=True), stream_only=True),
    "fails_late": Case(_said(error_event_after=2), Expected(text="Hello there, ", cut=True), stream_only=True),
    "error_invalid_request": _fails("invalid_request", 400),
    "error_context_length": _fails("context_length", 400),
    "error_content_filter": _fails("content_filter", 400),
    "error_rate_limit": _fails("rate_limit", 429, retry_after="7"),
    "error_quota": _fails("quota", 429),
    "error_overloaded": _fails("overloaded", 503),
    "error_server": _fails("server", 502),
    "error_auth": _fails("auth", 502),
    "error_permission": _fails("permission", 502),
    "error_not_found": _fails("not_found", 404),
}

OPTIONS: dict[str, Any] = {
    "temperature": 0.37,
    "top_p": 0.83,
    "stop": "HALT",
    "limit": 77,
    "user": "user-4711",
    "seed": 4242,
    "presence_penalty": 0.11,
    "frequency_penalty": 0.22,
    "metadata": {"team": "blue-4711"},
}
"""Values so odd that they are found again in whatever form they reach the upstream."""
