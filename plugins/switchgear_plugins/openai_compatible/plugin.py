import os
from typing import Any

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.openai_compatible.provider import CompatibleProvider
from switchgear_plugins.openai_compatible.settings import CompatibleSettings

_OLD_BOUND = {"rename_members": {"max_completion_tokens": "max_tokens"}}

KNOWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "groq": ("GROQ_API_KEY", "https://api.groq.com/openai/v1", {"wires": ["chat", "responses"]}),
    "mistral": (
        "MISTRAL_API_KEY",
        "https://api.mistral.ai/v1",
        {
            "rename_members": {"max_completion_tokens": "max_tokens", "seed": "random_seed"},
            "stream_usage": False,
            "developer_role": "system",
        },
    ),
    "deepseek": (
        "DEEPSEEK_API_KEY",
        "https://api.deepseek.com",
        {"wires": ["chat"], "developer_role": "system", **_OLD_BOUND},
    ),
    "together": ("TOGETHER_API_KEY", "https://api.together.xyz/v1", {"developer_role": "system", **_OLD_BOUND}),
    "openrouter": (
        "OPENROUTER_API_KEY",
        "https://openrouter.ai/api/v1",
        {"wires": ["chat", "embeddings", "completions", "responses"]},
    ),
}
"""Servers that need no address of one's own: id → (environment variable of the key, base URL, settings)."""


class OpenAICompatiblePlugin(Plugin[NoSettings]):
    """Servers that speak OpenAI's chat completions under another address."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `openai_compatible`."""
        return [Offer("openai_compatible", CompatibleProvider, CompatibleSettings, "Any server with OpenAI's API")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of each well-known server whose key is in the environment."""
        found = []
        for id, (variable, base_url, settings) in KNOWN.items():
            variables = {"api_key": variable}
            found += seeds_from_environment(
                "openai_compatible", variables, os.environ, id=id, base_url=base_url, settings=settings
            )
        return found
