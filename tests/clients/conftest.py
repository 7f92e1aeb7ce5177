"""Real coding agents, installed from their registry: collected where `SWITCHGEAR_CLIENTS` is set, since they need the network.

`SWITCHGEAR_CLIENTS` is a directory that they are installed in, once.
"""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sdk.served import Served, served

_ROOT = os.environ.get("SWITCHGEAR_CLIENTS")
collect_ignore_glob = [] if _ROOT else ["test_*.py"]


@pytest.fixture(scope="session")
def codex() -> Path:
    """The program of Codex, of its current version."""
    assert _ROOT is not None
    root = Path(_ROOT)
    program = root / "node_modules" / ".bin" / "codex"
    if not program.exists():
        root.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(root), "@openai/codex"]
        subprocess.run(command, check=True, timeout=600, capture_output=True)
    return program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("gateway")) as made:
        yield made
