"""The policy host: order, verdicts, budgets, and settling exactly those that may hold something."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.filter import Piece
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Answer
from switchgear.errors import ApiError, RateLimited, Unavailable
from switchgear.exchange.faults import PolicyStop
from switchgear.exchange.policies import PolicyChain
from switchgear.rawjson import holds
from switchgear.telemetry.metrics import Metrics
from switchgear_plugins.openai.dialect import ChatCompletions

NO_SNAPSHOT: Any = None


def exchange() -> Exchange:
    return Exchange("x1", "d", NO_SNAPSHOT, began=0.0, started_us=0)


class Recorder(Policy):
    """Writes down what it was asked; `verdict` is what admit does."""

    def __init__(self, name: str, log: list[str], verdict: Callable[[], Any] = lambda: None) -> None:
        self.name, self.log, self.verdict = name, log, verdict

    def admit(self, x: Exchange) -> Any:
        self.log.append(f"admit {self.name}")
        return self.verdict()

    def settle(self, x: Exchange) -> None:
        self.log.append(f"settle {self.name}")


def chain(*policies: Policy) -> tuple[PolicyChain, Metrics]:
    metrics = Metrics()
    return PolicyChain([(f"p{i}", p) for i, p in enumerate(policies)], metrics, structlog.get_logger()), metrics


def refuse() -> Any:
    raise RateLimited("no room", code="rate_limit_exceeded")


def break_down() -> Any:
    raise ZeroDivisionError("a bug")


async def admitted(policies: PolicyChain, x: Exchange) -> Answer | None:
    found = policies.admit(x)
    return found if found is None or isinstance(found, Answer) else await found


async def run(policies: PolicyChain, x: Exchange) -> Answer | None:
    try:
        return await admitted(policies, x)
    finally:
        await policies.settle(x)


async def test_settles_in_reverse_what_was_admitted() -> None:
    log: list[str] = []
    policies, _ = chain(*(Recorder(name, log) for name in "abc"))
    assert await run(policies, exchange()) is None
    assert log == ["admit a", "admit b", "admit c", "settle c", "settle b", "settle a"]


async def test_who_refuses_is_not_settled_and_who_comes_later_is_not_asked() -> None:
    log: list[str] = []
    policies, _ = chain(Recorder("a", log), Recorder("b", log, refuse), Recorder("c", log))
    with pytest.raises(RateLimited):
        await run(policies, exchange())
    assert log == ["admit a", "admit b", "settle a"]


async def test_an_answer_ends_the_asking_and_is_settled() -> None:
    log: list[str] = []
    answer = Answer(b"{}")
    policies, _ = chain(Recorder("a", log, lambda: answer), Recorder("b", log))
    assert await run(policies, exchange()) is answer
    assert log == ["admit a", "settle a"]


async def test_a_policy_may_wait() -> None:
    async def later() -> Answer:
        await asyncio.sleep(0)
        return Answer(b'{"text": "later"}')

    policies, _ = chain(Recorder("a", [], later))
    found = await run(policies, exchange())
    assert found is not None
    assert found.body == b'{"text": "later"}'


async def test_an_interrupted_policy_may_hold_something_and_is_settled() -> None:
    log: list[str] = []
    policies, _ = chain(Recorder("a", log, lambda: asyncio.sleep(60)))
    x = exchange()
    task = asyncio.ensure_future(policies.admit(x))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await policies.settle(x)
    assert log == ["admit a", "settle a"]


@pytest.mark.parametrize("verdict", [break_down, lambda: asyncio.sleep(60)], ids=["raises", "hangs"])
async def test_a_broken_policy_denies(verdict: Callable[[], Any]) -> None:
    class Strict(Recorder):
        budget_s = 0.05

    policies, metrics = chain(Strict("a", [], verdict))
    with pytest.raises(Unavailable) as caught:
        await run(policies, exchange())
    assert caught.value.code == "policy_failed"
    assert b'switchgear_policy_errors_total{policy="p0"} 1.0' in metrics.expose()


async def test_a_broken_observer_does_not() -> None:
    class Observer(Recorder):
        on_error = "allow"

    log: list[str] = []
    policies, metrics = chain(Observer("a", log, break_down), Recorder("b", log))
    assert await run(policies, exchange()) is None
    assert log == ["admit a", "admit b", "settle b", "settle a"]
    assert b'switchgear_policy_errors_total{policy="p0"} 1.0' in metrics.expose()


async def test_a_failing_settle_stops_no_other() -> None:
    class Fails(Recorder):
        def settle(self, x: Exchange) -> None:
            super().settle(x)
            raise ZeroDivisionError

    log: list[str] = []
    policies, metrics = chain(Recorder("a", log), Fails("b", log), Recorder("c", log))
    await run(policies, exchange())
    assert log[3:] == ["settle c", "settle b", "settle a"]
    assert b'switchgear_policy_errors_total{policy="p1"} 1.0' in metrics.expose()


async def test_settling_outlives_a_cancellation() -> None:
    done = asyncio.Event()

    class Slow(Policy):
        async def settle(self, x: Exchange) -> None:
            await asyncio.sleep(0.05)
            done.set()

    log: list[str] = []
    policies, _ = chain(Recorder("a", log), Slow())
    x = exchange()
    policies.begin(x)
    await admitted(policies, x)
    task = asyncio.ensure_future(policies.settle(x))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    assert log == ["admit a", "settle a"], "the cancellation waits for those that come after too"


class Words:
    """Stops at a word, and says the others louder."""

    hold = 0

    def __init__(self, error: Exception) -> None:
        self._error = error

    def feed(self, piece: Piece) -> list[Piece]:
        if "bad" in piece.text:
            raise self._error
        return [piece.with_text(piece.text.upper())]

    def end(self) -> list[Piece]:
        return []


class Reading(Policy):
    def __init__(self, error: Exception, on_error: Any = "deny") -> None:
        self._error = error
        self.on_error = on_error  # type: ignore[misc]  # one class for both

    def reads(self, x: Exchange) -> Words:
        return Words(self._error)


def whole(text: str) -> bytes:
    return msgspec.json.encode({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})


def test_an_answer_is_changed_and_stopped_by_who_reads_it() -> None:
    policies, _ = chain(Reading(ApiError("not this")))
    filter = policies.filter(exchange(), ChatCompletions().pieces)
    assert filter is not None
    assert whole("GOOD") == filter.whole(whole("good"))
    with pytest.raises(PolicyStop, match="not this"):
        filter.whole(whole("bad"))


@pytest.mark.parametrize("on_error", ["deny", "allow"])
def test_a_filter_that_breaks_stops_the_answer_unless_its_policy_allows_that(on_error: str) -> None:
    policies, metrics = chain(Reading(KeyError("a bug"), on_error))
    filter = policies.filter(exchange(), ChatCompletions().pieces)
    assert filter is not None
    if on_error == "deny":
        with pytest.raises(PolicyStop, match="could not decide"):
            filter.whole(whole("bad"))
    else:
        assert whole("bad") == filter.whole(whole("bad"))
    assert b'switchgear_policy_errors_total{policy="p0"} 1.0' in metrics.expose()


def test_a_phase_nobody_overrides_is_empty() -> None:
    policies, _ = chain(Recorder("a", []))
    assert () == policies.reading == policies.answering == policies.attempting
    assert policies.filter(exchange(), ChatCompletions().pieces) is None


async def test_a_policy_that_raises_a_cancellation_by_itself_is_broken_and_nobody_is_cancelled() -> None:
    log: list[str] = []

    class Cancelled(Recorder):
        async def settle(self, x: Exchange) -> None:  # type: ignore[override]  # either way is allowed
            raise asyncio.CancelledError

    policies, metrics = chain(Recorder("first", log), Cancelled("second", log))
    x = exchange()
    await admitted(policies, x)
    await policies.settle(x)
    assert b'switchgear_policy_errors_total{policy="p1"} 1.0' in metrics.expose()
    assert ["admit first", "admit second", "settle first"] == log


class Telling(Recorder):
    def __init__(self, said: Any) -> None:
        super().__init__("telling", [])
        self.said = said

    def explain(self, x: Exchange) -> Any:
        return self.said() if callable(self.said) else self.said


async def test_policies_say_what_they_know_and_one_that_breaks_is_counted() -> None:
    async def later() -> dict[str, int]:
        return {"left": 2}

    async def never() -> None:
        await asyncio.sleep(60)

    log: list[str] = []
    told: list[Any] = [{"left": 1}, later, None, break_down, never, {"left": object()}]
    policies = [Telling(said) for said in told]
    policies[4].budget_s = 0.01  # type: ignore[misc]  # a class variable of a policy, shortened for this one
    made, metrics = chain(Recorder("quiet", log), *policies)
    views = await made.explain(exchange())
    assert [("p0", None, False)] == [(view.name, view.says, view.failed) for view in views[:1]]
    assert [{"left": 1}, {"left": 2}, None, None, None, None] == [view.says for view in views[1:]]
    assert [False, False, False, True, True, True] == [view.failed for view in views[1:]]
    assert {("admit", "settle")} == {view.phases for view in views}
    assert [] == log, "nobody is asked to admit anything"
    for name in ("p4", "p5", "p6"):
        assert f'switchgear_policy_errors_total{{policy="{name}"}} 1.0' in metrics.expose().decode()


def test_a_policy_prepares_only_what_mentions_its_bytes():
    class Mentioned(Policy):
        mentions = b'"some_word"'

        def prepare(self, x: Exchange) -> None: ...

    class Always(Policy):
        def prepare(self, x: Exchange) -> None: ...

    assert not chain(Mentioned())[0].prepares(b'{"other_word": 1}')
    assert chain(Mentioned())[0].prepares(b'{"some_word": 1}')
    assert chain(Mentioned(), Always())[0].prepares(b"{}")


@given(st.text("_ab", max_size=30), st.sampled_from(["", "a", "_", "a_", "some_word"]), st.integers(0, 200))
def test_a_word_is_found_wherever_it_stands(text: str, word: str, marks: int):
    for body in (text, text + word + text, "x" * 5000 + "_" * marks + text, "_" * marks + "x" * 5000 + word + text):
        assert (word in body) == holds(body.encode(), word.encode())
