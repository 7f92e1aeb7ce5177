"""One gateway and one upstream for all tests of a module, which leave nothing behind that another would notice.

A module imports the fixtures by their names, and runs in one loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.faultup import FaultUpstream
from support.gateway import Running, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, shared_upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), shared_upstream) as run:
        yield run


@pytest_asyncio.fixture(loop_scope="module")
async def upstream(gateway: Running, shared_upstream: FaultUpstream) -> FaultUpstream:
    """Give a test the upstream as if it were new: what went wrong before is forgotten at both ends."""
    shared_upstream.reset()
    model = (await gateway.admin.get("/models/m")).json()
    await gateway.patch("/models/m", provider_model=f"upstream-{model['version']}")
    return shared_upstream
