"""Holds calls to budgets: the worst that a call may cost is reserved before anybody is asked, and what it did cost is settled."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, ClassVar

from msgspec.structs import replace

from switchgear import Context
from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import COUNT
from switchgear.errors import ApiError, RateLimited, Unavailable
from switchgear_plugins.budgets.bounds import Bounds, Question
from switchgear_plugins.budgets.live import Budget, Index, labels_of
from switchgear_plugins.budgets.seeds import Seeds
from switchgear_plugins.budgets.spec import KIND

NAME = "budgets"
MOST_CACHED = 16_384
"""Principals whose budgets are kept found."""

_LEASE_MARGIN_S = 30.0
_FEWEST = 16
"""Tokens of an answer that it is worth to ask for."""
_LONGEST_WAIT_S = 31 * 86_400.0

Found = tuple[tuple[Budget, str | None], ...]


class Claim:
    """What one exchange takes of which budgets. `reserved` is the worst case, `more` what later attempts reserved on top."""

    __slots__ = ("buckets", "found", "more", "question", "reserved", "skipped")

    def __init__(self, found: Found, question: Question | None, skipped: frozenset[str]) -> None:
        self.found = found
        self.question = question
        self.reserved = 0
        self.buckets: tuple[Bucket, ...] = ()
        self.more: list[tuple[str, int]] = []
        self.skipped = skipped

    def price(self, at_us: int) -> None:
        """Name the buckets with what is reserved of each."""
        self.reserved = 0 if self.question is None else self.question.worst()
        self.buckets = tuple(
            [budget.bucket(whose, at_us, self.reserved if budget.is_hard else 0) for budget, whose in self.found]
        )


class BudgetsPolicy(Policy):
    """Names the buckets of all budgets that a call is within."""

    on_error: ClassVar = "deny"
    budget_s: ClassVar[float] = 15.0
    sorts: ClassVar[frozenset[str]] = frozenset({"period", "window"})
    order: ClassVar[int] = -10
    """Before whoever reserves by the length of the answer, which may be bounded here."""
    first_attempt: ClassVar[bool] = False
    guarded: ClassVar[bool] = False

    def __init__(self, context: Context, most_tokens: int, picture_tokens: int) -> None:
        self._context = context
        self._resources = context.resources
        self._counters = context.counters
        self._bounds = Bounds(most_tokens, picture_tokens)
        self._index: Index | None = None
        self._found: dict[tuple[Any, ...], tuple[object, object, Found]] = {}
        self._left: dict[tuple[str, int | None], int] = {}
        self._refused = context.metrics.counter("budgets_refused", "Calls that a budget could not pay.", ("budget",))
        self.seeds = Seeds(context)
        self.touched: dict[tuple[str, str | None], Budget] = {}
        """Budgets that something was spent of since somebody looked, with the value of `each`."""
        self.exhausted: set[tuple[str, str | None]] = set()
        """Those of them that could not pay a call."""
        self._resources.on_change(KIND, self._changed)

    def reserve(self, x: Exchange) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:
        """Name the bucket of each budget that the call is within; those that nobody used yet are counted first."""
        index = self._index or self._indexed()
        if index.is_empty:
            return ()
        return self._claim(x, index, frozenset())

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Note what is left, and that the exchange holds something."""
        claim: Claim = x.notes[NAME]
        left = self._left
        for bucket, room in zip(claim.buckets, rooms, strict=True):
            left[bucket.key, bucket.start_us] = room.remaining
        if x.reservation is not None:
            self.seeds.hold(x.id, claim.buckets, _lease_s(x))

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        """Say that the money is spent; or, if the counters lost it, that it is counted anew."""
        claim: Claim = x.notes[NAME]
        if not room.seeded:
            self.seeds.lost()
            return Unavailable("What was spent is being counted.", code="budget_unknown", retry_after=1)
        budget, whose = claim.found[index]
        self._refused.child(budget.id).inc()
        if room.remaining * 20 <= budget.amount:  # else it is not spent: a single dear call is refused
            self.exhausted.add((budget.id, whose))
        self.touched[budget.id, whose] = budget
        return self._exceeded(claim, index, room, retry_after_s)

    def attempting(self, x: Exchange, attempt: Attempt) -> Awaitable[None] | None:
        """Reserve what an attempt may cost beyond what is held, where those before it may be billed as well."""
        claim: Claim | None = x.notes.get(NAME)
        question = None if claim is None else claim.question
        if not x.attempts or claim is None or question is None:
            return None
        spent = sum(self._most(claim, it) for it in x.attempts)
        need = spent + question.at(self._bounds.of(attempt.target, question.call))
        held = claim.reserved + sum(amount for _, amount in claim.more)
        return self._more(x, claim, need - held) if need > held else None

    def used(self, x: Exchange) -> Sequence[int]:
        """Return what it cost each budget; where nobody knows, the worst case stands."""
        claim: Claim = x.notes[NAME]
        cost = x.cost_microusd
        held = claim.reserved + sum(amount for _, amount in claim.more)
        if cost is None:
            hard, soft = held, 0
        else:
            hard = 0 if claim.question is None else sum(self._most(claim, it) for it in x.attempts)
            soft = cost
        target = x.target
        amounts = []
        for budget, whose in claim.found:
            amount = hard if budget.is_hard else soft
            if budget.models is not None and not _is_of(x, budget.models, None if target is None else target.model.id):
                amount = 0
            amounts.append(amount)
            self.touched[budget.id, whose] = budget
        self.seeds.settled(x.id, amounts)
        for id, _ in claim.more:
            hard_ones = sum(budget.is_hard for budget, _ in claim.found)
            self.seeds.later(self._give_back(id, hard_ones))
        return amounts

    def _most(self, claim: Claim, attempt: Attempt) -> int:
        """Return what an attempt that has ended may be billed, microusd.

        That is what its provider said. Else it is what was seen, all of an answer of which nothing was seen, and a quarter of
        what is left of the worst case.
        """
        question, usage, cost = claim.question, attempt.usage, attempt.cost_microusd
        if cost is None or question is None:
            return claim.reserved
        if usage is None or not usage.estimated:
            return cost
        priced = self._bounds.of(attempt.target, question.call)
        unseen = max(0, question.at(priced) - cost)
        made = 0 if usage.output_tokens else min(unseen, question.answered_at(priced))
        return cost + made + -(-(unseen - made) // 4)

    async def explain(self, x: Exchange) -> Mapping[str, Any] | None:
        """Say how the budgets stand that the call is within."""
        index = self._index or self._indexed()
        if index.is_empty or x.principal is None or x.call is None:
            return None
        found = self._within(x, index)
        if not found:
            return None
        said = {}
        for budget, whose in found:
            bucket = budget.bucket(whose, x.started_us, 0)
            await self.seeds.seed(budget, whose, bucket, x.started_us)
            [room] = await self.seeds.peek((bucket,))
            said[budget.id] = {
                **({} if whose is None else {"whose": whose}),
                "mode": budget.spec.mode,
                "amount_microusd": budget.amount,
                "left_microusd": max(0, budget.amount - (bucket.limit - room.remaining)),
                "reset_s": room.reset_s,
            }
        return said

    def _indexed(self) -> Index:
        self._index = Index(self._resources.snapshot.all(KIND).values())
        self.idle = self._index.is_empty
        self._found.clear()
        return self._index

    def _changed(self, id: str, live: Budget | None) -> None:  # noqa: ARG002 - the shape of on_change
        self._index = None
        self.idle = False

    def _within(self, x: Exchange, index: Index) -> Found:
        """Return the budgets that the exchange is within by its labels."""
        principal, call = x.principal, x.call
        assert call is not None
        if principal is None:
            return ()
        own: tuple[str | None, ...] = tuple(map(x.labels.get, index.names)) if x.labels and index.names else ()
        key = principal.id, principal.kind, call.model, own
        known = self._found.get(key)
        if known is not None and known[0] is principal and known[1] is index:
            return known[2]
        labels = {
            **{name: text for name, text in zip(index.names, own, strict=False) if text is not None},
            **labels_of(principal),
            "model": call.model,
        }
        found = tuple(index.find(labels))
        if len(self._found) >= MOST_CACHED:
            self._found.clear()
        self._found[key] = principal, index, found
        return found

    def _claim(
        self, x: Exchange, index: Index, skipped: frozenset[str]
    ) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:
        found = self._within(x, index)
        if not found:
            return ()
        if skipped or any(budget.models is not None for budget, _ in found):
            found = tuple(it for it in found if it[0].id not in skipped and it[0].takes(x))
        call = x.call
        assert call is not None
        if not found or call.operation == COUNT:
            return ()
        is_hard = any(budget.is_hard for budget, _ in found)
        claim = x.notes[NAME] = Claim(found, self._bounds.question(x) if is_hard else None, skipped)
        if index.names:
            self._label(x, index, found)
        claim.price(x.started_us)
        seeded = self.seeds.seeded
        for bucket in claim.buckets:
            if (bucket.key, bucket.start_us) not in seeded:
                return self._seeded(x, claim)
        return self._go(x, claim)

    def _label(self, x: Exchange, index: Index, found: Found) -> None:
        """Have the record say by which labels it is found again."""
        assert x.principal is not None
        for budget, _ in found:
            for name in budget.names:
                if name in index.names and name not in x.labels and (text := x.principal.labels.get(name)) is not None:
                    x.labels[name] = text

    async def _seeded(self, x: Exchange, claim: Claim) -> Sequence[Bucket]:
        for (budget, whose), bucket in zip(claim.found, claim.buckets, strict=True):
            await self.seeds.seed(budget, whose, bucket, x.started_us)
        going = self._go(x, claim)
        return await going if isawaitable(going) else going

    def _go(self, x: Exchange, claim: Claim) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:
        """Return the buckets; where less is left than the call may cost, look what can be done about it."""
        question = claim.question
        if question is None:
            return claim.buckets
        left = self._left
        worst = claim.reserved
        for bucket in claim.buckets:
            if bucket.amount and left.get((bucket.key, bucket.start_us), bucket.limit) < worst:
                rooms = self._counters.peek(claim.buckets)
                return self._fit(x, claim, rooms) if isinstance(rooms, tuple) else self._fit_later(x, claim, rooms)
        if question.is_open:
            question.write(question.bound)
        return claim.buckets

    async def _fit_later(self, x: Exchange, claim: Claim, asked: Awaitable[tuple[Room, ...]]) -> Sequence[Bucket]:
        going = self._fit(x, claim, await asked)
        return await going if isawaitable(going) else going

    def _fit(self, x: Exchange, claim: Claim, rooms: Sequence[Room]) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:
        question = claim.question
        assert question is not None
        if len(self._left) >= MOST_CACHED:
            self._left.clear()
        tight: tuple[int, Budget] | None = None
        for (budget, _), bucket, room in zip(claim.found, claim.buckets, rooms, strict=True):
            if not budget.is_hard or not room.seeded:
                continue
            self._left[bucket.key, bucket.start_us] = room.remaining
            if room.remaining < claim.reserved and (tight is None or room.remaining < tight[0]):
                tight = room.remaining, budget
        if tight is not None:
            longest = question.longest(tight[0]) if question.is_open else 0
            if longest >= _FEWEST:
                question.bound = longest
                claim.price(x.started_us)
            elif (other := tight[1].other) is not None:
                elsewhere = self._elsewhere(x, claim, tight[1], other)
                if elsewhere is not None:
                    return elsewhere
        if question.is_open:
            question.write(question.bound)
        return claim.buckets

    def _elsewhere(
        self, x: Exchange, claim: Claim, budget: Budget, other: str
    ) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]] | None:
        """Plan the call anew for the model that a spent budget names; None where there is none, or it was tried."""
        found = x.snapshot.callable(other)
        assert x.call is not None
        if found is None or not found.enabled or budget.id in claim.skipped:
            return None
        x.call.model = other
        plan = found.plan(x)
        x.plan = replace(plan, why=(f"the budget {budget.id} is spent: {other} instead", *plan.why))
        x.notes.pop(NAME, None)
        self.exhausted.add((budget.id, next(whose for it, whose in claim.found if it is budget)))
        return self._claim(x, self._index or self._indexed(), claim.skipped | {budget.id})

    async def _more(self, x: Exchange, claim: Claim, amount: int) -> None:
        hard = [index for index, (budget, _) in enumerate(claim.found) if budget.is_hard]
        buckets = tuple(replace(claim.buckets[index], amount=amount) for index in hard)
        id = f"{x.id}:budgets:{len(claim.more)}"
        claim.more.append((id, amount))
        decision = self._counters.reserve(id, buckets, _lease_s(x))
        if not isinstance(decision, Decision):
            decision = await decision
        if decision.refused is not None:
            claim.more.pop()
            raise self._exceeded(claim, hard[decision.refused], decision.rooms[decision.refused], 1.0)

    async def _give_back(self, id: str, count: int) -> None:
        settling = self._counters.settle(id, [0] * count)
        if settling is not None:
            await settling

    def _exceeded(self, claim: Claim, index: int, room: Room, retry_after_s: float) -> ApiError:
        budget, whose = claim.found[index]
        bucket = claim.buckets[index]
        message = (
            f"The budget `{budget.id}`{'' if whose is None else f' of {whose}'} of {_usd(budget.amount)} cannot pay for this"
            f" call: {_usd(room.remaining)} are left, and it may cost {_usd(claim.reserved)}."
        )
        question = claim.question
        if question is not None and (longest := question.longest(room.remaining)) >= _FEWEST:
            message += f" Ask for at most {longest} tokens."
        elif budget.spec.period != "total" and bucket.start_us is not None:
            ends = datetime.fromtimestamp(bucket.start_us / 1e6 + bucket.period_s, UTC)
            message += f" It begins anew at {ends:%Y-%m-%dT%H:%M:%SZ}."
        return RateLimited(message, code="budget_exceeded", retry_after=min(max(retry_after_s, 1.0), _LONGEST_WAIT_S))


def _is_of(x: Exchange, models: frozenset[str], target: str | None) -> bool:
    return (x.call is not None and x.call.model in models) or target in models


def _lease_s(x: Exchange) -> float:
    steps = () if x.plan is None else x.plan.steps
    return max((step.target.timeouts.total for step in steps), default=600.0) + _LEASE_MARGIN_S


def _usd(microusd: int) -> str:
    return f"{microusd / 1e6:.6f} USD"
