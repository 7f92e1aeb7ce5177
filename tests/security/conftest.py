from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.faultup import FaultUpstream
from support.gateway import Running, running


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path, upstream) as run:
        yield run
