"""The most that one attempt at a call may cost, and the bound on its answer that makes it so."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec import Raw

from switchgear.contracts.estimate import SEVERAL, answers, service_of, writes_tokens
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import Call
from switchgear.contracts.usage import INPUT, MOST, OUTPUT, REQUEST
from switchgear.errors import ApiError, InvalidRequest, PermissionDenied
from switchgear.wire.members import raw
from switchgear_plugins.budgets.prompts import longest_prompt

BOUNDS = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens", "completions": "max_tokens"}
"""How the bound on an answer is called, by wire format."""

_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_KEPT = 4096


class Priced:
    """A target's dearest prices, microusd for a million; `frame` is for the request itself and what an agent says before it."""

    __slots__ = ("frame", "most", "read", "written")

    def __init__(self, target: Target, service: str | None) -> None:
        pricing = None if target.pricing is None else target.pricing.serving(service)
        self.most = target.model.max_output_tokens
        default = target.model.defaults.get("max_tokens")
        if default is not None:
            with suppress(msgspec.DecodeError):
                self.most = msgspec.json.decode(default, type=int)
        self.read = self.written = None if pricing is None else 0
        self.frame = 0
        if pricing is not None:
            self.read, self.written = pricing.dearest(INPUT), pricing.dearest(OUTPUT)
            self.frame = pricing.units.get(REQUEST, 0)
            if target.preamble is not None:
                self.frame += len(target.preamble.encode("utf-8", "surrogatepass")) * (self.read or 0)
        if target.native is not None:  # it runs in this process: nobody sends a bill but what its price says
            self.read, self.written = self.read or 0, self.written or 0


class Bounds:
    """Works out worst cases. What it knows of targets goes with the snapshot they belong to."""

    def __init__(self, most: int, picture: int) -> None:
        self._most = most
        self._picture = picture
        self._priced: dict[tuple[Target, str | None], Priced] = {}
        self._snapshot: object = None

    def of(self, target: Target, call: Call) -> Priced:
        """Return a target's prices, for the service tier that a call asks for."""
        service = service_of(call) if target.pricing is not None and target.pricing.services else None
        found = self._priced.get((target, service))
        if found is None:
            found = self._priced[target, service] = Priced(target, service)
        return found

    def question(self, x: Exchange) -> "Question":
        """Return what a planned call may cost, as far as its answer has a bound. Raises `ApiError` where that cannot be known."""
        call, plan = x.call, x.plan
        assert call is not None
        assert plan is not None
        if x.snapshot is not self._snapshot or len(self._priced) >= _KEPT:
            self._priced.clear()
            self._snapshot = x.snapshot
        targets = [step.target for step in plan.steps]
        priced = [self.of(target, call) for target in targets]
        windows = [it.model.context_window for it in targets if it.model.context_window is not None]
        read = longest_prompt(call, self._picture, windows)
        question = Question(call, priced, read, at_once=1 if plan.hedge_s is None else 2)
        if not question.writes:
            return question
        bound = _bound(call)
        if bound is None or bound <= 0:  # a provider may read less than nothing, or nothing, as no bound at all
            question.is_open = bound != 0
            bound = min((self._most if one.most is None else one.most for one in priced), default=self._most)
        question.bound = bound
        return question


class Question:
    """What a call may cost. `is_open`: its client set no bound, so that the gateway may.

    Raises `ApiError` where a target has no price, or nobody can say how many answers are asked for.
    """

    __slots__ = ("_answers", "_at_once", "_priced", "bound", "call", "is_open", "read", "writes")

    def __init__(self, call: Call, priced: Sequence[Priced], read: int, *, at_once: int) -> None:
        self.call = call
        self._priced = priced
        self._at_once = at_once
        self.read = read
        self.bound = 0
        self.is_open = False
        self.writes = writes_tokens(call) or call.wire in BOUNDS
        for name in SEVERAL:
            if name in call.members:
                call.member(name, int)  # a provider may read a number where there is none here
        self._answers = answers(call)
        for one in priced:
            if one.read is None or (one.written is None and self.writes):
                message = (
                    "This model has no price, and there is a hard budget to keep. Give the model `pricing`, or take it out of"
                    " the budget's scope."
                )
                raise PermissionDenied(message, code="price_unknown", param="model")

    def worst(self) -> int:
        """Return microusd: the dearest target's, rounded up."""
        return min(max((self.at(one) for one in self._priced), default=0) * self._at_once, MOST)

    def at(self, one: Priced) -> int:
        """Return what one attempt at one target may cost."""
        return -(-(self.read * (one.read or 0) + self._written(one) + one.frame) // 1_000_000)

    def answered_at(self, one: Priced) -> int:
        """Return what of that is for the answer."""
        return -(-self._written(one) // 1_000_000)

    def _written(self, one: Priced) -> int:
        return max(0, self.bound) * self._answers * (one.written or 0)

    def longest(self, microusd: int) -> int:
        """Return the longest answer, in tokens, that so much money pays for at every target; -1: not even for the question."""
        left = self.bound
        for one in self._priced:
            budget = microusd // self._at_once * 1_000_000 - self.read * (one.read or 0) - one.frame
            if budget < 0:
                return -1
            if one.written:
                left = min(left, budget // (one.written * self._answers))
        return left

    def write(self, tokens: int) -> None:
        """Bound the answer. Raises `ApiError` where this wire format has no such member."""
        self.bound = tokens
        own = BOUNDS.get(self.call.wire)
        if own is None:
            raise unbounded()
        call, value = self.call, Raw(raw(tokens))
        call.max_tokens = tokens
        for name in [name for name in _NAMES if name in call.members] or [own]:
            call.members[name] = value


def unbounded() -> ApiError:
    """Make the error of a call whose answer could be of any length."""
    message = "There is a budget to keep: say how long the answer may be."
    return InvalidRequest(message, code="unbounded", param="max_tokens")


def _bound(call: Call) -> int | None:
    """Return the bound that a client set; of several names for it the largest, as the provider may go by any."""
    said = [] if call.max_tokens is None else [call.max_tokens]
    if call.wire in BOUNDS:
        for name in _NAMES:
            if name in call.members:
                with suppress(InvalidRequest):  # the provider will say so
                    if (bound := call.member(name, int)) is not None:
                        said.append(bound)
    return None if not said else max(said) if min(said) >= 0 else -1
