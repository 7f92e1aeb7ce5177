"""Fixtures for whoever has Switchgear installed; pytest finds them by itself. Importing this imports nothing but pytest."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from switchgear.testing.ambient import Ahead, FixedAmbient
    from switchgear.testing.context import PluginContext
    from switchgear.testing.gateway import Running
    from switchgear.testing.upstream import ScriptedUpstream


@pytest.fixture
def ambient() -> "FixedAmbient":
    """Time that stands still until `ambient.advance(seconds)`, seeded randomness, counted ids."""
    from switchgear.testing.ambient import FixedAmbient  # noqa: PLC0415 - paid by those who ask

    return FixedAmbient()


@pytest.fixture
def plugin_context(tmp_path: Path, ambient: "FixedAmbient") -> "PluginContext":
    """What a plugin under test is constructed with: a fresh directory, the `ambient` fixture, metrics, a log."""
    from switchgear.testing.context import PluginContext  # noqa: PLC0415 - paid by those who ask

    return PluginContext("plugin", tmp_path, ambient=ambient)


@pytest.fixture
def gateway(tmp_path: Path) -> "Callable[..., AbstractAsyncContextManager[Running]]":
    """Starts a whole gateway: see `switchgear.testing.gateway`, whose `running` this is, over a directory of the test's own."""
    from switchgear.testing.gateway import running  # noqa: PLC0415 - paid by those who ask

    return partial(running, tmp_path)


@pytest.fixture
def upstream() -> "ScriptedUpstream":
    """A server whose answers and faults the test chooses; `async with upstream` has it listen."""
    from switchgear.testing.upstream import ScriptedUpstream  # noqa: PLC0415 - paid by those who ask

    return ScriptedUpstream()


@pytest.fixture
def clock() -> "Ahead":
    """Time that goes on and can be moved forward: `gateway(ambient=clock)`, `clock.skip(seconds)`."""
    from switchgear.testing.ambient import Ahead  # noqa: PLC0415 - paid by those who ask

    return Ahead()
