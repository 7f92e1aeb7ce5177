import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from switchgear.ambient import Ambient
from switchgear.contracts.upstream import Connection, ConnectionSettings, OutboundRequest
from switchgear.upstream.client import Upstream
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Lookup

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Clock(Ambient):
    """The system's clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


MakeUpstream = Callable[..., Upstream]
Connect = Callable[..., Connection]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def upstream(clock: Clock) -> AsyncIterator[MakeUpstream]:
    made: list[Upstream] = []

    def make(*, allow: tuple[str, ...] = LOOPBACK, lookup: Lookup | None = None) -> Upstream:
        made.append(Upstream(EgressPolicy(allow), clock, lookup))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def connect(upstream: MakeUpstream) -> Connect:
    """Make a connection that may call loopback; `lookup` maps names to addresses."""

    def make(*, lookup: Lookup | None = None, allow: tuple[str, ...] = LOOPBACK, **settings: object) -> Connection:
        return upstream(allow=allow, lookup=lookup).connection(ConnectionSettings(**settings))  # type: ignore[arg-type]

    return make


def post(url: str, body: bytes = b"{}", **headers: str) -> OutboundRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OutboundRequest(method="POST", url=url, headers=named, body=body)
