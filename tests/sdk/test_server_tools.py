"""Searching the web is asked of each vendor in its own words, where it has them; elsewhere it is named as dropped."""

import json
from typing import Any

import pytest

from matrix.clients import CLIENTS
from sdk.served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUNCTION = {"type": "object", "properties": {}}
WISHES: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "q"}], "web_search_options": {}},
    "messages": {
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "q"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["e.com"]}],
    },
    "responses": {"input": "q", "tools": [{"type": "web_search", "filters": {"allowed_domains": ["e.com"]}}]},
}
BESIDE = {
    "messages": {"name": "f", "input_schema": FUNCTION},
    "responses": {"type": "function", "name": "f", "parameters": FUNCTION},
}
NAMES = {
    "chat": "web_search_options",
    "messages": "tools.web_search_20250305",
    "responses": "tools[0].web_search",
}
SEARCHES = {
    "openai": "web_search",
    "anthropic": "web_search_20250305",
    "vertex_claude": "web_search_20250305",
    "vertex": "googleSearch",
    "ai_studio": "googleSearch",
}


def told(tools: Any) -> list[str]:
    return [tool.get("type") or next(iter(tool)) for tool in tools or ()]


async def asked(served: Served, provider: str, dialect: str, **members: Any) -> tuple[list[str], str]:
    body = {**WISHES[dialect], **members, "model": served.model(provider, "text")}
    headers = {**served.run.auth, "anthropic-version": "2023-06-01"}
    answer = await served.run.http.post(CLIENTS[dialect].path, json=body, headers=headers)
    assert 200 == answer.status_code, answer.text
    return told(json.loads(served.last.body).get("tools")), answer.headers.get("x-switchgear-dropped", "")


@pytest.mark.parametrize("dialect", WISHES)
async def test_a_search_goes_to_whoever_has_one(all_providers: Served, provider: str, dialect: str) -> None:
    tools, dropped = await asked(all_providers, provider, dialect)
    if dialect in all_providers.rows[provider].native or (provider, dialect) == ("openai", "chat"):
        assert "" == dropped
    elif provider in SEARCHES:
        assert [SEARCHES[provider]] == tools
        assert NAMES[dialect] not in dropped.split(", ")
    else:
        assert [] == tools
        assert NAMES[dialect] in dropped.split(", ")


@pytest.mark.parametrize("dialect", BESIDE)
async def test_beside_functions_it_goes_where_both_are_taken(
    all_providers: Served, provider: str, dialect: str
) -> None:
    both = [*WISHES[dialect]["tools"], BESIDE[dialect]]
    tools, dropped = await asked(all_providers, provider, dialect, tools=both)
    if dialect in all_providers.rows[provider].native:
        assert 2 == len(tools)
    elif SEARCHES.get(provider, "googleSearch") == "googleSearch":
        assert NAMES[dialect] in dropped.split(", ")
    else:
        assert SEARCHES[provider] in tools
        assert 2 == len(tools)
