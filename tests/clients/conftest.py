"""Real coding agents, installed from their registry: collected where `SWITCHGEAR_CLIENTS` is set, since they need the network.

`SWITCHGEAR_CLIENTS` is a directory that they are installed in, once.
"""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from clients.relay import Relay
from sdk.served import Served, served

_ROOT = os.environ.get("SWITCHGEAR_CLIENTS")
collect_ignore_glob = [] if _ROOT else ["test_*.py"]


def installed(name: str) -> Path:
    """Install a package in its current version, once, and return its directory."""
    assert _ROOT is not None
    root = Path(_ROOT)
    package = root / "node_modules" / name
    if not package.exists():
        root.mkdir(parents=True, exist_ok=True)
        # Without `@latest` npm takes an older version where the Node here is too old for what a package says it needs.
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(root), f"{name}@latest"]
        subprocess.run(command, check=True, timeout=600, capture_output=True)
        if (package / "install.cjs").exists():  # newer npm does not run what a package wants to be run now
            subprocess.run(["node", "install.cjs"], check=True, timeout=120, capture_output=True, cwd=package)
    return package


@pytest.fixture(scope="session")
def codex() -> Path:
    """The program of Codex."""
    return installed("@openai/codex") / "bin" / "codex.js"


@pytest.fixture(scope="session")
def claude() -> Path:
    """The program of Claude Code."""
    return installed("@anthropic-ai/claude-code") / "bin" / "claude.exe"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("gateway")) as made:
        yield made


@pytest.fixture
def relay(all_providers: Served) -> Iterator[Relay]:
    """What goes by between an agent and the gateway."""
    with Relay(all_providers.run.url) as made:
        yield made
