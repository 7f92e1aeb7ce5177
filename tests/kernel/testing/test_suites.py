"""The suites must fail for what is wrong, or passing them says nothing."""

import inspect
from typing import ClassVar

import msgspec
import pytest

from switchgear.contracts.counters import Bucket
from switchgear.contracts.credential import Secret
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.errors import RateLimited, SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear.testing.policy_suite import PolicySuite


class Counting(Policy):
    def __init__(self, counters):
        self.counters = counters

    def admit(self, x):
        decision = self.counters.reserve(x.id, [Bucket("k", "slots", 5)], 10)
        if decision.refused is not None:
            raise RateLimited("full", retry_after=1.0)

    def settle(self, x):
        self.counters.settle(x.id)


class Leaky(Counting):
    def settle(self, x):
        if x.outcome == "complete":
            self.counters.settle(x.id)


class SharedId(Counting):
    def admit(self, x):
        self.counters.reserve("always the same", [Bucket("k", "slots", 5)], 10)


class Deaf(Counting):
    def admit(self, x):
        self.counters.reserve(x.id, [Bucket("k", "slots", 5)], 10)


class Hoarder(Counting):
    def admit(self, x):
        self.counters.held[x.id] = ()
        raise RateLimited("full", retry_after=1.0)


class Brittle(Policy):
    def admit(self, x):
        if x.principal.name == "":
            raise KeyError("no name")


class Idle(Policy):
    pass


class WrongShape(Policy):
    def admit(self, x, y=None):
        return None


class Shouting(Policy):
    def admit(self, x):
        x.headers.append((b"X-Loud", b"1"))


def suite_of(policy, **attributes):
    def make(self, counters):
        return policy(counters) if issubclass(policy, Counting) else policy()

    return type("Suite", (PolicySuite,), {"make": make, **attributes})()


async def run(test, *args):
    result = test(*args)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize(
    ("policy", "test", "args"),
    [
        (Leaky, "test_nothing_is_held_after_settling_however_it_ended", ("client_gone", False)),
        (SharedId, "test_exchanges_do_not_see_each_other", ()),
        (Deaf, "test_who_refuses_holds_nothing_and_gives_a_client_error", (False,)),
        (Hoarder, "test_who_refuses_holds_nothing_and_gives_a_client_error", (False,)),
        (Brittle, "test_it_survives_a_principal_it_knows_nothing_of", (None,)),
        (Idle, "test_it_has_a_phase_and_each_takes_what_the_base_gives", ()),
        (WrongShape, "test_it_has_a_phase_and_each_takes_what_the_base_gives", ()),
    ],
)
async def test_the_policy_suite_fails_for(policy, test, args):
    with pytest.raises((AssertionError, AttributeError, pytest.fail.Exception)):
        await run(getattr(suite_of(policy), test), *args)


def test_the_policy_suite_fails_for_a_header_in_capitals():
    with pytest.raises(AssertionError):
        suite_of(Shouting).test_header_names_it_adds_are_lower_case_bytes_without_line_breaks()


class TestGoodPolicy(PolicySuite):
    principal: ClassVar = Principal(
        "key_1", "key", facts={"limits": {"requests_per_minute": 5, "concurrent_requests": 5}}
    )

    def make(self, counters):
        class Patient(Counting):
            async def admit(self, x):
                answer = self.counters.reserve(x.id, [Bucket("k", "slots", 5)], 10)
                decision = await answer if inspect.isawaitable(answer) else answer
                if decision.refused is not None:
                    raise RateLimited("full", retry_after=1.0)

            async def settle(self, x):
                answer = self.counters.settle(x.id)
                if inspect.isawaitable(answer):
                    await answer

        return Patient(counters)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="demo"):
    api_key: str


class Backend:
    source_type = Source
    secret_fields = ("api_key",)

    async def fetch(self, credential_id, source):
        if not source.api_key:
            raise SecretUnavailable(f"credential {credential_id} is empty")
        return Secret({"api_key": source.api_key})


class Undeclared(Backend):
    secret_fields = ()


class Talkative(Backend):
    async def fetch(self, credential_id, source):
        if not source.api_key:
            raise SecretUnavailable("credential-1: it is not sk-canary")
        return await super().fetch(credential_id, source)


class Obliging(Backend):
    async def fetch(self, credential_id, source):
        return Secret({"api_key": source.api_key})


class TestGoodBackend(CredentialBackendSuite):
    source: ClassVar = {"backend": "demo", "api_key": "sk-canary"}
    values: ClassVar = {"api_key": "sk-canary"}
    absent: ClassVar = {"backend": "demo", "api_key": ""}

    def make(self):
        return Backend()


@pytest.mark.parametrize(
    ("backend", "test"),
    [
        (Undeclared, "test_the_secret_fields_are_where_the_source_says"),
        (Talkative, "test_no_value_shows_in_repr_errors_or_logs"),
        (Obliging, "test_a_secret_that_is_not_there_is_unavailable_and_says_whose"),
    ],
)
async def test_the_credential_suite_fails_for(backend, test, caplog):
    class Suite(TestGoodBackend):
        __test__ = False

        def make(self):
            return backend()

    method = getattr(Suite(), test)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run(method, *([backend(), caplog] if "logs" in test else [backend()]))
