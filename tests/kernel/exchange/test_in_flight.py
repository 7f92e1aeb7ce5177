"""What a change of a key does to the exchanges of its callers."""

import asyncio
from collections.abc import Callable

import pytest

from switchgear.contracts.caller import Caller, Permissions
from switchgear.contracts.exchange import Exchange, Plan
from switchgear.errors import ApiError
from switchgear.exchange.faults import PolicyStop
from switchgear.exchange.in_flight import InFlight
from switchgear.resources.snapshot import Snapshot
from switchgear.testing.provider_suite import chat_call
from switchgear.upstream.watch import Watch


def caller(*models: str, token: str | None = None) -> Caller:
    return Caller("k", permissions=Permissions(models=models), token_id=token)


async def ended(x: Exchange, change: Callable[[InFlight], object]) -> BaseException | None:
    """Return what ended an exchange when the change came, None if nothing did."""
    flight, watch = InFlight(), Watch(asyncio.get_running_loop(), 5.0)
    flight.enter(x, watch)
    asyncio.get_running_loop().call_soon(change, flight)
    try:
        await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return watch.cause()
    finally:
        watch.close()
        flight.leave(x)
        assert (0, {}) == (flight.count, flight._by_key)
    return None


def exchange(who: Caller, *, planned: bool = True) -> Exchange:
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.caller = who
    x.call = chat_call()
    x.plan = Plan(()) if planned else None
    return x


@pytest.mark.parametrize(
    ("key", "now", "code"),
    [
        ("k", (), "invalid_api_key"),
        ("k", (caller("b"),), "model_not_found"),
        ("k", (caller("*", token="other"),), "invalid_api_key"),
        ("k", (caller("*", token="other"), caller("public-name")), None),
        ("k", (caller("*"),), None),
        ("another", (), None),
    ],
)
async def test_what_could_not_begin_now_is_ended(key: str, now: tuple[Caller, ...], code: str | None) -> None:
    error = await ended(exchange(caller("*")), lambda flight: flight.callers_changed(key, now))
    if code is None:
        assert error is None
    else:
        assert isinstance(error, PolicyStop)
        assert code == error.code


async def test_until_it_is_planned_an_exchange_follows_its_key() -> None:
    now = caller("public-name")
    x, planned = exchange(caller("*"), planned=False), exchange(caller("*"))
    for one in (x, planned):
        assert await ended(one, lambda flight: flight.callers_changed("k", (now,))) is None
    assert (True, False) == (x.caller is now, planned.caller is now)


async def test_every_change_moves_the_revision() -> None:
    flight = InFlight()
    flight.callers_changed("nobody", ())
    flight.callers_changed("nobody", ())
    assert flight.revision == 2


async def test_a_drain_ends_them_all() -> None:
    error = await ended(exchange(caller("*")), lambda flight: flight.drain())
    assert isinstance(error, ApiError)
    assert error.code == "server_draining"
