"""What an empty store is filled with, so that the first request of a newcomer is answered."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from switchgear.contracts.kernel import Seed
from switchgear.contracts.store import Store
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.writer import Terms


class FirstRun(Struct, frozen=True):
    """What was made: ids by kind, and what is shown once (`{"key": "sg_…"}`)."""

    made: dict[str, list[str]]
    once: dict[str, Any]

    @property
    def model(self) -> str | None:
        """A model to try."""
        return next(iter(self.made.get("models", ())), None)


async def seed(store: Store, resources: ResourceEngine, seeds: Sequence[Seed]) -> FirstRun | None:
    """Write the seeds into a store that never held anything; None if it has."""
    if not seeds or await store.revision() > 0:
        return None
    made: dict[str, list[str]] = {}
    once: dict[str, Any] = {}
    for one in sorted(seeds, key=lambda one: one.order):
        written = await resources.create(one.kind, one.body, Terms("first-run"))
        made.setdefault(one.kind, []).append(written.id)
        once |= written.once
    return FirstRun(made, once)
