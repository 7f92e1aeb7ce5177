"""OpenAI as a provider. Wire: platform.openai.com/docs/api-reference (chat completions, authentication)."""

from switchgear.contracts.provider import ProviderConfig
from switchgear.wire.chat_provider import ChatProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings

BASE_URL = "https://api.openai.com/v1"


class OpenAIProvider(ChatProvider):
    """OpenAI's API. The credential has the field `api_key`."""

    def __init__(self, config: ProviderConfig[OpenAIProviderSettings]) -> None:
        headers = dict(config.headers)
        if config.settings.organization is not None:
            headers["openai-organization"] = config.settings.organization
        if config.settings.project is not None:
            headers["openai-project"] = config.settings.project
        super().__init__(config.base_url or BASE_URL, headers)
