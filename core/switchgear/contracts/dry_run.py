"""What would become of a request, without sending it anywhere: what the kernel says of it to a plugin that tells operators."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.principal import Known, Principal
from switchgear.contracts.provider import Call


class Name(Struct, frozen=True):
    """A name that clients may write in `model`, or that others are made of.

    kind      what answers to it: the title of a kind of resource (`model`, `alias`, `pool`, `chain`), `shared` for one that
              providers map, `provider/model` for one they have themselves, `unknown`
    enabled   whether it can be used; one that cannot is passed over by what is made of it
    leads_to  the names it is made of, as they are written there
    broken    why what is stored under it cannot be used
    """

    name: str
    kind: str
    enabled: bool
    leads_to: tuple[str, ...] = ()
    broken: str | None = None


class PolicyView(Struct, frozen=True):
    """A policy that would run, its phases, and what it says of an exchange; `failed` where it broke and cannot say."""

    name: str
    phases: tuple[str, ...]
    says: dict[str, Any] | None = None
    failed: bool = False


class AttachmentView(Struct, frozen=True):
    """An attachment as seen from one exchange: whether it selects it, and why not if it does not."""

    id: str
    policy: str
    selects: bool
    why: str


class DryRun(Protocol):
    """The steps of the data plane that ask nobody. What comes between them (making the exchange, planning) needs no help.

    Planning is real: a pool draws, and one that takes turns has had one. Usable once the plugin's `start` has returned.
    """

    @property
    def endpoints(self) -> Mapping[str, tuple[str, InferenceEndpoint]]:
        """Where calls come in, by path: the name of the dialect, and the endpoint."""
        ...

    async def known(self, id: str) -> Known | None:
        """Return the principal of an id as it is now, with why its credentials are not good; None if nobody knows it."""
        ...

    async def may(self, principal: Principal, action: str, kind: str, id: str | None) -> bool:
        """Say whether a principal may do something, as `may(principal, "use", "models", name)`."""
        ...

    async def prepare(self, x: Exchange) -> None:
        """Let the policies rewrite the call. Raises `ApiError` where one refuses."""
        ...

    def fit(self, x: Exchange, endpoint: InferenceEndpoint, target: Target) -> Call:
        """Return the call in the form in which a target would get it. Raises `InvalidRequest` for what its model cannot do."""
        ...

    async def policies(self, x: Exchange) -> Sequence[PolicyView]:
        """Say which policies would run, and what they know of the exchange."""
        ...

    def attachments(self, x: Exchange) -> Sequence[AttachmentView]:
        """Say of every attachment of a policy whether it selects the exchange."""
        ...

    def names(self, name: str) -> Sequence[Name]:
        """Return a name and all the names that it is made of, each once, depth first."""
        ...
