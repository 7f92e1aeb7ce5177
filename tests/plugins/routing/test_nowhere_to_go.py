"""Names of other plugins among the targets of pools and chains: they may refuse to plan, or have nowhere to go."""

import pytest

from plugins.routing.planning import Health, Model, asked, chain_of, order, pool_of
from switchgear.contracts.exchange import Exchange, Plan
from switchgear.errors import ApiError, PermissionDenied
from switchgear_plugins.routing.chains import Budget

STRATEGIES = ["weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost"]


class Refuses(Model):
    """A name that is enabled, and not for this request."""

    def plan(self, x: Exchange) -> Plan:
        raise PermissionDenied(f"{self.name} is closed today")


class Nowhere(Model):
    """A name that is enabled and has no target now."""

    def plan(self, x: Exchange) -> Plan:
        return Plan(())


@pytest.mark.parametrize("kind", [Refuses, Nowhere])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("available", [True, False])
def test_the_others_answer_for_one_that_has_nowhere_to_go(kind: type[Model], strategy: str, available: bool) -> None:
    other = Model("b", Health(available=available))
    pool = pool_of({kind("a"): 5, other: 1}, strategy=strategy)
    assert [["b"]] * 5 == [order(pool.plan(asked())) for _ in range(5)]
    inner = chain_of([(Model("c"), {})], budget=Budget(2, 3.0))
    plan = chain_of([(kind("a"), {}), (inner, {})]).plan(asked())
    assert (["c"], 2, 3.0) == (order(plan), plan.attempts, plan.seconds)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_none_has_the_first_says_why(strategy: str) -> None:
    with pytest.raises(ApiError, match="a is closed"):
        pool_of({Refuses("a"): 1, Refuses("b"): 1}, strategy=strategy).plan(asked())
    with pytest.raises(ApiError, match="a is closed"):
        chain_of([(Refuses("a"), {}), (Nowhere("b"), {})]).plan(asked())
    assert () == pool_of({Nowhere("a"): 1}, strategy=strategy).plan(asked()).steps
