"""Asking a provider which models it has."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import DiscoveredModel, ModelLister, ProviderFault
from switchgear.contracts.provider_access import AskableProvider
from switchgear.contracts.resource import Resources
from switchgear.errors import Conflict, SecretUnavailable, UpstreamError

PATIENCE_S = 30.0
_MOST_PAGES = 20
_MOST_BYTES = 16 * 1024 * 1024


class FoundModel(Struct, frozen=True):
    """A model the provider has, and the model resources that use it already."""

    name: str
    title: str | None
    owned_by: str | None
    created_us: int | None
    context_window: int | None
    max_output_tokens: int | None
    model_ids: tuple[str, ...]


async def list_models(provider: AskableProvider, resources: Resources) -> list[FoundModel]:
    """List what a provider has, in its own order. Raises `ApiError`."""
    known: dict[str, list[str]] = {}
    for id, model in resources.snapshot.all("models").items():
        if model.target.provider_id == provider.id:
            known.setdefault(model.target.model.name, []).append(id)
    try:
        async with asyncio.timeout(PATIENCE_S):
            secret = await provider.secret()
            found = [model async for model in pages(provider, secret)]
    except (ProviderFault, UpstreamError, SecretUnavailable) as error:
        raise provider.refusal(error) from error
    except TimeoutError:
        raise provider.refusal(ProviderFault("timeout", 504)) from None
    return [
        FoundModel(
            provider.scrub(m.name),
            None if m.title is None else provider.scrub(m.title),
            None if m.owned_by is None else provider.scrub(m.owned_by),
            m.created_us,
            m.context_window,
            m.max_output_tokens,
            tuple(known.get(m.name, ())),
        )
        for m in found
    ]


async def pages(provider: AskableProvider, secret: Secret | None) -> AsyncIterator[DiscoveredModel]:
    """Go through what a provider has, page by page. Raises `Conflict` where it cannot be asked, and what a call does."""
    lister = provider.translator
    if not isinstance(lister, ModelLister):
        message = f"a provider of type {provider.type} cannot be asked for its models; see its own documentation"
        raise Conflict(message, code="not_supported")
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        response = await provider.send(lister.models_request(secret, cursor))
        try:
            body = await response.body(_MOST_BYTES)
        finally:
            await response.close()
        page = lister.models(response, body)
        for model in page.models:
            yield model
        cursor = page.cursor
        if cursor is None:
            return
