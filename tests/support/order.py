"""Which tests a worker takes together, and in which order the workers take them, so that all of them end at about one time."""

import pytest

SHARED = {"module", "class", "package"}
WAITING = ("faults", "system", "matrix")
"""Folders whose files take seconds each."""


def lay_out(items: list[pytest.Item]) -> None:
    """Sort the tests, the longest first, and mark what one worker takes at a time (xdist's `loadgroup`).

    A slow test is taken alone, unless it shares a fixture with others of its file; what is left of a file is taken together.
    """
    for item in items:
        if not _is_alone(item):
            item.add_marker(pytest.mark.xdist_group(_file(item.nodeid)))
    items.sort(key=_rank)


def named(nodeid: str) -> str:
    """Return a test's name without the mark that xdist puts behind it."""
    return nodeid.removesuffix(f"@{_file(nodeid)}")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _is_alone(item: pytest.Item) -> bool:
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - pytest has no public name for them
    return item.get_closest_marker("slow") is not None and not any(
        fixture.scope in SHARED for definitions in fixtures for fixture in definitions
    )


def _rank(item: pytest.Item) -> tuple[float, bool]:
    """Say how early a test is taken: whoever gives itself much time needs it."""
    slow = item.get_closest_marker("slow")
    patience = item.get_closest_marker("timeout") if slow else None
    return (-(patience.args[0] if patience else 1) if slow else 0, not _waits(item))


def _waits(item: pytest.Item) -> bool:
    folder, _, _ = item.nodeid.removeprefix("tests/").partition("/")
    return folder in WAITING
