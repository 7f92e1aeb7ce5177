"""OpenAI as a provider. Wire: platform.openai.com/docs/api-reference (chat, responses, completions, embeddings, models)."""

from switchgear.contracts.provider import CANONICAL, Call, ProviderConfig, TargetModel, Traits
from switchgear.wire import web_search
from switchgear.wire.chat_provider import BESIDE, BEYOND, PATHS, RESPONSES, ChatProvider
from switchgear.wire.fit.chat import holds_addresses
from switchgear.wire.model_facts import reasons, refuses_tools
from switchgear_plugins.openai.models import traits
from switchgear_plugins.openai.settings import OpenAIProviderSettings

BASE_URL = "https://api.openai.com/v1"


class OpenAIProvider(ChatProvider):
    """OpenAI's API. The credential has the field `api_key`.

    Models that answer over the Responses wire alone, or take tools with reasoning only there, are asked there; a model resource's
    `wires` says otherwise.

    A model's default `max_tokens` goes out as `max_completion_tokens`, the only name that its reasoning models know.
    """

    rewrites = dict.fromkeys((CANONICAL, *BESIDE), RESPONSES)

    def __init__(self, config: ProviderConfig[OpenAIProviderSettings]) -> None:
        headers = dict(config.headers)
        if config.settings.organization is not None:
            headers["openai-organization"] = config.settings.organization
        if config.settings.project is not None:
            headers["openai-project"] = config.settings.project
        super().__init__(
            config.base_url or BASE_URL,
            headers,
            wires=PATHS,
            max_tokens_member="max_completion_tokens",
            translated_drops=BEYOND,
        )

    def traits(self, model: str) -> Traits:
        """Say what a model is, by its name."""
        return traits(model)

    def prefers_responses(self, call: Call, model: TargetModel) -> bool:
        """Say whether a model refuses this chat for its tools, for files named by their address, or for a search of the web."""
        if call.origin == call.wire:
            return refuses_tools(model.name, call)
        return refuses_tools(model.name, call) or holds_addresses(call) or web_search.MEMBER in call.members

    def asks_encrypted(self, model: TargetModel) -> bool:
        """Ask models that reason."""
        return reasons(model.name)
