"""A policy has a say in every exchange: it may rewrite, decide, watch and account.

A policy overrides the phases it needs; a phase it leaves alone costs nothing. Each phase may be a plain method or return
an awaitable; the host awaits it under `budget_s`. A policy that raises anything but an `ApiError` is broken: `on_error`
says whether the exchange is then refused (`deny`, for security and money) or goes on (`allow`, for observers); either
way the failure is counted under the policy's name and logged.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar, Literal

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import Answer, StreamEvent


class Policy:
    """Base of all policies. `settle` runs in reverse order, and only where `admit` did or there is none.

    on_error  what becomes of the exchange when the policy is broken
    budget_s  seconds that each phase may take
    order     where it stands among policies: lower comes first; among equals, plugin order
    """

    on_error: ClassVar[Literal["deny", "allow"]] = "deny"
    budget_s: ClassVar[float] = 1.0
    order: ClassVar[int] = 0

    def prepare(self, x: Exchange) -> Awaitable[None] | None:
        """Rewrite the call before it is planned. `x.call` and `x.caller` are set. Raise `ApiError` to refuse.

        It also runs when somebody asks what would become of a request, so it records nothing.
        """

    def admit(self, x: Exchange) -> Answer | Awaitable[Answer | None] | None:
        """Decide. None lets it pass, an `Answer` is given to the client instead of calling a provider, an `ApiError` refuses."""

    def on_event(self, x: Exchange, event: StreamEvent) -> Awaitable[None] | None:
        """See each event of a stream before the client does. Raise `ApiError` to stop the stream (`policy_stop`)."""

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Account for what happened: `x.outcome`, `x.usage` and `x.attempts` are final. Shielded from cancellation.

        It may add to `x.labels`. An `ApiError` of a policy that denies on errors is what the client gets instead of the end of
        its answer; whatever else is raised is counted and logged, and the answer goes out.
        """

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """Say, as JSON values, what there is to know of an exchange that will not take place: what is left of a limit.

        No phase of an exchange. It takes nothing and changes nothing; `x.caller` and `x.plan` may be None.
        """
