"""What an empty store is filled with, so that the first request of a newcomer is answered."""

from collections.abc import Sequence
from typing import Any

import structlog
from msgspec import Struct

from switchgear.contracts.kernel import Seed
from switchgear.contracts.principal import operator
from switchgear.contracts.store import Store
from switchgear.errors import ApiError
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.writer import Terms

_log = structlog.stdlib.get_logger(__name__)


class FirstRun(Struct, frozen=True):
    """What was made: ids by kind, and what is shown once (`{"key": "sg_…"}`)."""

    made: dict[str, list[str]]
    once: dict[str, Any]

    @property
    def found(self) -> list[str]:
        """Providers whose keys were in the environment: what has a credential."""
        return [id for id in self.made.get("providers", ()) if f"{id}-env" in self.made.get("credentials", ())]

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
        try:
            written = await resources.create(one.kind, one.body, Terms(operator("first-run")))
        except ApiError as refusal:
            if not one.optional:
                raise
            _log.warning("left out of the first run", kind=one.kind, id=one.body.get("id"), reason=str(refusal))
            continue
        made.setdefault(one.kind, []).append(written.id)
        once |= written.once
    return FirstRun(made, once)
