from collections.abc import AsyncIterator, Iterator

import pytest

from faults import figures
from support.faultup import FaultUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest.fixture
async def other() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream(seed=1) as up:
        yield up


@pytest.fixture(scope="session")
def kept() -> Iterator[list[figures.Figure]]:
    found: list[figures.Figure] = []
    yield found
    if figures.WRITE:
        figures.write(found)


@pytest.fixture
def figure(kept: list[figures.Figure], request: pytest.FixtureRequest) -> figures.Record:
    """Keep what the test measured for the page of figures."""
    test = f"{request.path.name}::{request.function.__name__}"

    def keep(fault: str, name: str, value: str, bar: str = "") -> None:
        kept.append(figures.Figure(fault, name, value, bar, test))

    return keep
