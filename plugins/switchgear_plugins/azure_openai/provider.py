"""Azure OpenAI as a provider.

Wire: OpenAI's, under Azure's addresses. learn.microsoft.com/azure/ai-foundry/openai: `api-version-lifecycle` (the v1 API),
`reference` (deployment URLs), `concepts/content-filter` and `concepts/content-streaming` (what is filtered and how it is told).
"""

from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from switchgear.contracts.capability import ONLY_EMBEDDINGS, ONLY_TEXT
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    EMBEDDINGS,
    Call,
    Head,
    ModelPage,
    ProviderConfig,
    ProviderFault,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.chat_provider import BEYOND, COMPACT, COMPLETIONS, PATHS, RESPONSES, ChatProvider
from switchgear.wire.fit.chat import ChatGrammar
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.model_facts import reasons, refuses_tools
from switchgear_plugins.azure_openai.entra import read_token, token_request
from switchgear_plugins.azure_openai.settings import AzureSettings

_RESPONSES_SINCE = "2025-03-01"
_CAUSES = {
    "ResponsibleAIPolicyViolation": "content_filter",
    "DeploymentNotFound": "not_found",
    "PermissionDenied": "permission",
    "NoCapacity": "overloaded",
}


class _Inner(Struct):
    code: str | None = None


class _Error(Struct):
    code: str | int | None = None
    innererror: _Inner | None = None


class _ErrorBody(Struct):
    error: _Error | None = None


_error_decoder = msgspec.json.Decoder(_ErrorBody)


class AzureProvider(ChatProvider):
    """Deployments of an Azure resource; a model's `provider_model` is the name of its deployment.

    `base_url` is the resource's endpoint (`https://NAME.openai.azure.com`). The credential has the field `api_key`, or
    `tenant_id`, `client_id` and `client_secret` of an application in Entra ID, or an `access_token` that is used as it is.
    The list of models is of what the resource can deploy, not of what is deployed.
    """

    request_id_header = "apim-request-id"

    def __init__(self, config: ProviderConfig[AzureSettings]) -> None:
        settings = config.settings
        if not config.base_url:
            raise ValueError(
                "`base_url` is required for a provider of type azure_openai: https://NAME.openai.azure.com"
            )
        authority = urlsplit(settings.authority)
        if authority.scheme != "https" or not authority.hostname or authority.query or authority.username is not None:
            raise ValueError("`authority` is an https address, as https://login.microsoftonline.com")
        version = settings.api_version
        has_responses = version is None or version >= _RESPONSES_SINCE
        endpoint = config.base_url.rstrip("/").removesuffix("/v1").removesuffix("/openai")
        self._root = f"{endpoint}/openai"
        super().__init__(
            f"{self._root}/v1",
            config.headers,
            wires=PATHS if has_responses else PATHS.keys() - {RESPONSES},
            max_tokens_member=settings.max_tokens_member,
            translated_drops=BEYOND,
            grammar=ChatGrammar(ids=40, others=False, new_bound=settings.max_tokens_member != "max_tokens"),
        )
        if version is None:
            self.rewrites = {**self.rewrites, COMPACT: RESPONSES}
        self._query = "" if version is None else f"?api-version={version}"
        if version is not None:
            self._models_url = f"{self._root}/models{self._query}"
        self._authority = settings.authority.rstrip("/")
        self._scope = settings.scope
        self._ambient = config.ambient

    def traits(self, model: str) -> Traits:
        """Say what a deployment is, going by its name: by custom, and by default, it is that of its model."""
        if "embedding" in model:
            return Traits(frozenset({EMBEDDINGS}), ONLY_EMBEDDINGS)
        if "instruct" in model or model.endswith("-002"):
            return Traits(frozenset({COMPLETIONS}), ONLY_TEXT)
        return Traits(self.wires & {CANONICAL, RESPONSES})

    def prefers_responses(self, call: Call, model: TargetModel) -> bool:
        """Say whether a deployment, going by its name, refuses this chat for its tools."""
        return refuses_tools(model.name, call)

    def asks_encrypted(self, model: TargetModel) -> bool:
        """Ask deployments that reason, going by their names."""
        return reasons(model.name)

    def url(self, wire: str, model: TargetModel) -> str:
        """Say where a wire is spoken: of dated versions, under the deployment, but for responses."""
        if not self._query:
            return self._urls[wire]
        place = "" if wire == RESPONSES else f"/deployments/{quote(model.name, safe='')}"
        return f"{self._root}{place}{PATHS[wire]}{self._query}"

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries the key or the token."""
        if secret is None:
            return {}
        if "api_key" in secret:
            return {"api-key": secret["api_key"]}
        if "access_token" in secret:
            return {"authorization": f"Bearer {secret['access_token']}"}
        raise SecretUnavailable("the credential has neither a value named api_key nor a token; enter it again with one")

    def token_request(self, secret: Secret) -> OutboundRequest | None:
        """Build the request for a token of Entra ID; None for a credential that is used as it is."""
        if "api_key" in secret or "access_token" in secret:
            return None
        return token_request(self._authority, self._scope, secret)

    def token(self, secret: Secret, head: Head, body: bytes) -> Secret:  # noqa: ARG002 - the contract's shape
        """Read the token."""
        return read_token(self._ambient, head, body)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify a failure, also by the words of Azure's own."""
        return _in_azures_words(super().fault(call, head, body), head, body)

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read the list of models."""
        try:
            return super().models(head, body)
        except ProviderFault as fault:
            raise _in_azures_words(fault, head, body) from None


def _in_azures_words(fault: ProviderFault, head: Head, body: bytes) -> ProviderFault:
    fault.request_id = head.header(AzureProvider.request_id_header) or fault.request_id
    try:
        error = decode_text(_error_decoder, body).error or _Error()
    except BROKEN:
        return fault
    inner = error.innererror and error.innererror.code
    fault.cause = _CAUSES.get(inner or "") or _CAUSES.get(str(error.code)) or fault.cause
    return fault
