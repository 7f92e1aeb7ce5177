"""Which tests a worker takes at a time, and in which order they are taken, so that all workers end at about one time.

A slow test is taken alone, unless it shares a fixture with others of its file; what is left of a file is taken together. Only
the workers know which tests are slow: the first of them writes down what is taken alone, and xdist's scheduler reads it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = "alone"
"""What a worker is told the place of the list by."""
SHARED = {"module", "class", "package"}
WAITING = ("tests/faults/", "tests/system/", "tests/matrix/")
"""Folders whose files take seconds each."""


class Scheduler(LoadScopeScheduling):
    """Gives out slow tests one by one and others by file, in the order of the workers."""

    def __init__(self, config: pytest.Config, log: Any, place: Path) -> None:
        super().__init__(config, log)
        self._place = place
        self._alone: set[str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._alone is None:
            self._alone = set(json.loads(self._place.read_text()))
        return nodeid if nodeid in self._alone else nodeid.partition("::")[0]


def lay_out(items: list[pytest.Item], place: Path) -> None:
    """Sort the tests, the longest first, and write down which are taken alone."""
    items.sort(key=_rank)
    _write(place, [item.nodeid for item in items if _is_alone(item)])


def _write(place: Path, names: Sequence[str]) -> None:
    try:
        with place.open("x") as file:
            json.dump(names, file)
    except FileExistsError:
        return  # all workers find the same


def _is_alone(item: pytest.Item) -> bool:
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - pytest has no public name for them
    return item.get_closest_marker("slow") is not None and not any(
        fixture.scope in SHARED for definitions in fixtures for fixture in definitions
    )


def _rank(item: pytest.Item) -> tuple[float, bool]:
    """Say how early a test is taken: whoever gives itself much time needs it."""
    patience = 0.0
    if item.get_closest_marker("slow"):
        timeout = item.get_closest_marker("timeout")
        patience = timeout.args[0] if timeout else 1.0
    return -patience, not item.nodeid.startswith(WAITING)
