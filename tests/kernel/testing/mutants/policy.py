"""A policy that is right: it counts slots, reads what is said, answers some, names itself upstream."""

from typing import ClassVar

from switchgear.contracts.counters import Bucket
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer
from switchgear.errors import RateLimited
from switchgear.testing.counters_bench import given_by
from switchgear.testing.policy_suite import PolicySuite


class Right(Policy):
    sorts = frozenset({"slots"})

    def __init__(self, counters):
        self.counters = counters

    def reserve(self, x):
        return [Bucket(f"mine:{x.principal.id}", "slots", 5)] if x.principal is not None else []

    def used(self, x):
        return [1] if x.principal is not None else None

    def attempting(self, x, attempt):
        return {"x-exchange": x.id}

    def admit(self, x):
        x.headers.append((b"x-mine", b"1"))

    def settle(self, x):
        x.labels["mine"] = "1"


class Leaky(Right):
    """Keeps what it took when the client leaves."""

    def admit(self, x):
        self.counters.held[f"{x.id}:mine"] = ()

    def settle(self, x):
        if x.outcome == "complete":
            self.counters.held.pop(f"{x.id}:mine", None)


class SharedId(Right):
    async def admit(self, x):
        await given_by(self.counters.reserve("always the same", [Bucket("k", "slots", 5)], 10))

    async def settle(self, x):
        await given_by(self.counters.settle("always the same"))


class Deaf(Right):
    """Counts by itself and does not listen to the answer."""

    def reserve(self, x):
        return []

    def used(self, x):
        return None

    async def admit(self, x):
        await given_by(self.counters.reserve(x.id, [Bucket("k", "slots", 5)], 10))

    def settle(self, x):
        return self.counters.settle(x.id)


class Hoarder(Right):
    def admit(self, x):
        self.counters.held[x.id + "x"] = ()
        raise RateLimited("full", retry_after=1.0)


class Brittle(Right):
    def reserve(self, x):
        if not x.principal.name:
            raise KeyError("no name")
        return []


class Idle(Policy):
    def __init__(self, counters):
        pass


class WrongShape(Right):
    def admit(self, x, y=None):
        return None


class Shouting(Right):
    def admit(self, x):
        x.headers.append((b"X-Loud", b"1"))


class TwoLines(Right):
    def admit(self, x):
        x.headers.append((b"x-mine", b"1\r\nset-cookie: a=b"))


class TextHeaders(Right):
    def admit(self, x):
        x.headers.append(("x-mine", "1"))


class TakesTheCall(Right):
    def admit(self, x):
        x.call = None


class TakesThePrincipalsCall(Right):
    def prepare(self, x):
        x.call.members = {"model": "m"}


class AnswersText(Right):
    def admit(self, x):
        return Answer("It is closed.")


class AnswersPages(Right):
    def admit(self, x):
        return Answer(b"<html>closed</html>")


class ReturnsText(Right):
    def admit(self, x):
        return "closed"


class Undeclared(Right):
    sorts = frozenset()


class OneTooMany(Right):
    def used(self, x):
        return [1, 1]


class Late(Right):
    async def used(self, x):
        return [1]


class Patient(Right):
    budget_s = 3600.0


class Unclear(Right):
    on_error = "maybe"


class TwoLinesUpstream(Right):
    def attempting(self, x, attempt):
        return {"x-exchange": "1\r\nx-more: 2"}


class NumbersUpstream(Right):
    def attempting(self, x, attempt):
        return {"x-exchange": 1}


class NumbersAsLabels(Right):
    def settle(self, x):
        x.labels["mine"] = 1


class Explains(Right):
    def explain(self, x):
        return {"mine": object()}


class RefusesWithoutAWord(Right):
    def refused(self, x, index, room, retry_after_s):
        return RateLimited("")


class TestRight(PolicySuite):
    policy: ClassVar[type[Policy]] = Right
    principal: ClassVar[Principal] = Principal("key_1", "key")

    def make(self, counters):
        return self.policy(counters)


MUTANTS = (
    (
        TestRight,
        "policy",
        (
            Leaky, SharedId, Deaf, Hoarder, Brittle, Idle, WrongShape, Shouting, TwoLines, TextHeaders, TakesTheCall,
            TakesThePrincipalsCall, AnswersText, AnswersPages, ReturnsText, Undeclared, OneTooMany, Late, Patient, Unclear,
            TwoLinesUpstream, NumbersUpstream, NumbersAsLabels, Explains, RefusesWithoutAWord,
        ),
    ),
)  # fmt: skip
