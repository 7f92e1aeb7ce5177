"""The community's catalogue of model prices and context windows, a JSON object by model name, as a book.

Prices there are dollars for one token, as floating point. Members that are not known here are passed over.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from switchgear_plugins.prices.book import BookTier, Dated, Model, Service, Vendor, Whole

_PROVIDERS = (
    (re.compile(r"openai|text-completion-openai"), "openai"),
    (re.compile(r"anthropic"), "anthropic"),
    (re.compile(r"vertex_ai.*|gemini"), "google"),
    (re.compile(r"bedrock.*"), "aws"),
    (re.compile(r"azure|azure_text"), "azure"),
    (re.compile(r"together_ai"), "together"),
    (re.compile(r"xai"), "x-ai"),
    (re.compile(r"fireworks_ai.*"), "fireworks"),
    (re.compile(r"moonshot"), "moonshotai"),
    (re.compile(r"groq|deepseek|mistral|openrouter|perplexity|cerebras|cohere|novita|cloudflare|databricks"), ""),
)
_HOSTS = {
    "groq": ("api.groq.com",), "deepseek": ("api.deepseek.com",), "mistral": ("api.mistral.ai",),
    "openrouter": ("openrouter.ai",),
    "perplexity": ("api.perplexity.ai",), "cerebras": ("api.cerebras.ai",), "cohere": ("api.cohere.ai", "api.cohere.com"),
    "novita": ("api.novita.ai",), "together": ("api.together.xyz", "api.together.ai"), "x-ai": ("api.x.ai",),
    "fireworks": ("api.fireworks.ai",), "moonshotai": ("api.moonshot.ai", "api.moonshot.cn"),
    "openai": ("api.openai.com",), "anthropic": ("api.anthropic.com",),
}  # fmt: skip
_UNITS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_request": "request",
}
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens")
_SERVICES = ("priority", "flex")
_SAMPLE = "sample_spec"


def looks_so(value: object) -> bool:
    """Say whether this is such a catalogue, of all JSON."""
    return isinstance(value, dict) and any(
        isinstance(it, dict) and "litellm_provider" in it for it in list(value.values())[:20]
    )


def read(value: Mapping[str, Any], date: str) -> Whole:
    """Make a book of it; models without any price, and of providers that are not known here, are left out."""
    found: dict[str, list[Model]] = {}
    for name, members in value.items():
        if name == _SAMPLE or not isinstance(members, dict):
            continue
        provider = _provider(str(members.get("litellm_provider", "")))
        dated = None if provider is None else _dated(members)
        if provider is not None and dated is not None:
            found.setdefault(provider, []).append(Model(name, (dated,), _names(name, members)))
    vendors = {
        provider: Vendor(tuple(models), _HOSTS.get(provider, ()), ("openai",) if provider == "azure" else ())
        for provider, models in sorted(found.items())
    }
    notice = "Prices from the LiteLLM project's model_prices_and_context_window.json, MIT License"
    return Whole("community catalogue", date, vendors, notice)


def _provider(name: str) -> str | None:
    return next((own or name for pattern, own in _PROVIDERS if pattern.fullmatch(name)), None)


def _names(name: str, members: Mapping[str, Any]) -> tuple[str, ...]:
    """A name with its provider before it is also that without; regions and deployments stay."""
    lower = name.lower()
    _, slash, rest = lower.partition("/")
    is_prefixed = slash and lower.startswith(f"{str(members['litellm_provider']).split('-', maxsplit=1)[0]}/")
    return (lower, rest) if is_prefixed else (lower,)


def _dated(members: Mapping[str, Any]) -> Dated | None:
    units = dict(_units(members, ""))
    if not units:
        return None
    services = {}
    for service in _SERVICES:
        if of_service := dict(_units(members, f"_{service}")):
            services[service] = Service(of_service)
    return Dated(units, _tiers(members), services)


def _tiers(members: Mapping[str, Any]) -> tuple[BookTier, ...]:
    tiers: dict[int, dict[str, int]] = {}
    for name, value in members.items():
        match = _ABOVE.fullmatch(name)
        unit = None if match is None else _UNITS.get(match[1])
        price = _microusd(value)
        if match is not None and unit is not None and price is not None:
            tiers.setdefault(int(match[2]) * 1000, {})[unit] = price
    return tuple(BookTier(above, tiers[above]) for above in sorted(tiers))


def _units(members: Mapping[str, Any], suffix: str) -> Iterator[tuple[str, int]]:
    for name, unit in _UNITS.items():
        price = _microusd(members.get(name + suffix))
        if price is not None:
            yield unit, price


def _microusd(price: object) -> int | None:
    """Turn dollars for one into microusd for a million; None for what is no price."""
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < 1000:  # noqa: PLR2004 - dollars a token
        return None
    return int((Decimal(repr(price)) * 10**12).to_integral_value())
