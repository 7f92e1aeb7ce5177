"""Providers asked outside of calls: for their models, files or batches, over their own connections and with their own secrets."""

from typing import Protocol

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import NativeProvider, Provider
from switchgear.contracts.upstream import OutboundRequest, UpstreamResponse
from switchgear.errors import ApiError


class AskableProvider(Protocol):
    """A provider resource that can be sent requests.

    id          the resource's id; None for one that stands in, see `ProviderAccess.of_credential`
    type        the provider type
    translator  what the type's offer made for this resource; what more it can do is a Protocol of its own, as `ModelLister`
    """

    @property
    def id(self) -> str | None: ...  # noqa: D102 - above
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def translator(self) -> Provider | NativeProvider: ...  # noqa: D102

    async def secret(self, *, fresh: bool = False) -> Secret | None:
        """Return what requests are prepared with, None without a credential; `fresh` fetches and trades everything again.

        Raises `SecretUnavailable`, and what a request for a token raises.
        """
        ...

    async def send(self, request: OutboundRequest) -> UpstreamResponse:
        """Send a request; close the response. Raises `UpstreamError`, and `Conflict` where the type makes its calls itself."""
        ...

    def scrub(self, text: str) -> str:
        """Make a foreign text fit to show: one line, at most 500 characters, none of the provider's secrets."""
        ...

    def refusal(self, error: Exception) -> ApiError:
        """Say what an operator is told of an error of `secret`, `send` or the translator, with its reason and no secret."""
        ...


class ProviderAccess(Protocol):
    """The providers there are now. Usable once the plugin's `start` has returned."""

    def get(self, id: str) -> AskableProvider:
        """Return a provider, also one that is switched off. Raises `NotFound`."""
        ...

    def of_credential(self, id: str) -> AskableProvider:
        """Return the first provider that uses a credential; where none does, one at its type's own address stands in.

        Raises `NotFound`, and `Conflict` where the type has no address of its own or the secret may not go there.
        """
        ...
