"""Names: off the loop, bounded, checked, remembered."""

import asyncio
import socket
import threading

import pytest

from kernel.upstream.conftest import Clock
from kernel.upstream.peer import until
from support.stopwatch import Stopwatch
from switchgear.errors import ConnectFailed, EgressDenied
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Lookup, Resolver, system_lookup


class Names:
    """A name server whose answers a test sets; a name in `hung` is answered when it is taken out."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.gate = threading.Event()

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host.startswith("hung"):
            self.gate.wait(10)
        try:
            return self.answers[host]
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "unknown") from None


@pytest.fixture
def names() -> Names:
    return Names()


def resolver(lookup: Lookup, clock: Clock, *, deadline: float = 5.0, threads: int = 16) -> Resolver:
    return Resolver(EgressPolicy(), clock, lookup, deadline=deadline, threads=threads)


async def test_an_answer_is_kept_in_order_and_remembered(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.4.4", "8.8.8.8", "2606:4700::1111"]
    chosen = resolver(names, clock)
    for _ in range(3):
        assert ("8.8.4.4", "8.8.8.8", "2606:4700::1111") == (await chosen.resolve("a.test")).addresses
    assert ["a.test"] == names.asked


async def test_many_at_once_are_one_lookup(names: Names, clock: Clock) -> None:
    names.answers["hung.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    waiting = asyncio.gather(*(chosen.resolve("hung.test") for _ in range(50)))
    await until(lambda: names.asked == ["hung.test"])
    names.gate.set()
    assert {("8.8.8.8",)} == {answer.addresses for answer in await waiting}
    assert ["hung.test"] == names.asked


async def test_a_stale_answer_serves_while_it_is_renewed(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    await chosen.resolve("a.test")
    names.answers["a.test"] = ["8.8.4.4"]
    clock.ahead = 31.0
    stale = chosen.known("a.test")
    assert stale is not None
    assert ("8.8.8.8",) == stale.addresses
    await until(lambda: (answer := chosen.known("a.test")) is not None and answer.addresses == ("8.8.4.4",))
    assert ["a.test", "a.test"] == names.asked


async def test_the_last_good_answer_serves_sixty_seconds_and_no_longer(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    await chosen.resolve("a.test")
    names.answers.clear()
    clock.ahead = 59.0
    assert ("8.8.8.8",) == (await chosen.resolve("a.test")).addresses
    clock.ahead = 60.5
    with pytest.raises(ConnectFailed):
        await chosen.resolve("a.test")


async def test_a_failure_is_remembered_for_a_second(names: Names, clock: Clock) -> None:
    chosen = resolver(names, clock)
    for _ in range(20):
        with pytest.raises(ConnectFailed):
            await chosen.resolve("a.test")
    assert ["a.test"] == names.asked
    names.answers["a.test"] = ["8.8.8.8"]
    clock.ahead = 1.1
    assert ("8.8.8.8",) == (await chosen.resolve("a.test")).addresses


async def test_an_answer_that_leads_nowhere_is_renewed_once_a_second(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    await chosen.resolve("a.test")
    chosen.doubt("a.test")
    assert ["a.test"] == names.asked, "it was found just now"
    names.answers["a.test"] = ["8.8.4.4"]
    clock.ahead = 1.1
    for _ in range(20):
        chosen.doubt("a.test")
    await until(lambda: (answer := chosen.known("a.test")) is not None and answer.addresses == ("8.8.4.4",))
    assert 2 == len(names.asked)


async def test_a_denied_renewal_forgets_the_good_answer(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    await chosen.resolve("a.test")
    names.answers["a.test"] = ["8.8.8.8", "127.0.0.1"]
    clock.ahead = 31.0
    chosen.known("a.test")
    await until(lambda: chosen.known("a.test") is None)
    with pytest.raises(EgressDenied):
        await chosen.resolve("a.test")


async def test_a_hung_name_server_meets_the_deadline_and_starves_nobody(names: Names, clock: Clock) -> None:
    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock, deadline=0.2, threads=3)
    took = Stopwatch()
    hung = [asyncio.ensure_future(chosen.resolve(host)) for host in ("hung1.test", "hung2.test")]
    await until(lambda: len(names.asked) == 2)
    assert ("8.8.8.8",) == (await chosen.resolve("a.test")).addresses
    assert [ConnectFailed] * 2 == [type(error) for error in await asyncio.gather(*hung, return_exceptions=True)]
    assert took.s < 1
    third = asyncio.ensure_future(chosen.resolve("hung3.test"))
    await until(lambda: len(names.asked) == 4)
    with pytest.raises(ConnectFailed, match="Too many"):
        await chosen.resolve("b.test")
    names.gate.set()
    await asyncio.gather(third, return_exceptions=True)
    await until(lambda: chosen._free == 3)
    assert ("8.8.8.8",) == (await chosen.resolve("a.test")).addresses


async def test_a_cancelled_waiter_does_not_cancel_the_lookup(names: Names, clock: Clock) -> None:
    names.answers["hung.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock)
    first, second = (asyncio.ensure_future(chosen.resolve("hung.test")) for _ in range(2))
    await until(lambda: names.asked == ["hung.test"])
    first.cancel()
    await asyncio.wait((first,))
    names.gate.set()
    assert ("8.8.8.8",) == (await second).addresses


async def test_a_lookup_that_breaks_is_reported_and_frees_its_thread(clock: Clock) -> None:
    def broken(host: str) -> list[str]:
        raise UnicodeError("label too long")

    chosen = resolver(broken, clock, threads=1)
    for _ in range(3):
        with pytest.raises(ConnectFailed):
            await chosen.resolve("a" * 70 + ".test")


def test_the_system_knows_localhost() -> None:
    assert set(system_lookup("localhost")) <= {"127.0.0.1", "::1"}


async def test_a_machine_without_a_thread_to_give_is_asked_again(
    names: Names, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    names.answers["a.test"] = ["8.8.8.8"]
    chosen = resolver(names, clock, deadline=0.5, threads=1)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ConnectFailed):
            await chosen.resolve("a.test")
    assert ("8.8.8.8",) == (await chosen.resolve("a.test")).addresses
