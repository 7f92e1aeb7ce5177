"""What plugins may ask of providers outside of calls; the `ProviderAccess` of the contracts."""

from collections.abc import Callable, Mapping

from switchgear.catalogue.live import LiveCredential, LiveProvider
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import NativeProvider, Provider
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.upstream import OutboundRequest, UpstreamResponse
from switchgear.errors import ApiError, Conflict, NotFound
from switchgear.exchange.faults import reason_of, to_api_error
from switchgear.telemetry.scrub import scrub


class Askable:
    """The `AskableProvider` of a live provider; it knows the secrets that it handed out."""

    def __init__(self, id: str | None, live: LiveProvider) -> None:
        self.id = id
        self.type = live.type
        self._live = live
        self._secrets: tuple[str, ...] = live.secret_headers

    @property
    def translator(self) -> Provider | NativeProvider:
        """What translates for it."""
        return self._live.translator

    async def secret(self, *, fresh: bool = False) -> Secret | None:
        """Return what requests are prepared with."""
        base, secret = self._live.credential, self._live.secret
        if base is None or secret is None:
            return None
        if fresh:
            await base.refresh()
        self._note(await base.get())
        if fresh and secret is not base:
            await secret.refresh()
        found = await secret.get()
        self._note(found)
        return found

    def _note(self, secret: Secret) -> None:
        self._secrets = (*self._secrets, *secret.values())

    async def send(self, request: OutboundRequest) -> UpstreamResponse:
        """Send a request over the provider's connection."""
        if self._live.connection is None:
            raise Conflict(f"a provider of type {self.type} makes its calls itself", code="not_supported")
        return await self._live.connection.send(request)

    def scrub(self, text: str) -> str:
        """Make a foreign text fit to show."""
        return scrub(text, self._secrets)

    def refusal(self, error: Exception) -> ApiError:
        """Say what an operator is told of an error."""
        refusal = to_api_error(error, self._secrets)
        if (reason := reason_of(error)) is not None:
            refusal.message += f" {self.scrub(reason)}"
        return refusal


class Access:
    """The `ProviderAccess` over the snapshot of the moment.

    `stand_in` makes a provider at its type's own address; it raises ValueError where there is none.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], stand_in: Callable[[LiveCredential], LiveProvider]) -> None:
        self._snapshot = snapshot
        self._stand_in = stand_in

    def get(self, id: str) -> Askable:
        """Return a provider."""
        found: LiveProvider | None = self._snapshot().live("providers", id)
        if found is None:
            raise NotFound(f"there is no provider `{id[:64]}`", code="not_found")
        return Askable(id, found)

    def of_credential(self, id: str) -> Askable:
        """Return the first provider that uses a credential, or one that stands in."""
        snapshot = self._snapshot()
        credential: LiveCredential | None = snapshot.live("credentials", id)
        if credential is None:
            raise NotFound(f"there is no credential `{id[:64]}`", code="not_found")
        providers: Mapping[str, LiveProvider] = snapshot.all("providers")
        for name, provider in providers.items():
            if provider.credential is credential.handle:
                return Askable(name, provider)
        try:
            return Askable(None, self._stand_in(credential))
        except ValueError as error:
            raise Conflict(str(error), code="not_supported") from error
