"""Asking providers: which models they have, and whether they take a credential."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.catalogue.live import LiveCredential, LiveModel, LiveProvider
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import DiscoveredModel, ModelLister, ModelPage, ProviderFault
from switchgear.contracts.resource import Snapshot
from switchgear.errors import Conflict, NotFound, SecretUnavailable, UpstreamError
from switchgear.exchange.faults import reason_of, to_api_error
from switchgear.telemetry.scrub import scrub

_MOST_PAGES = 20
_MOST_BYTES = 16 * 1024 * 1024
_PATIENCE_S = 30.0

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


class FoundModel(Struct, frozen=True):
    """A model the provider has, and the model resources that use it already."""

    name: str
    title: str | None
    owned_by: str | None
    created_us: int | None
    context_window: int | None
    max_output_tokens: int | None
    model_ids: tuple[str, ...]


class Discovery:
    """Asks over the providers' own connections, with their own secrets.

    `stand_in` makes a provider at its type's own address, for a credential that no provider uses yet; it raises ValueError
    where there is none.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        ambient: Ambient,
        stand_in: Callable[[LiveCredential], LiveProvider],
    ) -> None:
        self._snapshot = snapshot
        self._ambient = ambient
        self._stand_in = stand_in

    async def models(self, provider_id: str) -> list[FoundModel]:
        """List what a provider has, in its own order. Raises `ApiError`."""
        snapshot = self._snapshot()
        provider: LiveProvider | None = snapshot.live("providers", provider_id)
        if provider is None:
            raise NotFound(f"there is no provider `{provider_id[:64]}`", code="not_found")
        known: dict[str, list[str]] = {}
        models: Mapping[str, LiveModel] = snapshot.all("models")
        for id, model in models.items():
            if model.target.provider_id == provider_id:
                known.setdefault(model.target.model.name, []).append(id)
        secrets: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                secret = None if provider.secret is None else provider.secret.peek() or await provider.secret.get()
                traded = None if provider.credential is None else provider.credential.peek()
                values = (value for one in (secret, traded) if one is not None for value in one.values())
                secrets = (*values, *provider.secret_headers)
                found = [model async for model in self._pages(provider, secret)]
        except (ProviderFault, UpstreamError, SecretUnavailable) as error:
            refusal = to_api_error(error, secrets)
            if (reason := reason_of(error)) is not None:
                refusal.message += f" {scrub(reason, secrets)}"
            raise refusal from error
        except TimeoutError:
            raise to_api_error(ProviderFault("timeout", 504)) from None
        return [
            FoundModel(
                m.name,
                m.title,
                m.owned_by,
                m.created_us,
                m.context_window,
                m.max_output_tokens,
                tuple(known.get(m.name, ())),
            )
            for m in found
        ]

    async def test(self, credential_id: str) -> CredentialTest:
        """Fetch the secret anew and make the cheapest call that needs it. Raises `NotFound`."""
        snapshot = self._snapshot()
        credential: LiveCredential | None = snapshot.live("credentials", credential_id)
        if credential is None:
            raise NotFound(f"there is no credential `{credential_id[:64]}`", code="not_found")
        began = self._ambient.monotonic()
        secrets: tuple[str, ...] = ()
        step: Step = "secret"
        name: str | None = None

        def failed(cause: str, detail: str, status: int | None = None) -> CredentialTest:
            return CredentialTest(False, scrub(detail, secrets), step, name, cause, status)

        try:
            async with asyncio.timeout(_PATIENCE_S):
                step = "provider"
                name, provider = self._user_of(snapshot, credential)
                step = "secret"
                assert provider.secret is not None
                assert provider.credential is not None
                secrets = provider.secret_headers
                await provider.credential.refresh()
                secrets = (*secrets, *(await provider.credential.get()).values())
                if provider.secret is not provider.credential:
                    await provider.secret.refresh()
                secret = await provider.secret.get()
                secrets = (*secrets, *secret.values())
                step = "call"
                async for _ in self._pages(provider, secret):
                    break
        except (ValueError, Conflict) as error:
            return failed("provider", str(error))
        except SecretUnavailable as error:
            return failed("credential", str(error))
        except (ProviderFault, UpstreamError) as error:
            said = error.message if isinstance(error, ProviderFault) else reason_of(error)
            return failed(error.cause, said or to_api_error(error).message, getattr(error, "status", None))
        except TimeoutError:
            return failed("timeout", f"There was no answer within {_PATIENCE_S:g} seconds.")
        took = int((self._ambient.monotonic() - began) * 1000)
        where = f"the provider `{name}`" if name else "its provider type's own address"
        return CredentialTest(True, f"It was accepted at {where}.", provider=name, latency_ms=took)

    def _user_of(self, snapshot: Snapshot, credential: LiveCredential) -> tuple[str | None, LiveProvider]:
        providers: Mapping[str, LiveProvider] = snapshot.all("providers")
        for name, provider in providers.items():
            if provider.credential is credential.handle:
                return name, provider
        return None, self._stand_in(credential)

    async def _pages(self, provider: LiveProvider, secret: Secret | None) -> AsyncIterator[DiscoveredModel]:
        lister, connection = provider.translator, provider.connection
        if not isinstance(lister, ModelLister) or connection is None:
            message = f"a provider of type {provider.type} cannot be asked for its models; see its own documentation"
            raise Conflict(message, code="not_supported")
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            response = await connection.send(lister.models_request(secret, cursor))
            try:
                body = await response.body(_MOST_BYTES)
            finally:
                await response.close()
            page: ModelPage = lister.models(response, body)
            for model in page.models:
                yield model
            cursor = page.cursor
            if cursor is None:
                return
