"""Members by which a client names models besides the one that it was permitted."""

from collections.abc import Mapping

from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.wire.members import prune

_PATHS = ("models", "route", "fallbacks", "preset", "providerOptions.gateway.models")
"""Of aggregators and gateways that answer by another model where the first one fails: https://openrouter.ai/docs,
https://vercel.com/docs/ai-gateway, https://docs.litellm.ai."""
OTHER_MODELS = frozenset(path.partition(".")[0] for path in _PATHS)


def without_other_models(call: Call, members: Mapping[str, Raw]) -> dict[str, Raw]:
    """Leave them out, and say so: nobody has looked whether this client may use those models."""
    kept, found = prune(members, _PATHS)
    call.drop(*found)
    return kept
