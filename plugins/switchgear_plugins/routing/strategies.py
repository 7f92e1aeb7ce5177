"""Who comes first in a pool. A strategy orders what may be asked; `weights` say how much of it each should get."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from switchgear.contracts.exchange import Plan, Target
from switchgear.contracts.usage import INPUT, OUTPUT
from switchgear.weighted_hashing import random_draw, weighted_order

StrategyName: TypeAlias = Literal["weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost"]
Strategy: TypeAlias = Callable[[Sequence[int], Sequence[Plan]], list[int]]
"""From indexes of those that may come first, and all plans by index, to the indexes in order."""

_EXPLORE = 0.02
"""How often the fastest target is not asked first, so that what is known of the others does not grow old."""
_PER_INPUT = 3
"""Tokens read for each one written, as prices are commonly compared."""


class Strategies:
    """Makes strategies of one pool."""

    def __init__(self, weights: Sequence[float], random: Callable[[], float]) -> None:
        self._weights = weights
        self._random = random
        self._draw = random_draw(random)
        self._credit = [0.0] * len(weights)

    def make(self, name: StrategyName) -> Strategy:
        """Return the strategy of a name."""
        return {
            "weighted": self._weighted,
            "round_robin": self._round_robin,
            "least_busy": self._least_busy,
            "lowest_latency": self._lowest_latency,
            "lowest_cost": self._lowest_cost,
        }[name]

    def _weighted(self, candidates: Sequence[int], plans: Sequence[Plan]) -> list[int]:  # noqa: ARG002 - a Strategy
        order = weighted_order([self._weights[index] for index in candidates], self._draw)
        return [candidates[index] for index in order]

    def _round_robin(self, candidates: Sequence[int], plans: Sequence[Plan]) -> list[int]:  # noqa: ARG002 - a Strategy
        """Take turns, each as often as its weight says and evenly spread: who waited longest for his part is next."""
        credit = self._credit
        for index in candidates:
            credit[index] += self._weights[index]
        order = sorted(candidates, key=lambda index: (self._weights[index] == 0, -credit[index]))
        credit[order[0]] -= sum(self._weights[index] for index in candidates)
        return order

    def _least_busy(self, candidates: Sequence[int], plans: Sequence[Plan]) -> list[int]:
        """Put first who has the fewest attempts in flight for his weight."""
        return sorted(
            self._weighted(candidates, plans), key=lambda index: _share(_active(plans[index]), self._weights[index])
        )

    def _lowest_latency(self, candidates: Sequence[int], plans: Sequence[Plan]) -> list[int]:
        """Put the fastest first, but one nobody knows yet before it, a request at a time."""
        order = self._weighted(candidates, plans)
        if self._random() < _EXPLORE:
            return order
        return sorted(order, key=lambda index: _wait(plans[index]) if self._weights[index] else math.inf)

    def _lowest_cost(self, candidates: Sequence[int], plans: Sequence[Plan]) -> list[int]:
        """Put the cheapest first; those without a price come last."""
        order = self._weighted(candidates, plans)
        return sorted(order, key=lambda index: _price(plans[index]) if self._weights[index] else math.inf)


def _first(plan: Plan) -> Target:
    return plan.steps[0].target


def _active(plan: Plan) -> int:
    health = _first(plan).health
    return 0 if health is None else health.active


def _share(active: int, weight: float) -> float:
    return active / weight if weight else math.inf


def _wait(plan: Plan) -> float:
    health = _first(plan).health
    if health is None:
        return 0.0
    if health.latency_s is None:
        return 0.0 if health.active == 0 else _UNKNOWN_S
    return health.latency_s


_UNKNOWN_S = 1e9
"""Longer than anything that is known."""


def _price(plan: Plan) -> float:
    pricing = _first(plan).pricing
    read, written = (None, None) if pricing is None else (pricing.price(INPUT), pricing.price(OUTPUT))
    return _UNKNOWN_PRICE if read is None or written is None else _PER_INPUT * read + written


_UNKNOWN_PRICE = 1e18
"""More than anything costs."""
