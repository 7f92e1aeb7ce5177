"""A request taken the way of the data plane as far as nobody is asked; see `switchgear.contracts.dry_run`."""

from collections.abc import Callable, Mapping, Sequence

from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect, InferenceEndpoint
from switchgear.contracts.dry_run import AttachmentView, Name, PolicyView
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.principal import Known, Principal
from switchgear.contracts.provider import Call
from switchgear.exchange.attachments import Policies
from switchgear.exchange.capabilities import fit
from switchgear.exchange.policies import PolicyChain


class DryRuns:
    """The kernel's `DryRun`. Plugins get it before there are policies; `attach` brings what there is once they have started."""

    def __init__(self, names: Callable[[str], Sequence[Name]]) -> None:
        self.names = names
        self.endpoints: Mapping[str, tuple[str, InferenceEndpoint]] = {}
        self._policies: Policies
        self._authority: Authority

    def attach(self, dialects: Sequence[Dialect], policies: Policies, authority: Authority) -> None:
        """Have what calls go through."""
        self.endpoints = {e.path: (d.name, e) for d in dialects for e in d.inference}
        self._policies = policies
        self._authority = authority

    async def known(self, id: str) -> Known | None:
        """Ask those who know principals by id."""
        return await self._authority.known(id)

    async def may(self, principal: Principal, action: str, kind: str, id: str | None) -> bool:
        """Ask the authority."""
        return await self._authority.may(principal, action, kind, id)

    async def prepare(self, x: Exchange) -> None:
        """Let the policies that are attached to the call rewrite it."""
        await self._attached(x).prepare(x)

    def fit(self, x: Exchange, endpoint: InferenceEndpoint, target: Target) -> Call:
        """Return the call in the form in which a target would get it."""
        return fit(x, endpoint, target)

    async def policies(self, x: Exchange) -> Sequence[PolicyView]:
        """Say which policies would run."""
        return await self._attached(x).explain(x)

    def attachments(self, x: Exchange) -> Sequence[AttachmentView]:
        """Say of every attachment whether it selects the exchange."""
        return self._policies.explain(x)

    def _attached(self, x: Exchange) -> PolicyChain:
        x.policies = self._policies.always
        return self._policies.attach(x)
