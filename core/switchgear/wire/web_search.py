"""The web searched by whoever runs the model: a chat asks for it in `web_search_options`, others with a tool of the vendor's.

Wire: platform.openai.com/docs/guides/tools-web-search, platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool,
ai.google.dev/gemini-api/docs/google-search. `allowed_domains` among the options is what chats have no word for.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

MEMBER = "web_search_options"
"""The canonical member."""
TOOL = "web_search"
"""What the types of such tools begin with, and the name that one has among functions."""

_PLACE = ("city", "country", "region", "timezone")


def options_of(tool: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """Return what a vendor's tool asks for as a chat's options, and the members of the tool that are lost by it."""
    found: Json = {}
    if isinstance(size := tool.get("search_context_size"), str):
        found["search_context_size"] = size
    place = tool.get("user_location")
    if isinstance(place, dict) and (known := {name: place[name] for name in _PLACE if place.get(name)}):
        found["user_location"] = {"type": "approximate", "approximate": known}
    filters = tool.get("filters")
    domains = tool.get("allowed_domains") or (filters.get("allowed_domains") if isinstance(filters, dict) else None)
    if domains:
        found["allowed_domains"] = domains
    carried = {"type", "name", "search_context_size", "user_location", "allowed_domains", "filters", "cache_control"}
    return found, [name for name, value in tool.items() if name not in carried and value not in (None, True)]


def messages_tool(options: Json) -> Json:
    """Write options as the tool of the Messages form."""
    return {"type": "web_search_20250305", "name": TOOL, **_flat(options)}


def responses_tool(options: Json) -> Json:
    """Write options as the tool of the Responses form."""
    flat = _flat(options)
    if domains := flat.pop("allowed_domains", None):
        flat["filters"] = {"allowed_domains": domains}
    if size := options.get("search_context_size"):
        flat["search_context_size"] = size
    return {"type": TOOL, **flat}


def _flat(options: Json) -> Json:
    found: Json = {}
    place = options.get("user_location")
    if isinstance(place, dict) and isinstance(place.get("approximate"), dict):
        found["user_location"] = {"type": "approximate", **place["approximate"]}
    if options.get("allowed_domains"):
        found["allowed_domains"] = options["allowed_domains"]
    return found


def citation(url: str, title: str, start: int, end: int) -> Json:
    """Write where a part of a text was found, as a chat's annotation."""
    return {
        "type": "url_citation",
        "url_citation": {"start_index": start, "end_index": end, "url": url, "title": title},
    }
