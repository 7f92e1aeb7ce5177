"""Writes the price book that the plugin `prices` comes with, from the data of the package `genai-prices` (MIT).

    pip download genai-prices --no-deps && unzip genai_prices-*.whl -d build/genai && \
    PYTHONPATH=build/genai python contrib/prices/build.py

The book is `plugins/switchgear_plugins/prices/book.json`; the package's licence stands beside it.
"""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from genai_prices import data, types

HERE = Path(__file__).parents[2] / "plugins" / "switchgear_plugins" / "prices"
UNITS = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cached_input", "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h", "input_audio_mtok": "audio_input", "output_audio_mtok": "audio_output",
    "cache_audio_read_mtok": "cached_audio_input", "input_image_mtok": "image_input", "output_image_mtok": "image_output",
    "cache_image_read_mtok": "cached_image_input", "input_video_mtok": "video_input", "output_video_mtok": "video_output",
    "output_reasoning_mtok": "reasoning", "requests_kcount": "request",
}  # fmt: skip
"""Its prices of a million tokens, in our units; a thousand requests are its `requests_kcount`. Others have no unit of ours."""
LEFT_OUT = re.compile(r"huggingface_|github-copilot|cursor|openai-decisions|modal|quicksilverpro|elevenlabs|typesafe")
"""Providers that are left out: resellers, and those that do not bill by token."""
HOSTS = {
    "arcee": ["api.arcee.ai"], "baseten": ["inference.baseten.co"], "cerebras": ["api.cerebras.ai"],
    "cloudflare": ["api.cloudflare.com"],
    "cohere": ["api.cohere.ai", "api.cohere.com"], "deepseek": ["api.deepseek.com"], "doubleword": ["api.doubleword.ai"],
    "fireworks": ["api.fireworks.ai"], "groq": ["api.groq.com"], "meta": ["api.meta.ai"],
    "minimax": ["api.minimax.io", "api.minimaxi.com"],
    "mistral": ["api.mistral.ai"], "moonshotai": ["api.moonshot.ai", "api.moonshot.cn"], "novita": ["api.novita.ai"],
    "openrouter": ["openrouter.ai"],
    "ovhcloud": ["oai.endpoints.kepler.ai.cloud.ovh.net"], "perplexity": ["api.perplexity.ai"],
    "together": ["api.together.xyz", "api.together.ai"], "voyageai": ["api.voyageai.com"],
    "x-ai": ["api.x.ai"], "zai": ["api.z.ai"],
    "zhipuai": ["open.bigmodel.cn"], "anthropic": ["api.anthropic.com"], "openai": ["api.openai.com"], "avian": ["api.avian.io"],
}  # fmt: skip
"""Where providers are: the hosts by which one of a server with another's API is known."""
SERVICES = {"priority", "flex", "fast", "batch"}


def microusd(price: Decimal, unit: str) -> int:
    scale = Decimal(1000) if unit == "request" else Decimal(1)
    return int((price * 1_000_000 * scale).to_integral_value(rounding="ROUND_HALF_UP"))


def units_of(price: types.ModelPrice) -> tuple[dict[str, int], dict[int, dict[str, int]]]:
    """Return base prices, and by threshold those of longer calls."""
    units: dict[str, int] = {}
    tiers: dict[int, dict[str, int]] = {}
    for name, value in vars(price).items():
        unit = UNITS.get(name)
        if unit is None or value is None:
            continue
        if isinstance(value, types.TieredPrices):
            units[unit] = microusd(value.base, unit)
            for tier in value.tiers:
                tiers.setdefault(tier.start, {})[unit] = microusd(tier.price, unit)
        else:
            units[unit] = microusd(value, unit)
    return units, tiers


def entry(price: types.ModelPrice, since: date | None) -> dict[str, Any]:
    units, tiers = units_of(price)
    found: dict[str, Any] = {"units": units}
    if tiers:
        found["tiers"] = [{"above": start, "units": tiers[start]} for start in sorted(tiers)]
    if since is not None:
        found["since"] = since.isoformat()
    return found


def prices_of(model: types.ModelInfo) -> list[dict[str, Any]]:
    """Return a model's prices, oldest first. What depends on the time of day is left out: the price of all other times stays."""
    dated = model.prices if isinstance(model.prices, list) else [types.ConditionalPrice(prices=model.prices)]
    found = []
    for one in dated:
        if isinstance(one.constraint, types.TimeOfDateConstraint):
            continue
        since = getattr(one.constraint, "start_date", None)
        found.append(entry(one.prices, since))
    services: dict[str, Any] = {}
    for variant in model.price_variants or ():
        name = variant.when.get("service_tier")
        if len(variant.when) == 1 and name in SERVICES and vars(variant.prices):
            units, tiers = units_of(variant.prices)
            services[name] = {
                "units": units,
                **({"tiers": [{"above": s, "units": u} for s, u in sorted(tiers.items())]} if tiers else {}),
            }
    if services and found:
        found[-1]["services"] = services
    return [one for one in found if one["units"]]


def clause(match: Any) -> dict[str, Any]:
    kind = type(match).__name__
    if kind == "ClauseOr":
        return {"or": [clause(one) for one in match.or_]}
    if kind == "ClauseAnd":
        return {"and": [clause(one) for one in match.and_]}
    for name in ("equals", "starts_with", "ends_with", "contains", "regex"):
        if hasattr(match, name):
            return {name: getattr(match, name)}
    raise ValueError(f"{kind} is a way to match that is not known here")


def model_of(model: types.ModelInfo) -> dict[str, Any] | None:
    prices = prices_of(model)
    if not prices:
        return None
    match = clause(model.match)
    parts = match.get("or", [match])
    names = [part["equals"].lower() for part in parts if "equals" in part]
    found: dict[str, Any] = {"id": model.id, "prices": prices}
    if rest := [part for part in parts if "equals" not in part]:
        found["match"] = rest
    if names and names != [model.id.lower()]:
        found["names"] = names
    return found


def main() -> None:
    package = distribution("genai-prices")
    providers = {}
    for provider in data.providers:
        if LEFT_OUT.match(provider.id):
            continue
        models = [found for model in provider.models if (found := model_of(model)) is not None]
        providers[provider.id] = {
            "hosts": HOSTS.get(provider.id, []),
            "fallback": provider.fallback_model_providers or [],
            "models": models,
        }
    head = {
        "source": f"genai-prices {package.version}",
        "date": datetime.now(UTC).date().isoformat(),
        "notice": "Prices from https://github.com/pydantic/genai-prices, MIT License, "
        "Copyright (c) Pydantic Services Inc. 2025 to present",
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in providers.items()]
    text = json.dumps(head)[:-1] + ', "providers": {\n' + ",\n".join(lines) + "\n}}\n"
    (HERE / "book.json").write_text(text)
    licence = next(file for file in package.files or () if "LICENSE" in file.name)
    (HERE / "book.LICENSE").write_text(Path(str(licence.locate())).read_text())
    print(len(text), "bytes,", sum(len(one["models"]) for one in providers.values()), "models")


if __name__ == "__main__":
    main()
