"""What every policy must do, as tests to inherit.

    class TestMine(PolicySuite):
        principal = Principal("key_1", "key", facts={"limits": {"requests_per_minute": 5}})   # one the policy has business with
        def make(self, counters): return MyPolicy(counters)

and pytest runs it. The counters given to `make` answer at once or later, grant or refuse, as each test needs, and know what
is held. A test that cannot hold is overridden with a docstring that says why.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, cast

import msgspec
import pytest
from msgspec import Raw

from switchgear.contracts.capability import USUAL
from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear.contracts.exchange import Attempt, Exchange, Outcome, Plan, Target
from switchgear.contracts.filter import Channel, Piece
from switchgear.contracts.policy import Policy, Veto
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.contracts.provider import CANONICAL, Answer, Call, TargetModel
from switchgear.contracts.record import fit_labels
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, RateLimited
from switchgear.exchange.reservation import Reservations
from switchgear.testing.marks import asyncio_tests
from switchgear.wire.faces.chat import ChatFace

CHANNELS: tuple[Channel, ...] = ("text", "reasoning", "refusal", "tool_name", "tool_arguments")
PHASES = ("prepare", "reserve", "reserved", "refused", "used", "admit", "attempting", "reads", "answered", "settle")


class EmptySnapshot:
    """A configuration with nothing in it."""

    revision = 0
    callables: ClassVar[dict[str, Any]] = {}

    def live(self, kind: str, id: str) -> None:  # noqa: ARG002 - the shape of Snapshot
        """Find nothing."""
        return

    def all(self, kind: str) -> dict[str, Any]:  # noqa: ARG002 - the shape of Snapshot
        """Find nothing."""
        return {}

    def callable(self, name: str) -> None:  # noqa: ARG002 - the shape of Snapshot
        """Find nothing."""
        return

    def is_broken(self, name: str) -> bool:  # noqa: ARG002 - the shape of Snapshot
        """Find nothing."""
        return False

    def without_prefix(self, name: str) -> str:
        """Take the name as it is."""
        return name


class WatchedCounters:
    """Counters that grant everything, or refuse everything, and know what is held and how often they were asked.

    `later`: answer with awaitables, as counters over a network do. `never`: reserve, and then let the answer hang. They take
    buckets of any sort.
    """

    sorts = frozenset({"window", "slots", "bucket", "period"})

    def __init__(self, *, later: bool = False, grant: bool = True, never: bool = False) -> None:
        self.later = later
        self.grant = grant
        self.never = never
        self.held: dict[str, tuple[Bucket, ...]] = {}
        self.reserved = 0

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision | Awaitable[Decision]:
        """Take from all or none."""
        assert lease_s > 0, "a reservation needs a lease, or it is never given back when the gateway dies"
        self.reserved += 1
        rooms = tuple(Room(bucket.limit - bucket.amount, bucket.period_s) for bucket in buckets)
        grant = self.grant and all(bucket.amount <= bucket.limit for bucket in buckets)
        if grant:
            self.held[id] = tuple(buckets)
        decision = Decision(rooms) if grant or not buckets else Decision(rooms, 0, 1.5)
        return self._later(decision) if self.later or self.never else decision

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None | Awaitable[None]:
        """Give back."""
        taken = self.held.pop(id, None)
        if taken is not None and actual is not None:
            assert len(taken) == len(actual), "one amount for each bucket that was reserved"
        return self._later(None) if self.later else None

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...] | Awaitable[tuple[Room, ...]]:
        """Say that nothing was taken."""
        rooms = tuple(Room(bucket.limit, 0.0) for bucket in buckets)
        return self._later(rooms) if self.later else rooms

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None | Awaitable[None]:  # noqa: ARG002 - the shape of Counters
        """Forget it."""
        return self._later(None) if self.later else None

    async def _later(self, answer: Any) -> Any:
        await asyncio.sleep(3600 if self.never else 0)
        return answer


def make_exchange(principal: Principal | None, *, id: str = "exchange-1", stream: bool = False) -> Exchange:
    """Make an exchange that got as far as the policies: a canonical call that says hello, with no target to go to."""
    snapshot: Snapshot = EmptySnapshot()
    x = Exchange(id, "dialect", snapshot, began=0.0, started_us=0)
    members = {"model": Raw(b'"m"'), "messages": Raw(b'[{"role":"user","content":"Say hello"}]')}
    x.call = Call("chat", CANONICAL, members, model="m", stream=stream)
    x.face = ChatFace()
    x.principal = principal
    x.plan = Plan(())
    return x


def make_target() -> Target:
    """Make a target as an attempt has it: a model at a provider that is not there."""
    model = TargetModel("m", "provider-model", Raw(b'"provider-model"'))
    meters: Any = None  # of the engine's alone
    return Target(model, "provider", frozenset({CANONICAL}), USUAL, Timeouts(), meters)


async def _run(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _check_exchange(x: Exchange, phase: str) -> None:
    assert isinstance(x.call, Call), f"`{phase}` left `x.call` as {x.call!r}; what is asked must stay a call"
    assert isinstance(x.call.members, dict), f"`{phase}` left `x.call.members` as something else than members"
    assert all(isinstance(value, Raw) for value in x.call.members.values()), (
        f"`{phase}` put something else than raw JSON into the members of the call (`switchgear.wire.members.raw`)"
    )
    assert isinstance(x.plan, Plan), f"`{phase}` took the plan away"


def _check_answer(answer: Any) -> None:
    assert answer is None or isinstance(answer, Answer), f"`admit` returned {answer!r}; it returns None or an `Answer`"
    if answer is not None and not answer.events:
        assert isinstance(answer.body, bytes), "the body of an `Answer` is bytes"
        if answer.media_type == b"application/json":
            try:
                msgspec.json.decode(answer.body)
            except msgspec.DecodeError:
                pytest.fail(f"the body of the answer is no JSON, as its `media_type` says it is: {answer.body[:80]!r}")


def _reservations(policy: Policy, counters: WatchedCounters) -> Reservations:
    def failed(name: str, error: BaseException) -> None:
        raise AssertionError(f"{name} broke: {error!r}") from error

    return Reservations([("policy", policy)], counters, failed)


@asyncio_tests
class PolicySuite:
    """Inherit and fill in `make`; give a `principal` the policy acts upon, and the settings of an attachment, if it has such, in
    `attached` under the name of its offer.
    """

    principal: ClassVar[Principal] = Principal("key_1", "key", grants=(Grant(USE, "models"),))
    attached: ClassVar[Mapping[str, Any]] = {}

    def make(self, counters: WatchedCounters) -> Policy:  # noqa: ARG002 - whoever overrides it uses them
        """Make the policy under test over these counters, or without if it counts nothing."""
        raise AssertionError("override `make` to return the policy under test")

    def exchange(self, principal: Principal | None, *, id: str = "exchange-1", stream: bool = False) -> Exchange:
        """Make an exchange of somebody."""
        x = make_exchange(principal, id=id, stream=stream)
        x.attached = self.attached
        return x

    async def begin(self, policy: Policy, x: Exchange, counters: WatchedCounters) -> Answer | None:
        """Run the phases before the attempt, as the gateway does."""
        await _run(policy.prepare(x))
        x.write_conversation()
        _check_exchange(x, "prepare")
        await _run(_reservations(policy, counters).reserve(x))
        _check_exchange(x, "reserve")
        answer = await _run(policy.admit(x))
        _check_exchange(x, "admit")
        _check_answer(answer)
        return cast("Answer | None", answer)

    async def finish(self, policy: Policy, x: Exchange, outcome: Outcome, counters: WatchedCounters) -> None:
        """End the exchange, as the gateway does."""
        x.outcome = outcome
        x.status = 200 if outcome is Outcome.COMPLETE else 500
        await _run(_reservations(policy, counters).settle(x))
        await _run(policy.settle(x))

    def test_it_has_a_phase_and_each_takes_what_the_base_gives(self) -> None:
        policy = type(self.make(WatchedCounters()))
        overridden = [phase for phase in PHASES if getattr(policy, phase) is not getattr(Policy, phase)]
        assert overridden, "a policy without a phase does nothing; is one misspelt?"
        for phase in overridden:
            base, own = (inspect.signature(getattr(kind, phase)).parameters for kind in (Policy, policy))
            assert list(base) == list(own), f"{phase} must take {list(base)}"
            assert phase not in {"reserved", "refused", "used"} or not inspect.iscoroutinefunction(
                getattr(policy, phase)
            ), f"{phase} answers at once"

    def test_it_declares_what_a_failure_means_and_how_long_it_may_take(self) -> None:
        policy = self.make(WatchedCounters())
        assert isinstance(policy, Policy)
        assert policy.on_error in {"deny", "allow"}
        assert 0 < policy.budget_s <= 30, "the budget is part of what a client waits for"

    @pytest.mark.parametrize("later", [False, True])
    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_nothing_is_held_after_settling_however_it_ended(self, outcome: Outcome, later: bool) -> None:  # noqa: FBT001 - a pytest parameter
        counters = WatchedCounters(later=later)
        policy, x = self.make(counters), self.exchange(self.principal)
        try:
            await self.begin(policy, x, counters)
        except ApiError:
            assert not counters.held, "who refuses holds nothing"
            return
        await self.finish(policy, x, outcome, counters)
        assert not counters.held

    @pytest.mark.parametrize("later", [False, True])
    async def test_who_refuses_holds_nothing_and_gives_a_client_error(self, later: bool) -> None:  # noqa: FBT001 - a pytest parameter
        counters = WatchedCounters(later=later, grant=False)
        policy, x = self.make(counters), self.exchange(self.principal)
        if await self._refused(policy, x, counters):
            assert not counters.held
        elif counters.reserved:
            pytest.fail("the counters refused and the policy let it pass")

    async def _refused(self, policy: Policy, x: Exchange, counters: WatchedCounters) -> bool:
        try:
            await self.begin(policy, x, counters)
        except ApiError as error:
            refusal = error
        else:
            return False
        assert 400 <= refusal.status < 600
        assert refusal.message
        assert not isinstance(refusal, RateLimited) or refusal.retry_after, "say when another try makes sense"
        return True

    async def test_settling_twice_or_without_having_admitted_is_harmless(self) -> None:
        counters = WatchedCounters()
        policy = self.make(counters)
        await self.finish(policy, self.exchange(self.principal, id="never-admitted"), Outcome.REJECTED, counters)
        x = self.exchange(self.principal)
        await self._refused(policy, x, counters)
        for _ in range(2):
            await self.finish(policy, x, Outcome.COMPLETE, counters)
        assert not counters.held

    async def test_interrupted_while_admitting_it_holds_nothing_once_settled(self) -> None:
        """The gateway settles a policy whose `admit` ran out of time or whose client left meanwhile."""
        counters = WatchedCounters(never=True)
        policy, x = self.make(counters), self.exchange(self.principal)
        admitting = asyncio.ensure_future(self.begin(policy, x, counters))
        await asyncio.sleep(0)
        admitting.cancel()
        await asyncio.wait([admitting])
        counters.never = False
        await self.finish(policy, x, Outcome.CLIENT_GONE, counters)
        assert not counters.held

    @pytest.mark.parametrize("principal", [None, Principal("key_2", "key")], ids=["nobody", "without limits"])
    async def test_it_survives_a_principal_it_knows_nothing_of(self, principal: Principal | None) -> None:
        """It may refuse such a principal, but not break."""
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(principal)
        await self._refused(policy, x, counters)
        await self.finish(policy, x, Outcome.COMPLETE, counters)
        assert not counters.held

    async def test_it_survives_every_sort_of_text(self) -> None:
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(self.principal, stream=True)
        await self._refused(policy, x, counters)
        for channel in CHANNELS:
            with contextlib.suppress(ApiError):  # it may let it pass, change it or stop the answer, nothing else
                if (reader := policy.reads(x)) is not None:
                    for text in ("", "a", "\U0001f600", "word " * 100):
                        reader.feed(Piece(0, channel, text))
                    reader.end()
        for answer in (Answer(b"{}"), None):
            await _run(policy.answered(x, answer))
        await self.finish(policy, x, Outcome.COMPLETE, counters)

    async def test_exchanges_do_not_see_each_other(self) -> None:
        counters = WatchedCounters()
        policy = self.make(counters)
        one, two = (self.exchange(self.principal, id=f"exchange-{n}") for n in (1, 2))
        refused = [await self._refused(policy, x, counters) for x in (one, two)]
        assert refused[0] == refused[1]
        before = set(counters.held)
        await self.finish(policy, one, Outcome.COMPLETE, counters)
        assert before - {one.id} == set(counters.held)
        await self.finish(policy, two, Outcome.COMPLETE, counters)
        assert not counters.held

    async def test_what_it_reserves_is_declared_and_naming_it_takes_nothing(self) -> None:
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(self.principal)
        await _run(policy.prepare(x))
        buckets = await _run(policy.reserve(x))
        assert list(buckets) == list(await _run(policy.reserve(x)))
        assert not counters.held, "the gateway reserves, for all policies at once"
        assert {bucket.sort for bucket in buckets} <= policy.sorts, "declare the sorts in `sorts`"
        assert all(bucket.amount >= 0 for bucket in buckets)

    async def test_it_says_as_many_amounts_as_it_named_buckets(self) -> None:
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(self.principal)
        if await self._refused(policy, x, counters):
            return
        for usage in (None, Usage.plain(10, 20)):
            x.outcome, x.usage = Outcome.COMPLETE, usage
            used = policy.used(x)
            assert used is None or len(used) == len(await _run(policy.reserve(x)))

    @pytest.mark.parametrize("later", [False, True])
    async def test_explaining_takes_nothing_and_says_json(self, later: bool) -> None:  # noqa: FBT001 - a pytest parameter
        counters = WatchedCounters(later=later)
        policy = self.make(counters)
        for principal in (self.principal, None):
            x = self.exchange(principal)
            said = await _run(policy.explain(x))
            assert not counters.held, "nobody settles an exchange that does not take place"
            assert not x.headers
            assert not x.lines
            assert said is None or isinstance(msgspec.json.decode(msgspec.json.encode(said)), dict)

    async def test_what_it_sends_upstream_with_an_attempt_are_headers(self) -> None:
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(self.principal)
        if await self._refused(policy, x, counters):
            return
        attempt = Attempt(make_target(), 0.0)
        x.attempts.append(attempt)
        with contextlib.suppress(Veto, ApiError):
            headers = await _run(policy.attempting(x, attempt))
            assert headers is None or isinstance(headers, Mapping), "`attempting` returns headers by name, or None"
            for name, value in (headers or {}).items():
                assert isinstance(name, str), "names and values of headers are texts"
                assert isinstance(value, str), "names and values of headers are texts"
                assert name == name.lower(), f"the header `{name}` must be in lower case"
                assert (name + value).isprintable(), f"the header `{name}` has characters that no header can have"
        await self.finish(policy, x, Outcome.COMPLETE, counters)

    async def test_labels_that_it_adds_are_texts(self) -> None:
        counters = WatchedCounters()
        policy, x = self.make(counters), self.exchange(self.principal)
        await self._refused(policy, x, counters)
        await self.finish(policy, x, Outcome.COMPLETE, counters)
        odd = {name: text for name, text in x.labels.items() if not isinstance(name, str) or not isinstance(text, str)}
        assert {} == odd, "labels are texts by name"
        assert dict(x.labels) == fit_labels(x.labels), (
            "labels are at most 32, of the letters and lengths that records keep"
        )

    def test_header_names_it_adds_are_lower_case_bytes_without_line_breaks(self) -> None:
        x, counters = self.exchange(self.principal), WatchedCounters()
        asyncio.run(self._refused(self.make(counters), x, counters))
        lines = x.lines.split(b"\r\n")
        assert lines.pop() == b"", "each line of `x.lines` ends in CRLF"
        for name, value in (*x.headers, *(line.partition(b": ")[::2] for line in lines)):
            assert isinstance(name, bytes), "names and values of `x.headers` are bytes"
            assert isinstance(value, bytes), "names and values of `x.headers` are bytes"
            assert name, "a header has a name"
            assert name == name.lower(), f"the header {name!r} must be in lower case"
            assert not {*b"\r\n\0"} & {*name, *value}, f"the header {name!r} has a line break in it"
