"""What whoever says who asks, and what they may do, must do, as tests to inherit.

    class TestMine(AuthenticatorSuite):
        good = {"ann": {"authorization": "Bearer ann-token"}}     # headers of requests, by the id of who sent them
        bad = ({"authorization": "Bearer revoked-token"},)        # headers that are nobody's, or nobody's any more
        def make(self): return MyAuthenticator(…)

    class TestMine(AuthorizerSuite):
        allowed = ((LEAD, "read", "api-keys", "key_1"),)          # what it allows: principal, action, kind, id
        denied = ((READER, "create", "api-keys", None),)          # what it denies
        def make(self): return MyAuthorizer(…)

A test that cannot hold is overridden with a docstring that says why. `make` may be a coroutine.
"""

from collections.abc import Awaitable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from switchgear.contracts.principal import (
    Authenticator,
    Authorizer,
    Credentials,
    Directory,
    Grant,
    Known,
    Principal,
    Scope,
)
from switchgear.testing.counters_bench import given_by
from switchgear.testing.marks import asyncio_tests

Asked = tuple[Principal, str, str, str | None]
_ODD_TOKENS = (
    "",
    " ",
    "\x00",
    "\u00ff\u00fe",
    "a" * 100_000,
    "null",
    "../../x",
    "' OR 1=1 --",
    "{}",
    "%s%n",
    "a b",
    "*",
    "Bearer",
)
_ACTIONS = ("list", "read", "create", "replace", "patch", "delete", "restore", "use", "enter")
_KINDS = ("models", "providers", "credentials", "api-keys", "usage", "no-such-kind")


@asyncio_tests
class AuthenticatorSuite:
    """Who is known is told; everybody else is nobody, whatever they send; no principal shows a token."""

    good: ClassVar[Mapping[str, Mapping[str, str]]]
    bad: ClassVar[Sequence[Mapping[str, str]]] = ()

    def make(self) -> Authenticator | Awaitable[Authenticator]:
        """Make the authenticator under test, which knows those of `good`."""
        raise AssertionError("override `make` to return the authenticator under test")

    async def ask(self, one: Authenticator, headers: Mapping[str, str]) -> Principal | None:
        """Authenticate a request that has these headers."""
        sent = {name.lower().encode(): value.encode("latin-1", "replace") for name, value in headers.items()}
        try:
            found = await given_by(one.authenticate(Credentials(sent, "192.0.2.1")))
        except Exception as error:
            shown = {name: value[:60] for name, value in headers.items()}
            raise AssertionError(
                f"it raised {error!r} for {shown}; what is not good is None, whatever is wrong with it"
            ) from error
        assert found is None or isinstance(found, Principal), (
            f"it returned {found!r}, which is neither a Principal nor None"
        )
        return found

    async def test_it_knows_who_is_who(self) -> None:
        one = await given_by(self.make())
        for id, headers in self.good.items():
            first, again = await self.ask(one, headers), await self.ask(one, headers)
            assert first is not None, f"{id} is not known"
            assert again is not None, f"{id} is not known any more when asked again"
            assert (id, first.kind) == (first.id, again.kind)
            assert first.kind, "a principal has a kind: `user`, `key`"
            assert all(isinstance(grant, Grant) for grant in first.grants), "`grants` are `Grant`s"
            assert all(isinstance(it, str) for pair in first.labels.items() for it in pair), (
                "`labels` are texts by name"
            )

    async def test_everybody_else_is_nobody(self) -> None:
        one = await given_by(self.make())
        chance = Random(1)  # noqa: S311 - a replay must be predictable
        tokens = [
            *_ODD_TOKENS,
            *("".join(chance.choices("abcXYZ019-_.=+/", k=chance.randint(1, 60))) for _ in range(100)),
        ]
        sent: list[Mapping[str, str]] = [{}, *self.bad]
        sent += [{"authorization": f"Bearer {token}"} for token in tokens]
        sent += [{name: token} for name in ("authorization", "x-api-key", "api-key", "cookie") for token in tokens]
        for headers in self.good.values():
            for name, value in headers.items():
                changed = (f"{value}x", value[:-1], f"{value[:-1]}\u00ff", value + value, value.swapcase())
                sent += [{**headers, name: other} for other in changed if other != value]
        for headers in sent:
            found = await self.ask(one, headers)
            assert found is None, f"somebody who sent {dict(headers)} passes for {found.id if found else None}"

    async def test_a_principal_shows_no_token(self) -> None:
        one = await given_by(self.make())
        for headers in self.good.values():
            found = await self.ask(one, headers)
            assert found is not None
            shown = repr(
                [
                    found.id,
                    found.name,
                    found.kind,
                    found.session,
                    found.tags,
                    found.grants,
                    dict(found.labels),
                    dict(found.facts),
                ]
            )
            for value in headers.values():
                token = value.rpartition(" ")[2].rpartition("=")[2] or value
                assert token not in shown, "a principal holds a token: logs and records would show it"

    async def test_it_finds_its_principals_by_id_where_it_can(self) -> None:
        one = await given_by(self.make())
        if not isinstance(one, Directory):
            return
        for id in self.good:
            known = await one.principal(id)
            assert isinstance(known, Known), f"`principal({id!r})` does not know whom `authenticate` knows"
            assert (id, None) == (known.principal.id, known.refused)
        assert await one.principal("no-such-id") is None, "there is no principal of an id that nobody has"


@asyncio_tests
class AuthorizerSuite:
    """It has an opinion or none, the same each time, and opens nothing to strangers."""

    allowed: ClassVar[Sequence[Asked]]
    denied: ClassVar[Sequence[Asked]]

    def make(self) -> Authorizer | Awaitable[Authorizer]:
        """Make the authorizer under test."""
        raise AssertionError("override `make` to return the authorizer under test")

    async def ask(self, one: Authorizer, asked: Asked) -> Scope | None:
        """Ask for its opinion."""
        try:
            opinion = await given_by(one.authorize(*asked))
        except Exception as error:
            who, *what = asked
            raise AssertionError(
                f"it raised {error!r} about {who.kind} {who.id!r} and {what}; return None for no opinion"
            ) from error
        assert opinion is None or isinstance(opinion, Scope), (
            f"it returned {opinion!r}, which is neither a Scope nor None"
        )
        return opinion

    async def test_it_allows_and_denies_what_it_says(self) -> None:
        one = await given_by(self.make())
        for wanted, cases in ((True, self.allowed), (False, self.denied)):
            for asked in cases:
                first, again = await self.ask(one, asked), await self.ask(one, asked)
                assert first is not None, f"it has no opinion on {asked[1:]}"
                assert wanted == first.allowed, f"{asked[1:]} is {'denied' if wanted else 'allowed'} to {asked[0].id}"
                assert first == again, "its opinion is another when it is asked again"

    async def test_strangers_may_do_nothing_by_it(self) -> None:
        """They have a kind, labels and facts that it knows nothing of, or none."""
        one = await given_by(self.make())
        known = {asked[0].kind for asked in (*self.allowed, *self.denied)}
        strangers = [Principal("stranger", kind) for kind in sorted({*known, "no-such-kind"})]
        strangers.append(Principal("", "no-such-kind", labels={"team": ""}, tags=("*",), facts={"role": None}))
        for who in strangers:
            for asked in self._everything(who):
                opinion = await self.ask(one, asked)
                assert opinion is None or not opinion.allowed or opinion.filter is not None, (
                    f"{who.kind} {who.id!r}, of whom nothing is known, may {asked[1:]}"
                )

    async def test_it_takes_whatever_it_is_asked(self) -> None:
        one = await given_by(self.make())
        for who in {id(asked[0]): asked[0] for asked in (*self.allowed, *self.denied)}.values():
            for asked in self._everything(who):
                opinion = await self.ask(one, asked)
                bounds: Mapping[str, Any] = (opinion.filter if opinion is not None else None) or {}
                assert all(isinstance(values, tuple) for values in bounds.values()), (
                    "each field of a filter has a tuple of values"
                )

    def _everything(self, who: Principal) -> list[Asked]:
        ids = (None, "", "a", "*", "a" * 1000)
        return [(who, action, kind, id) for action in _ACTIONS for kind in _KINDS for id in ids]
