"""Any server that speaks OpenAI's chat completions (vLLM, Ollama, Groq, Mistral, DeepSeek, Together, OpenRouter …)."""

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.wire.chat_provider import ChatProvider
from switchgear_plugins.openai_compatible.settings import CompatibleSettings


class CompatibleProvider(ChatProvider):
    """A server at `base_url`. The credential, if there is one, has the field `api_key`."""

    def __init__(self, config: ProviderConfig[CompatibleSettings]) -> None:
        if not config.base_url:
            raise ValueError("`base_url` is required for a provider of type openai_compatible")
        super().__init__(config.base_url, dict(config.headers), ask_usage=config.settings.stream_usage)
        self._auth_header = config.settings.auth_header.lower()
        self._auth_scheme = config.settings.auth_scheme

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries the key where this server wants it."""
        if secret is None:
            return {}
        return {self._auth_header: f"{self._auth_scheme} {secret['api_key']}".strip()}
