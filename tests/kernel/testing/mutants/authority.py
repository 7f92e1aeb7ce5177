"""An authenticator and an authorizer that are right, and what is wrong with others."""

from typing import ClassVar

from switchgear.contracts.principal import Grant, Known, Principal, Scope
from switchgear.testing.authority_suite import AuthenticatorSuite, AuthorizerSuite

TOKENS = {"ann-Token-1": "ann", "bob-Token-2": "bob"}
LEAD = Principal("lea", "user", labels={"team": "red"}, facts={"role": "lead"})
READER = Principal("rita", "user", labels={"team": "red"}, facts={"role": "reader"})


class Right:
    def authenticate(self, credentials):
        id = TOKENS.get(credentials.token or "")
        return self.of(id, credentials.token) if id is not None else None

    def of(self, id, token):
        return Principal(id, "user", labels={"user": id}, grants=(Grant("use", "models"),))

    async def principal(self, id):
        return Known(self.of(id, "")) if id in TOKENS.values() else None


class LetsAnybodyIn(Right):
    def authenticate(self, credentials):
        return super().authenticate(credentials) or (self.of("guest", "") if credentials.token else None)


class ForgetsTheEnd(Right):
    """Compares as far as the shorter of both goes."""

    def authenticate(self, credentials):
        token = credentials.token or ""
        found = [id for known, id in TOKENS.items() if token and known.startswith(token)]
        return self.of(found[0], token) if found else None


class IgnoresCase(Right):
    def authenticate(self, credentials):
        known = {token.lower(): id for token, id in TOKENS.items()}
        id = known.get((credentials.token or "").lower())
        return self.of(id, "") if id is not None else None


class RaisesForOddOnes(Right):
    def authenticate(self, credentials):
        if credentials.token:
            credentials.token.encode("ascii")
        return super().authenticate(credentials)


class NeedsAToken(Right):
    def authenticate(self, credentials):
        return self.of(TOKENS[credentials.token], "") if credentials.token in TOKENS else {}[credentials.token]


class KeepsTheToken(Right):
    def of(self, id, token):
        return Principal(id, "user", session=token)


class KeepsTheTokenAsFact(Right):
    def of(self, id, token):
        return Principal(id, "user", facts={"token": token})


class AnswersNames(Right):
    def of(self, id, token):
        return id


class KnowsEveryId(Right):
    async def principal(self, id):
        return Known(self.of(id, ""))


class KnowsNobodyById(Right):
    async def principal(self, id):
        return None


class RightRoles:
    def authorize(self, principal, action, kind, id):
        if principal.kind != "user" or action == "use":
            return None
        team = principal.labels.get("team")
        allowed = kind == "api-keys" and team is not None
        allowed = allowed and (action in ("list", "read") or principal.facts.get("role") == "lead")
        return Scope(allowed=allowed, filter={"team_id": (team,)} if team else None)


class TrustsFacts(RightRoles):
    """Breaks over a principal of the kind that another plugin made."""

    def authorize(self, principal, action, kind, id):
        if principal.kind == "user" and principal.facts["role"] == "lead":
            return Scope(allowed=kind == "api-keys")
        return super().authorize(principal, action, kind, id)


class AllowsStrangers(RightRoles):
    def authorize(self, principal, action, kind, id):
        return super().authorize(principal, action, kind, id) or Scope(allowed=action == "list")


class SaysYes(RightRoles):
    def authorize(self, principal, action, kind, id):
        opinion = super().authorize(principal, action, kind, id)
        return None if opinion is None else opinion.allowed


class ChangesItsMind(RightRoles):
    asked = 0

    def authorize(self, principal, action, kind, id):
        self.asked += 1
        return super().authorize(principal, action, kind, id) if self.asked % 2 else None


class NeedsIds(RightRoles):
    def authorize(self, principal, action, kind, id):
        return None if id.startswith("x") else super().authorize(principal, action, kind, id)


class TestRight(AuthenticatorSuite):
    make: ClassVar = Right
    good: ClassVar = {id: {"authorization": f"Bearer {token}"} for token, id in TOKENS.items()}
    bad: ClassVar = ({"authorization": "Bearer eve-Token-3"},)


class TestRightRoles(AuthorizerSuite):
    make: ClassVar = RightRoles
    allowed: ClassVar = ((LEAD, "create", "api-keys", None), (READER, "read", "api-keys", "key_1"))
    denied: ClassVar = ((READER, "create", "api-keys", None), (LEAD, "read", "models", "m"))


MUTANTS = (
    (
        TestRight,
        "make",
        (
            LetsAnybodyIn, ForgetsTheEnd, IgnoresCase, RaisesForOddOnes, NeedsAToken, KeepsTheToken, KeepsTheTokenAsFact,
            AnswersNames, KnowsEveryId, KnowsNobodyById,
        ),
    ),
    (TestRightRoles, "make", (TrustsFacts, AllowsStrangers, SaysYes, ChangesItsMind, NeedsIds)),
)  # fmt: skip
