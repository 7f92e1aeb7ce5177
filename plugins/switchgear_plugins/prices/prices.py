"""Which prices models have, and which have none."""

from typing import Any

from msgspec import Struct

from switchgear.contracts.exchange import Target
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.usage import Pricing


class ModelPrice(Struct, frozen=True):
    """What a model costs now, in microusd for a million of each unit. `version` is where that is from; null: its own resource."""

    model: str
    provider: str
    provider_model: str
    units: dict[str, int] | None
    version: str | None
    tiers: list[dict[str, Any]]
    services: list[str]


def target_of(snapshot: Snapshot, name: str) -> Target | None:
    """Return what answers to a model's name, or to `provider/name`."""
    live = snapshot.live("models", name) or snapshot.callable(name)
    found = getattr(live, "target", None)
    return found if isinstance(found, Target) else None


def pricing_of(snapshot: Snapshot, name: str) -> Pricing | None:
    """Return the prices of a model as it is now."""
    target = target_of(snapshot, name)
    return None if target is None else target.pricing


def prices(snapshot: Snapshot) -> list[ModelPrice]:
    """Return the prices of every model, in order of their names."""
    found = []
    for name in sorted(snapshot.all("models")):
        target = target_of(snapshot, name)
        if target is None:
            continue
        pricing = target.pricing
        found.append(
            ModelPrice(
                name,
                target.provider_id,
                target.model.name,
                None if pricing is None else dict(pricing.units),
                None if pricing is None else pricing.version,
                [] if pricing is None else [{"above": it.above, "units": dict(it.units)} for it in pricing.tiers],
                [] if pricing is None else sorted(pricing.services),
            )
        )
    return found
