"""Fixtures for whoever has Switchgear installed; pytest finds them by itself. Importing this imports nothing but pytest."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from switchgear.testing.ambient import FixedAmbient
    from switchgear.testing.context import PluginContext


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
