import os

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.vertex.provider import VertexProvider
from switchgear_plugins.vertex.settings import VertexProviderSettings


class VertexPlugin(Plugin[NoSettings]):
    """Google's models: Gemini on Vertex AI and AI Studio, and Claude on Vertex AI."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `vertex`."""
        return [Offer("vertex", VertexProvider, VertexProviderSettings, "Google's Vertex AI and AI Studio")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of the AI Studio key in the environment, if there is one."""
        variable = "GEMINI_API_KEY" if os.environ.get("GEMINI_API_KEY") else "GOOGLE_API_KEY"
        return seeds_from_environment("vertex", {"api_key": variable}, os.environ, id="gemini")
