"""Trying whether a provider takes a credential."""

import asyncio
from typing import Literal, TypeAlias

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.provider import ProviderFault
from switchgear.contracts.provider_access import AskableProvider, ProviderAccess
from switchgear.errors import Conflict, SecretUnavailable, UpstreamError
from switchgear_plugins.discovery.models import PATIENCE_S, pages

Step: TypeAlias = Literal["secret", "provider", "call"]


class CredentialTest(Struct, frozen=True):
    """What came of trying a credential.

    step      how far it got: the `secret` was to be fetched (or traded for a token), a `provider` was to be found that can
              be asked, the `call` was to be made. None when all went well
    cause     one word for what failed, as in usage records
    status    the provider's HTTP status, where it answered
    """

    ok: bool
    detail: str
    step: Step | None = None
    provider: str | None = None
    cause: str | None = None
    status: int | None = None
    latency_ms: int | None = None


async def try_credential(providers: ProviderAccess, id: str, ambient: Ambient) -> CredentialTest:
    """Fetch the secret anew and make the cheapest call that needs it. Raises `NotFound`."""
    began = ambient.monotonic()
    try:
        provider = providers.of_credential(id)
    except Conflict as error:
        return CredentialTest(False, error.message, "provider", cause="provider")
    failed = await _failure(provider)
    if failed is not None:
        return failed
    took = int((ambient.monotonic() - began) * 1000)
    where = f"the provider `{provider.id}`" if provider.id else "its provider type's own address"
    return CredentialTest(True, f"It was accepted at {where}.", provider=provider.id, latency_ms=took)


async def _failure(provider: AskableProvider) -> CredentialTest | None:
    step: Step = "secret"

    def failed(cause: str, detail: str, status: int | None = None) -> CredentialTest:
        return CredentialTest(False, provider.scrub(detail), step, provider.id, cause, status)

    try:
        async with asyncio.timeout(PATIENCE_S):
            secret = await provider.secret(fresh=True)
            step = "call"
            async for _ in pages(provider, secret):
                break
    except Conflict as error:
        return failed("provider", error.message)
    except SecretUnavailable as error:
        return failed("credential", str(error))
    except ProviderFault as error:
        return failed(error.cause, error.message or provider.refusal(error).message, error.status)
    except UpstreamError as error:
        return failed(error.cause, provider.refusal(error).message)
    except TimeoutError:
        return failed("timeout", f"There was no answer within {PATIENCE_S:g} seconds.")
    return None
