"""What a change of principals does to their exchanges."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.exchange import Exchange, Plan, Step
from switchgear.contracts.principal import ALLOWED, DENIED, USE, Grant, Principal, Scope
from switchgear.errors import ApiError
from switchgear.exchange.faults import PolicyStop
from switchgear.exchange.in_flight import Decide, InFlight
from switchgear.resources.snapshot import Snapshot
from switchgear.testing.provider_suite import chat_call
from switchgear.upstream.watch import Watch

MODEL = chat_call().model


def principal(*models: str, session: str | None = None, expires_us: int | None = None) -> Principal:
    return Principal("k", "key", grants=(Grant(USE, "models", models),), session=session, expires_us=expires_us)


def in_flight(decide: Decide | None = None) -> InFlight:
    return InFlight(decide or Authority().decide, Ambient())


async def ended(
    x: Exchange, change: Callable[[InFlight], object], decide: Decide | None = None, *, within: float = 0.01
) -> BaseException | None:
    """Return what ended an exchange when the change came, None if nothing did."""
    flight, watch = in_flight(decide), Watch(asyncio.get_running_loop(), 5.0)
    flight.enter(x, watch, None if x.principal is None else x.principal.expires_us)
    asyncio.get_running_loop().call_soon(change, flight)
    try:
        await asyncio.sleep(within)
    except asyncio.CancelledError:
        return watch.cause()
    finally:
        watch.close()
        flight.leave(x)
        assert flight.count == 0
    return None


def exchange(who: Principal, *, planned: bool = True) -> Exchange:
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.principal = who
    x.call = chat_call()
    x.plan = Plan((Step(None),)) if planned else None
    return x


def nothing(_: InFlight) -> None:
    """Change nothing."""


@pytest.mark.parametrize("id", ["k", None])
@pytest.mark.parametrize(
    ("now", "code"),
    [
        (None, "invalid_api_key"),
        (principal("another"), "model_not_found"),
        (principal(MODEL), None),
        (principal("*"), None),
    ],
)
async def test_what_could_not_begin_now_is_ended(id: str | None, now: Principal | None, code: str | None) -> None:
    error = await ended(exchange(principal("*")), lambda flight: flight.principals_changed(lambda _: now, id))
    if code is None:
        assert error is None
    else:
        assert isinstance(error, PolicyStop)
        assert code == error.code


async def test_a_change_of_somebody_else_ends_nothing() -> None:
    assert await ended(exchange(principal("*")), lambda f: f.principals_changed(lambda _: None, "another")) is None
    assert await ended(exchange(principal("*")), lambda f: f.principals_changed(lambda it: it)) is None


async def test_a_predicate_tells_tokens_of_one_principal_apart() -> None:
    def revoke(flight: InFlight) -> None:
        flight.principals_changed(lambda it: None if it.session == "stolen" else it)

    assert await ended(exchange(principal("*", session="good")), revoke) is None
    assert isinstance(await ended(exchange(principal("*", session="stolen")), revoke), PolicyStop)


async def test_until_it_is_planned_an_exchange_follows_its_principal() -> None:
    now = principal(MODEL)
    x, planned = exchange(principal("*"), planned=False), exchange(principal("*"))
    for one in (x, planned):
        assert await ended(one, lambda flight: flight.principals_changed(lambda _: now)) is None
    assert (True, False) == (x.principal is now, planned.principal is now)


@pytest.mark.parametrize("later", [False, True])
async def test_an_authorizer_that_has_changed_its_mind_ends_exchanges(later: bool) -> None:
    async def answer(scope: Scope) -> Scope:
        return scope

    def deciding(scope: Scope) -> Decide:
        def decide(*_: object) -> Scope | Awaitable[Scope]:
            return answer(scope) if later else scope

        return decide

    for scope, stopped in ((ALLOWED, False), (DENIED, True), (Scope(allowed=True, filter={"team": ("a",)}), True)):
        error = await ended(exchange(principal()), lambda f: f.principals_changed(lambda it: it), deciding(scope))
        assert stopped == isinstance(error, PolicyStop)


async def test_an_exchange_ends_when_its_principal_expires() -> None:
    now_us = Ambient().now_us()
    error = await ended(exchange(principal("*", expires_us=now_us + 20_000)), nothing, within=2.0)
    assert isinstance(error, PolicyStop)
    assert "invalid_api_key" == error.code
    assert Ambient().now_us() >= now_us + 20_000
    assert isinstance(await ended(exchange(principal("*", expires_us=now_us - 1)), nothing, within=2.0), PolicyStop)


async def test_an_expiry_that_has_moved_counts_as_it_is_now() -> None:
    now_us = Ambient().now_us()
    soon, later = principal("*", expires_us=now_us + 20_000), principal("*", expires_us=now_us + 60_000_000)
    assert await ended(exchange(soon), lambda f: f.principals_changed(lambda _: later), within=0.05) is None
    assert await ended(exchange(later), lambda f: f.principals_changed(lambda _: soon), within=2.0) is not None
    assert await ended(exchange(soon), lambda f: f.principals_changed(lambda _: principal("*")), within=0.05) is None


async def test_every_change_moves_the_revision() -> None:
    flight = in_flight()
    flight.principals_changed(lambda it: it, "nobody")
    flight.principals_changed(lambda it: it)
    assert flight.revision == 2


async def test_a_drain_ends_them_all() -> None:
    error = await ended(exchange(principal("*")), lambda flight: flight.drain())
    assert isinstance(error, ApiError)
    assert error.code == "server_draining"
