"""A policy has a say in every exchange: it may rewrite, decide, watch and account.

A policy overrides the phases it needs; a phase it leaves alone costs nothing. Each phase may be a plain method or return
an awaitable; the host awaits it under `budget_s`. A policy that raises anything but an `ApiError` is broken: `on_error`
says whether the exchange is then refused (`deny`, for security and money) or goes on (`allow`, for observers); either
way the failure is counted under the policy's name and logged.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from switchgear.contracts.counters import Bucket, Room
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.filter import Filter
from switchgear.contracts.provider import Answer
from switchgear.errors import ApiError, RateLimited


class Veto(Exception):
    """A policy passes a target over: the next of the plan is tried."""


class Policy:
    """Base of all policies. `settle` runs in reverse order, and only where `admit` did or there is none.

    on_error    what becomes of the exchange when the policy is broken
    budget_s    seconds that each phase may take
    order       where it stands among policies: lower comes first; among equals, plugin order
    attachable  whether it runs only where a resource of the kind `policy-attachments` attaches it. The settings that it has
                there are in `x.attached`, under the name of its offer, as the offer's `settings_type`
    guarded     whether the host looks, after each phase, at what the policy left in the exchange, and puts back what cannot
                be. That takes longer than most phases do: False for one so well tested that it is enough to look where it fails
    first_attempt  whether `attempting` is asked before the first attempt of an exchange too, or only before those that follow
    sorts       of the buckets that `reserve` returns; the gateway does not start when the active counters lack one
    wires       the wire formats of the calls in which it runs, as clients send them; None: in all, and at counted routes
    idle        whether it counts nothing of anybody now, so that `reserve` need not be asked; it may change at any time
    mentions    bytes that the body of a request must hold for `prepare` to have anything to do: without them it need not run, and
                costs a search; None: it always has
    """

    on_error: ClassVar[Literal["deny", "allow"]] = "deny"
    budget_s: ClassVar[float] = 1.0
    sorts: ClassVar[frozenset[str]] = frozenset()
    order: ClassVar[int] = 0
    attachable: ClassVar[bool] = False
    guarded: ClassVar[bool] = True
    first_attempt: ClassVar[bool] = True
    wires: ClassVar[frozenset[str] | None] = None
    mentions: ClassVar[bytes | None] = None
    idle: bool = False

    def prepare(self, x: Exchange) -> Awaitable[None] | None:
        """Rewrite the call before it is planned. `x.call` and `x.principal` are set. Raise `ApiError` to refuse.

        It also runs when somebody asks what would become of a request, so it records nothing.
        """

    def reserve(self, x: Exchange) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:  # noqa: ARG002 - the base counts nothing
        """Name what this exchange takes from which buckets; none where it has no business with it. `x.plan` is set.

        The buckets of all policies are reserved together, all or nothing, before any policy's `admit`, under the id of the
        exchange. They are held until it ends, and given back by themselves if the gateway dies with it. A policy keeps nothing
        to undo: whether anything was reserved is the host's business. Within `x.parent`, slots that it holds are not taken
        again.
        """
        return ()

    def any_request(self, x: Exchange) -> Sequence[Bucket]:  # noqa: ARG002 - the base counts nothing
        """Name what a request takes whatever it says: those that `reserve` names first. `x.call` and `x.plan` may be None.

        The host looks at them before it reads a long body, and takes from them, but for slots, what a request costs that is
        refused before its limits are reserved: what nobody counts, anybody can ask for ever.
        """
        return ()

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Learn how the buckets it named stand after the decision, granted or not: for headers of the answer or the error."""

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:  # noqa: ARG002 - the base says less
        """Return the error for the client where the bucket at `index` of those it named had no room."""
        return RateLimited("The limit is reached.", code="rate_limit_exceeded", retry_after=retry_after_s)

    def used(self, x: Exchange) -> Sequence[int] | None:
        """Return the actual amounts of the buckets it named, once the exchange has ended; None: as they were reserved.

        `x.outcome`, `x.usage` and `x.cost_microusd` are final. Slots are given back whatever is said of them.
        """

    def uncounted(self, x: Exchange, processes: int) -> Sequence[Bucket] | None:  # noqa: ARG002 - the base has nothing instead
        """Return what to count in this process alone while the counters are away: one bucket for each that it named, with the
        share of its limit that one of so many `processes` has. None: `on_error` says what becomes of the exchange.

        Asked where the counters do not answer (`CountersUnavailable`, or not in time) and `[gateway] replicas` says how many
        there are. The slots and amounts are settled as those of `reserve` would be.
        """
        return None

    def admit(self, x: Exchange) -> Answer | Awaitable[Answer | None] | None:
        """Decide. None lets it pass, an `Answer` is given to the client instead of calling a provider, an `ApiError` refuses.

        Such an answer is in the canonical form, or what `answered` saw of a call in the same form; it costs nothing.
        """

    def attempting(
        self, x: Exchange, attempt: Attempt
    ) -> Mapping[str, str] | Awaitable[Mapping[str, str] | None] | None:
        """Return headers that go upstream with this attempt alone (lower-case names). Raise `Veto` to pass the target over."""

    def reads(self, x: Exchange) -> Filter | None:
        """Return what sees, and may change, one text of the answer: asked for anew as each begins. None lets it go by.

        A filter raises an `ApiError` to stop the answer (`policy_stop`); anything else it raises stops it where `on_error` is
        `deny`, else the answer goes on without that filter.
        """

    def answered(self, x: Exchange, answer: Answer | None) -> Awaitable[None] | None:
        """See the whole answer once, as its client gets it: after all filters, before `settle`.

        That of a stream has its `events`. None for one that is longer than is kept. `admit` may return it another time.
        """

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Account for what happened: `x.outcome`, `x.usage` and `x.attempts` are final. Shielded from cancellation.

        It may add to `x.labels`. An `ApiError` of a policy that denies on errors is what the client gets instead of the end of
        its answer; whatever else is raised is counted and logged, and the answer goes out.
        """

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """Say, as JSON values, what there is to know of an exchange that will not take place: what is left of a limit.

        No phase of an exchange. It takes nothing and changes nothing; `x.principal` and `x.plan` may be None.
        """
