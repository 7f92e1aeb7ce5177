"""Members by which a client names models besides the one that it was permitted."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.wire.members import BROKEN, prune

_ELSEWHERE = ("models", "route", "fallbacks", "preset")
_PATHS = (
    *_ELSEWHERE,
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "providerOptions.gateway.models",
    "plugins.model",
    "plugins.models",
    "plugins.allowed_models",
    "compound_custom.models",
    "extra_body.model",
    *(f"extra_body.{name}" for name in _ELSEWHERE),
)
"""Of aggregators and gateways that answer by another model where the first one fails, or ask one more: https://openrouter.ai/docs,
https://vercel.com/docs/ai-gateway, https://docs.litellm.ai, https://console.groq.com/docs."""
OTHER_MODELS = frozenset(path.partition(".")[0] for path in _PATHS)
NAMES_OTHERS = "tools"
"""The member without which no tool names a model."""
_OF_TOOLS = ("model", "models", "allowed_models")
_IN_TOOLS = tuple(f"{NAMES_OTHERS}.{where}{name}" for where in ("", "parameters.") for name in _OF_TOOLS)
_MODEL = re.compile(rb'"(?:allowed_)?models?"[ \t\r\n]*:|\\u00')
_tools = msgspec.json.Decoder(list[dict[str, Raw]])
_any = msgspec.json.Decoder()


def models_of_tools(members: Mapping[str, Raw]) -> frozenset[str]:
    """Return the models that tools of the provider's own are to ask, as a picture's or an adviser's is."""
    tools = members.get(NAMES_OTHERS)
    if tools is None or _MODEL.search(tools) is None:
        return frozenset()
    found: set[str] = set()
    try:
        for tool in _tools.decode(tools):
            settings = tool.get("parameters")
            inner = settings is not None and _any.decode(settings)
            for said in (tool, inner if isinstance(inner, dict) else {}):
                for name in _OF_TOOLS:
                    value = said.get(name)
                    _note(_any.decode(value) if isinstance(value, Raw) else value, found)
    except BROKEN:
        return frozenset()  # which its dialect or its provider refuses
    return frozenset(found)


def _note(value: object, found: set[str]) -> None:
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str):
            found.add(each)


def without_other_models(call: Call, members: Mapping[str, Raw]) -> dict[str, Raw]:
    """Leave them out, and say so: nobody has looked whether this client may use those models. At tools they stay if it may."""
    kept, found = prune(members, (*_PATHS, *_IN_TOOLS) if call.bars_tools else _PATHS)
    call.drop(*found)
    return kept
