"""A name that several providers map to a model of theirs: a pool by their weights that nobody wrote."""

from collections.abc import Mapping
from itertools import chain

from switchgear.ambient import Ambient
from switchgear.catalogue.live import LiveModel, LiveProvider
from switchgear.contracts.exchange import Exchange, Plan
from switchgear.weighted_hashing import random_draw, weighted_order


class SharedModel:
    """The models of all enabled providers that map a name, as one callable name."""

    def __init__(self, name: str, providers: Mapping[str, LiveProvider], ambient: Ambient) -> None:
        enabled = {id: live for id, live in providers.items() if live.enabled}
        self.models: dict[str, LiveModel] = {id: live.mapped[name] for id, live in enabled.items()}
        self.enabled = bool(enabled)
        self.created_us = min(live.mapped[name].created_us for live in providers.values())
        self.owned_by = next(iter(providers)) if len(providers) == 1 else "switchgear"
        self._weights = [live.weight for live in enabled.values()]
        self._draw = random_draw(ambient.random)
        split = ", ".join(f"{id} {live.weight:g}" for id, live in enabled.items())
        self._why = f"{name} is mapped by providers, by weight: {split}"

    def plan(self, x: Exchange) -> Plan:
        """Put one provider first by weight; the others follow, those that are not available last."""
        plans = [model.plan(x) for model in self.models.values()]
        available = [plan.is_available() for plan in plans]
        order = weighted_order(self._weights, self._draw)
        if not all(available):
            order.sort(key=lambda index: not available[index])
        why = self._why
        if not all(available) and any(available):
            down = [id for id, is_up in zip(self.models, available, strict=True) if not is_up]
            why += f" ({', '.join(down)} last, not available now)"
        return Plan(
            tuple(chain.from_iterable(plans[index].steps for index in order)),
            (why, *chain.from_iterable(plans[index].why for index in order)),
        )
