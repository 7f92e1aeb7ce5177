"""What a request may use and cost at worst, over all places where it may go."""

from typing import Any

from msgspec import Raw

from switchgear.contracts.capability import USUAL
from switchgear.contracts.estimate import Estimate
from switchgear.contracts.exchange import Exchange, Plan, Step, Target
from switchgear.contracts.provider import CANONICAL, COUNT, EMBEDDINGS, Call, TargetModel
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Pricing
from switchgear.exchange.meters import ExchangeMeters
from switchgear.resources.snapshot import Snapshot
from switchgear.telemetry.metrics import Metrics
from switchgear.tokens import TokenEstimator
from switchgear.wire.members import raw

METERS = ExchangeMeters(Metrics())


class Fixed(TokenEstimator):
    """Takes every request for a hundred tokens."""

    def input(self, members: Any) -> int:
        return 100


def target(bound: int | None = 1000, *, default: int | None = None, **pricing: int) -> Target:
    defaults = {} if default is None else {"max_tokens": Raw(raw(default))}
    return Target(
        model=TargetModel("m", "n", Raw(b'"n"'), defaults=defaults, max_output_tokens=bound),
        provider_id="p",
        wires=frozenset({CANONICAL}),
        capabilities=USUAL,
        timeouts=Timeouts(),
        meters=METERS.of_target("m", "p"),
        estimator=Fixed(),
        pricing=Pricing(pricing) if pricing else None,
    )


def estimated(*targets: Target, operation: str = "chat", max_tokens: int | None = None, **members: Any) -> Estimate:
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    wire = {"count": COUNT, "embedding": EMBEDDINGS}.get(operation, CANONICAL)
    x.call = Call(operation, wire, {n: Raw(raw(v)) for n, v in members.items()}, model="m", max_tokens=max_tokens)
    x.plan = Plan(tuple(map(Step, targets)))
    assert x.estimate is x.estimate, "made once"
    return x.estimate


def test_the_worst_of_all_targets_is_told() -> None:
    cheap = target(50, input=1_000_000, output=1_000_000)
    dear = target(40, input=3_000_000, output=2_000_000)
    assert Estimate(100, 50, 300, 380) == estimated(cheap, dear)
    assert Estimate(100, 9, 300, 318) == estimated(cheap, dear, max_tokens=9)
    assert Estimate(100, 27, 100, 127) == estimated(cheap, max_tokens=9, n=3)


def test_the_dearest_kind_of_a_unit_counts_and_so_does_the_request() -> None:
    prices = {"input": 1_000_000, "cache_write_1h": 2_000_000, "output": 1_000_000, "reasoning": 3_000_000}
    assert Estimate(100, 10, 100, 230) == estimated(target(10, **prices))
    assert Estimate(100, 10, 100, 237) == estimated(target(10, request=6_000_001, **prices))


def test_what_one_target_does_not_say_is_unknown() -> None:
    priced = target(10, input=1, output=1)
    assert Estimate(100, 10) == estimated(priced, target(10))
    assert Estimate(100, None, 1, None) == estimated(priced, target(None, input=1, output=1))
    assert Estimate(100, 10, 1, None) == estimated(target(10, input=1))
    assert Estimate(100, 7, 1, 1) == estimated(target(None, default=7, input=1, output=1))


def test_vectors_cost_no_output_and_counting_costs_nothing() -> None:
    assert Estimate(100, 0, 100, 100) == estimated(target(input=1_000_000), operation="embedding", input="a")
    assert Estimate(100, 0, 0, 0) == estimated(target(), operation="count")
    assert Estimate(100, 0, 100, 107) == estimated(target(input=1_000_000, request=7_000_000), operation="rerank")


def test_nowhere_to_go_costs_nothing() -> None:
    assert Estimate(0, 0, 0, 0) == estimated()
