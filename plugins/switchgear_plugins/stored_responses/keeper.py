"""Asking the provider that keeps a response."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from switchgear.contracts.dialect import RouteReply, RouteRequest
from switchgear.contracts.provider import Call
from switchgear.contracts.provider_access import AskableProvider, ProviderAccess
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import ApiError, InvalidRequest, NotFound, SwitchgearError, UpstreamFailed
from switchgear.wire.chat_provider import RESPONSES
from switchgear.wire.responses import ResponseKeeper
from switchgear.wire.responses_stream import ResponsesDecoder
from switchgear.wire.sse import encode_event
from switchgear_plugins.stored_responses.shelf import Given

_PATIENCE_S = 60.0
_MOST_BYTES = 32 * 1024 * 1024
_MOST_ERROR = 64 * 1024


async def ask_keeper(
    providers: ProviderAccess, given: Given, method: str, request: RouteRequest, below: str = ""
) -> RouteReply:
    """Return what the provider says that keeps a response. Raises `ApiError`: `NotFound` for what it has not any more."""
    assert given.kept_by is not None
    try:
        provider = providers.get(given.kept_by)
    except NotFound:
        raise _gone(given) from None
    keeper = provider.translator
    if not isinstance(keeper, ResponseKeeper):
        raise _gone(given)
    query = f"?{urlencode(dict(request.query))}" if request.query else ""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            secret = await provider.secret()
            path = f"{quote(given.id, safe='')}{below}{query}"
            response = await provider.send(keeper.response_request(method, path, secret))
    except ApiError:
        raise
    except (SwitchgearError, TimeoutError) as error:
        raise UpstreamFailed(
            "The provider that keeps this response cannot be asked now.", code="upstream_error"
        ) from error
    media = (response.header("content-type") or "application/json").partition(";")[0].strip()
    if media == "text/event-stream" and 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's classes
        return RouteReply(_events(response), media_type=media)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            body = await response.body(_MOST_BYTES)
    except (SwitchgearError, TimeoutError) as error:
        raise UpstreamFailed("The provider's answer broke off.", code="upstream_cut") from error
    finally:
        await response.close()
    if 200 <= response.status < 300:  # noqa: PLR2004 - likewise
        return RouteReply(body, media_type=media)
    raise _refusal(provider, given, response, body)


async def _events(response: UpstreamResponse) -> AsyncIterator[bytes]:
    decoder = ResponsesDecoder(_call(), response)
    try:
        while (piece := await response.read()) is not None:
            for event in decoder.feed(piece):
                if event.fault is not None:
                    raise event.fault
                yield encode_event(event.data, event.name)
        decoder.close()
    finally:
        await response.close()


def _refusal(provider: AskableProvider, given: Given, response: UpstreamResponse, body: bytes) -> ApiError:
    """Tell what concerns the client, and of the rest that it was the provider."""
    if response.status == 404:  # noqa: PLR2004 - it is not there
        return _gone(given)
    fault = provider.translator.fault(_call(), response, body[:_MOST_ERROR])  # type: ignore[union-attr]  # one that keeps is no native one
    if fault.cause == "invalid_request":
        return InvalidRequest(provider.scrub(fault.message) or "The provider refused this.", code=fault.code)
    return UpstreamFailed(
        f"The provider that keeps this response failed with status {response.status}.", code="upstream_error"
    )


def _call() -> Call:
    """Make what a provider reads its answers with."""
    return Call("chat", RESPONSES, {}, model="")


def _gone(given: Given) -> NotFound:
    return NotFound(f"Response with id '{given.id[:100]}' not found.", param="response_id", code="response_not_found")
