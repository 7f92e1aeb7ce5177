"""A pace that is learnt from refusals, on a clock that is moved by hand."""

import pytest

from switchgear.exchange.health.pacer import Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bucket:
    """A target that allows `rate` requests a second, `burst` at once."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock, self._rate, self._burst = clock, rate, burst
        self._tokens, self._at = burst, clock.now

    def take(self) -> bool:
        now = self._clock.now
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def offered(clock: Clock, pacer: Pacer, bucket: Bucket, *, rate: float, seconds: float) -> tuple[int, int, int]:
    """Offer requests evenly; return how many went through, were refused by the target, and were not made."""
    passed = refused = held = 0
    for _ in range(int(rate * seconds)):
        clock.now += 1 / rate
        if pacer.wait_s() > 0:
            held += 1
            continue
        pacer.take()
        if bucket.take():
            pacer.passed()
            passed += 1
        else:
            pacer.refused()
            refused += 1
    return passed, refused, held


@pytest.mark.parametrize("allowed", [2.0, 50.0, 300.0])
def test_refusals_become_few_whatever_the_target_allows(allowed: float) -> None:
    clock = Clock()
    pacer, bucket = Pacer(clock), Bucket(clock, allowed, burst=allowed)
    offered(clock, pacer, bucket, rate=4 * allowed, seconds=10)
    passed, refused, _ = offered(clock, pacer, bucket, rate=4 * allowed, seconds=60)
    assert refused <= 0.05 * (passed + refused) + 3
    assert passed >= 0.6 * allowed * 60, "most of what is allowed is used"


def test_nothing_is_held_before_the_first_refusal_or_a_minute_after_the_last() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    for _ in range(100):
        assert 0.0 == pacer.wait_s()
        pacer.take()
        pacer.passed()
    for _ in range(3):
        pacer.refused()
        assert not pacer.holds or pacer.wait_s() > 0
    assert pacer.holds, "more than few"
    assert 0 < pacer.wait_s() < 0.1, "as many a second as went through, but for a part"
    clock.now += 61
    assert 0.0 == pacer.wait_s()
    assert not pacer.holds


def test_turns_come_one_after_the_other() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    pacer.refused()  # nothing went through: one a second
    waits = []
    for _ in range(3):
        waits.append(pacer.wait_s())
        pacer.take()
    assert [1.0, 2.0, 3.0] == pytest.approx(waits)


def test_a_pause_comes_before_the_next_turn() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    pacer.refused()
    pacer.pause(clock.now + 5)
    assert 5.0 == pytest.approx(pacer.wait_s())
