"""One gateway and one upstream for all the tests of a module, with every provider of the matrix."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from matrix.providers import NAMES
from sdk.served import Served, served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("gateway")) as made:
        yield made


@pytest.fixture(params=NAMES)
def provider(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    streamed: bool = request.param
    return streamed
