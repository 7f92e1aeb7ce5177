"""What an empty store is filled with, so that the first request of a newcomer is answered."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct

from switchgear.contracts.kernel import Seed
from switchgear.contracts.principal import operator
from switchgear.contracts.store import Store
from switchgear.errors import ApiError
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.writer import Terms

FIRST_KEY = "first-api-key"
"""The file in the data directory with what the first start shows once."""
BY = operator("first-run")
_ROOM = b" " * 4095 + b"\n"
_log = structlog.stdlib.get_logger(__name__)


class FirstRun(Struct, frozen=True):
    """What was made: ids by kind, what is shown once (`{"key": "sg_…"}`), and the file that holds it."""

    made: dict[str, list[str]]
    once: dict[str, Any]
    file: Path

    @property
    def found(self) -> list[str]:
        """Providers whose keys were in the environment: what has a credential."""
        return [id for id in self.made.get("providers", ()) if f"{id}-env" in self.made.get("credentials", ())]

    @property
    def model(self) -> str | None:
        """A model to try."""
        return next(iter(self.made.get("models", ())), None)


async def seed(store: Store, resources: ResourceEngine, seeds: Sequence[Seed], file: Path) -> FirstRun | None:
    """Write the seeds into a store that never held anything; None if it has.

    What is shown once is in `file` as soon as it is made, in room that was taken before, readable by this user only. Where an
    earlier start got no further than taking the room, what is shown once is made again, in place of what nobody has seen.
    Raises `OSError` where there is no room, before anything is made.
    """
    if not seeds:
        return None
    if await store.revision() > 0:
        if not await _was_cut_short(file):
            return None
        seeds = [one for one in seeds if resources.kind(one.kind).once]
        await _take_back(resources, {one.kind for one in seeds})
    if any(resources.kind(one.kind).once for one in seeds if one.kind in resources.kinds):
        _take_room(file)
    made: dict[str, list[str]] = {}
    once: dict[str, Any] = {}
    for one in sorted(seeds, key=lambda one: one.order):
        try:
            written = await resources.create(one.kind, one.body, Terms(BY))
        except ApiError as refusal:
            if not one.optional:
                raise
            _log.warning("left out of the first run", kind=one.kind, id=one.body.get("id"), reason=str(refusal))
            continue
        made.setdefault(one.kind, []).append(written.id)
        if written.once:
            once |= written.once
            _fill(file, once)
    return FirstRun(made, once, file)


async def _was_cut_short(file: Path) -> bool:
    try:
        return file.read_bytes() == _ROOM  # noqa: ASYNC240 - a few bytes, once
    except OSError:
        return False


async def _take_back(resources: ResourceEngine, kinds: set[str]) -> None:
    """Delete what the start that was cut short made and nobody has seen."""
    for kind in kinds:
        for id in [it.id async for it in resources.each(kind) if (it.actor, it.version) == (BY.id, 1)]:
            await resources.delete(kind, id, Terms(BY))


def _take_room(file: Path) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(_ROOM)
        out.flush()
        os.fsync(out.fileno())


def _fill(file: Path, once: dict[str, Any]) -> None:
    text = "".join(f"{value}\n" for value in once.values()).encode()
    with os.fdopen(os.open(file, os.O_WRONLY), "wb") as out:  # in place: what is there is overwritten, and then cut
        out.write(text)
        out.flush()
        os.ftruncate(out.fileno(), len(text))
        os.fsync(out.fileno())
