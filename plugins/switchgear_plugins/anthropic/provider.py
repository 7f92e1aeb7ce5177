"""Anthropic as a provider.

Wire: docs.anthropic.com/en/api (messages, models-list, versioning, beta-headers). An `api_key` goes into `x-api-key`, an
`auth_token` (an OAuth or gateway token) into `Authorization: Bearer`.
"""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct, structs

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, DiscoveredModel, Head, ModelPage, ProviderConfig
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.members import BROKEN
from switchgear.wire.messages.faults import decode_fault
from switchgear.wire.messages.fit import Host, fit_host
from switchgear.wire.messages.models import Rules
from switchgear.wire.messages.provider import MessagesProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings

BASE_URL = "https://api.anthropic.com"
_WITHOUT_SAMPLING = "2026-10-21"
_PAGE = 1000


class _Model(Struct):
    id: str
    display_name: str | None = None
    created_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _Models(Struct):
    data: list[_Model]
    has_more: bool = False
    last_id: str | None = None


_models_decoder = msgspec.json.Decoder(_Models)


class AnthropicProvider(MessagesProvider):
    """Anthropic's API. The credential has the field `api_key`, or `auth_token`."""

    reasoning_format = "anthropic-claude-v1"

    def __init__(self, config: ProviderConfig[AnthropicProviderSettings]) -> None:
        settings = config.settings
        headers = {"anthropic-version": settings.version, **config.headers}
        if settings.betas:
            headers["anthropic-beta"] = ",".join(settings.betas)
        super().__init__(
            config.base_url or BASE_URL,
            headers,
            config.ambient,
            display=settings.thinking_display,
        )
        if settings.known_betas is not None:
            self.host = Host(frozenset(settings.known_betas), "anthropic-beta")
        self._takes_sampling = settings.version < _WITHOUT_SAMPLING

    def rules(self, model: str) -> Rules:
        """Say what a model takes under this version of the API."""
        rules = super().rules(model)
        return rules if self._takes_sampling else structs.replace(rules, sampling=False)

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries the credential."""
        if secret is not None and "auth_token" in secret:
            return {"authorization": f"Bearer {secret['auth_token']}"}
        if secret is not None and "api_key" not in secret:
            raise SecretUnavailable("the credential has no value named api_key or auth_token; enter it again with one")
        return super().authorise(secret)

    def asked(self, call: Call) -> dict[str, str]:
        """Return the client's own version and its opt-ins, the latter beside those of the settings."""
        wishes = dict(call.headers)
        if "anthropic-beta" in wishes:
            kept = wishes["anthropic-beta"] if self.host.betas is None else fit_host(call, {}, self.host)[1]
            if kept is None:
                del wishes["anthropic-beta"]
            else:
                wishes["anthropic-beta"] = kept
        ours = self.headers.get("anthropic-beta")
        if ours is not None and "anthropic-beta" in wishes:
            wishes["anthropic-beta"] = ",".join(dict.fromkeys((*ours.split(","), *wishes["anthropic-beta"].split(","))))
        return wishes

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:
        """Build the request for a page of models; the cursor is the last id of the page before."""
        url = f"{self.base_url}/v1/models?limit={_PAGE}"
        if cursor is not None:
            url += f"&after_id={quote(cursor, safe='')}"
        return OutboundRequest("GET", url, {**self.headers, **self.authorise(secret)})

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read a page of models."""
        if not 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
            raise decode_fault(head.status, body, head)
        try:
            page = _models_decoder.decode(body)
        except BROKEN:
            raise decode_fault(head.status, body, head) from None
        return ModelPage(tuple(_discovered(model) for model in page.data), page.last_id if page.has_more else None)


def _discovered(model: _Model) -> DiscoveredModel:
    return DiscoveredModel(
        name=model.id,
        title=model.display_name,
        owned_by="anthropic",
        created_us=None if model.created_at is None else int(model.created_at.timestamp() * 1_000_000),
        context_window=model.max_input_tokens,
        max_output_tokens=model.max_tokens,
    )
