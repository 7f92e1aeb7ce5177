"""Who asks and whether they may: principals, grants, and the opinions of authorizers."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.authority import OPERATOR, Authority
from switchgear.contracts.principal import (
    ALLOWED,
    DENIED,
    EVERYTHING,
    OWN_IDS,
    USE,
    Credentials,
    Grant,
    Known,
    Principal,
    Scope,
    operator,
)
from switchgear.errors import AuthenticationFailed, PermissionDenied

ANN = Principal("ann", "user", grants=(Grant(USE, "models", ("m", "p/*")), Grant("read", "models"), Grant("l*", "*")))
BOUNDED = Scope(allowed=True, filter={"team_id": ("red",)})


class Opinionated:
    """Answers each question with the same opinion, at once or later."""

    def __init__(self, opinion: Scope | None, *, later: bool = False) -> None:
        self.opinion = opinion
        self.later = later
        self.asked: list[tuple[str, str, str | None]] = []

    def authorize(
        self, principal: Principal, action: str, kind: str, id: str | None
    ) -> Scope | Awaitable[Scope | None] | None:
        self.asked.append((action, kind, id))
        return self._answer() if self.later else self.opinion

    async def _answer(self) -> Scope | None:
        await asyncio.sleep(0)
        return self.opinion


class Knowing:
    """Knows one token, at once or later."""

    def __init__(self, token: str, principal: Principal, *, later: bool = False) -> None:
        self.token = token
        self.known = principal
        self.later = later

    def authenticate(self, credentials: Credentials) -> Principal | Awaitable[Principal | None] | None:
        found = self.known if credentials.token == self.token else None
        return self._later(found) if self.later else found

    async def _later(self, found: Principal | None) -> Principal | None:
        return found

    async def principal(self, id: str) -> Known | None:
        return Known(self.known) if id == self.known.id else None


def bearing(token: str) -> Credentials:
    return Credentials({b"authorization": b"Bearer " + token.encode()})


async def decided(authority: Authority, *asked: Any) -> Scope:
    found = authority.decide(*asked)
    return found if isinstance(found, Scope) else await found


@pytest.mark.parametrize(
    ("action", "kind", "id", "allowed"),
    [
        (USE, "models", "m", True),
        (USE, "models", "p/x", True),
        (USE, "models", "p", False),
        (USE, "models", "other", False),
        (USE, "models", None, False),
        ("read", "models", "other", True),
        ("read", "models", None, True),
        ("read", "keys", "a", False),
        ("list", "keys", None, True),
        ("delete", "models", "m", False),
    ],
)
def test_without_an_authorizer_grants_decide_at_once_and_the_rest_is_denied(
    action: str, kind: str, id: str | None, allowed: bool
) -> None:
    assert (ALLOWED if allowed else DENIED) is Authority().decide(ANN, action, kind, id)


def test_who_holds_nothing_may_do_nothing() -> None:
    nobody = Principal("nobody", "user")
    for asked in ((USE, "models", "m"), ("list", "models", None), ("*", "*", "*"), ("", "", "")):
        assert DENIED is Authority().decide(nobody, *asked)


def test_whoever_may_do_everything_still_may_not_use_models() -> None:
    assert [True, False] == [OPERATOR.may(action, "models", "m") for action in ("read", USE)]
    assert not Principal("x", "user", grants=(Grant("u*", "*"),)).may(USE, "models", "m")
    assert Principal("x", "user", grants=(Grant(USE, "*"),)).may(USE, "models", "m")


@pytest.mark.parametrize("later", [False, True])
async def test_the_first_opinion_counts_and_none_is_no_opinion(later: bool) -> None:
    silent, bounding, denying = (Opinionated(it, later=later) for it in (None, BOUNDED, DENIED))
    assert BOUNDED is await decided(Authority((), (silent, bounding, denying)), ANN, "read", "keys", "k")
    assert ([("read", "keys", "k")], []) == (silent.asked, denying.asked)
    assert DENIED is await decided(Authority((), (denying, bounding)), ANN, USE, "models", "m")
    assert ALLOWED is await decided(Authority((), (silent,)), ANN, USE, "models", "m")
    assert DENIED is await decided(Authority((), (silent,)), ANN, USE, "models", "other")


async def test_what_is_bounded_is_not_simply_allowed() -> None:
    assert not await Authority((), (Opinionated(BOUNDED),)).may(ANN, USE, "models", "m")
    assert await Authority((), (Opinionated(ALLOWED, later=True),)).may(ANN, USE, "models", "other")


@pytest.mark.parametrize("later", [False, True])
async def test_authenticators_are_asked_in_order_until_one_knows(later: bool) -> None:
    one, two = Principal("one", "user"), Principal("two", "user")
    authority = Authority([Knowing("1", one, later=later), Knowing("2", two), Knowing("1", two)])
    for token, known in (("1", one), ("2", two), ("3", None)):
        found = authority.identify(bearing(token))
        assert known is (await found if found is not None and not isinstance(found, Principal) else found)


async def test_the_admin_side_lets_in_the_operator_and_whoever_is_allowed() -> None:
    authority = Authority([Knowing("ann", ANN)], (), "the-admin-key")
    assert (OPERATOR, ALLOWED) == await authority.enter(bearing("the-admin-key"), "delete", "models", "m", scoped=False)
    assert (ANN, ALLOWED) == await authority.enter(bearing("ann"), "read", "models", "m", scoped=False)
    with pytest.raises(PermissionDenied):
        await authority.enter(bearing("ann"), "delete", "models", "m", scoped=True)
    for credentials, code in ((bearing("other"), "invalid_credentials"), (Credentials({}), "no_credentials")):
        with pytest.raises(AuthenticationFailed) as caught:
            await authority.enter(credentials, "read", "models", "m", scoped=True)
        assert code == caught.value.code
    assert authority.identify(bearing("the-admin-key")) is None, "it opens the admin side alone"
    for none in (None, ""):
        with pytest.raises(AuthenticationFailed):
            await Authority([], (), none).enter(bearing(""), "read", "models", "m", scoped=True)


async def test_a_route_that_knows_no_bounds_is_closed_to_who_has_some() -> None:
    authority = Authority([Knowing("ann", ANN)], [Opinionated(BOUNDED)])
    assert (ANN, BOUNDED) == await authority.enter(bearing("ann"), "read", "keys", None, scoped=True)
    with pytest.raises(PermissionDenied):
        await authority.enter(bearing("ann"), "read", "keys", None, scoped=False)


async def test_who_is_known_by_id_is_found_wherever_they_are() -> None:
    authority = Authority([Knowing("1", operator("one")), Knowing("2", ANN)])
    assert Known(ANN) == await authority.known("ann")
    assert await authority.known("nobody") is None


@pytest.mark.parametrize(
    ("scope", "field", "spec", "covered"),
    [
        (ALLOWED, None, {}, True),
        (DENIED, None, {}, False),
        (BOUNDED, "team_id", {"team_id": "red"}, True),
        (BOUNDED, "team_id", {"team_id": "blue"}, False),
        (BOUNDED, "team_id", {"team_id": None}, False),
        (BOUNDED, "team_id", {}, False),
        (BOUNDED, None, {"team_id": "red"}, False),
        (BOUNDED, "owner_id", {"team_id": "red", "owner_id": "red"}, False),
        (Scope(allowed=True, filter={"team_id": ()}), "team_id", {"team_id": "red"}, False),
        (Scope(allowed=False, filter={"team_id": ("red",)}), "team_id", {"team_id": "red"}, False),
    ],
)
def test_a_filter_covers_what_its_field_says_and_nothing_else(
    scope: Scope, field: str | None, spec: dict[str, Any], covered: bool
) -> None:
    assert covered == scope.covers(() if field is None else (field,), spec)


def test_a_filter_of_one_string_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="tuple of values"):
        Scope(allowed=True, filter={"team_id": "red"})  # type: ignore[dict-item]


def test_credentials_are_read_from_whichever_header_has_them() -> None:
    for header in ({b"authorization": b"bearer  t "}, {b"x-api-key": b"t"}, {b"api-key": b"t"}):
        assert "t" == Credentials(header).token
    for header in ({}, {b"authorization": b"Basic dDp0"}, {b"authorization": b"Bearer"}, {b"x-api-key": b""}):
        assert Credentials(header).token is None
    mine = {b"x-switchgear-key": b"t", b"authorization": b"Bearer mine"}
    assert ("t", {"api_key": "mine", "auth_token": "mine"}) == (
        Credentials(mine).token,
        dict(Credentials(mine).own() or {}),
    )
    assert {"api_key": "k"} == Credentials({b"x-switchgear-key": b"t", b"x-api-key": b"k"}).own()
    assert Credentials({b"x-switchgear-key": b"t"}).own() is None
    assert Credentials({b"authorization": b"Bearer t", b"x-api-key": b"k"}).own() is None
    cookies = Credentials({b"cookie": b'a=1; b="two"; a=3; =x; c; d=e=f'}, "10.0.0.1").cookies
    assert {"a": "1", "b": "two", "d": "e=f"} == cookies
    assert {} == Credentials({}).cookies


names = st.text("ab/*", max_size=4)
plain = st.text("ab/", max_size=4)
grants = st.builds(
    Grant,
    st.sampled_from([USE, "read", "r*", "*"]),
    st.sampled_from(["m", "*"]),
    st.lists(names, max_size=3).map(tuple),
)


@given(st.lists(grants, max_size=3).map(tuple), grants, plain)
def test_who_holds_a_grant_may_do_whatever_it_allows(held: tuple[Grant, ...], given: Grant, id: str) -> None:
    giver, taker = Principal("g", "user", grants=held), Principal("t", "user", grants=(given,))
    if giver.holds(given):
        for action in (USE, "read", "remove"):
            for kind in ("m", "other"):
                assert giver.may(action, kind, id) or not taker.may(action, kind, id)


@given(grants)
def test_everybody_holds_what_they_have(held: Grant) -> None:
    assert Principal("g", "user", grants=(held,)).holds(held)
    assert EVERYTHING.ids == ("*",)


def test_ids_of_the_gateways_own_are_kept_from_others() -> None:
    assert OPERATOR.id in OWN_IDS
