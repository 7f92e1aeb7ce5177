from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.vertex.provider import VertexProvider
from switchgear_plugins.vertex.settings import VertexProviderSettings


class VertexPlugin(Plugin[NoSettings]):
    """Google's models: Gemini on Vertex AI and AI Studio, and Claude on Vertex AI."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `vertex`."""
        return [Offer("vertex", VertexProvider, VertexProviderSettings, "Google's Vertex AI and AI Studio")]
