import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.ambient import Ambient
from switchgear.contracts.counters import Bucket
from switchgear.counters.memory import MemoryCounters
from switchgear.counters.sorts import ENTRIES
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.counters_suite import CountersSuite


def rpm(limit, key="rpm:k", amount=1):
    return Bucket(key, "window", limit, amount)


def concurrent(limit, key="concurrent:k", amount=1):
    return Bucket(key, "slots", limit, amount=amount)


@pytest.fixture
def counters(ambient):
    return MemoryCounters(ambient)


def test_a_window_admits_up_to_its_limit_and_again_when_the_first_has_left(counters, ambient):
    for n in range(3):
        decision = counters.reserve(f"x{n}", [rpm(3)], 10)
        assert (None, 2 - n, 60.0) == (decision.refused, decision.rooms[0].remaining, decision.rooms[0].reset_s)
        ambient.advance(10)
    refused = counters.reserve("y", [rpm(3)], 10)
    assert (0, 30.0, 0, 50.0) == (
        refused.refused,
        refused.retry_after_s,
        refused.rooms[0].remaining,
        refused.rooms[0].reset_s,
    )
    ambient.advance(refused.retry_after_s)
    assert counters.reserve("y", [rpm(3)], 10).refused is None
    assert 0 == counters.reserve("z", [rpm(3)], 10).refused


def test_a_slot_comes_back_when_settled_and_settling_twice_gives_back_one(counters):
    assert [None, None, 0] == [counters.reserve(id, [concurrent(2)], 10).refused for id in "abc"]
    counters.settle("a")
    counters.settle("a")
    assert [None, 0] == [counters.reserve(id, [concurrent(2)], 10).refused for id in "de"]


def test_a_refusal_takes_nothing_from_the_other_buckets(counters):
    both = [rpm(5), concurrent(1)]
    counters.reserve("a", both, 10)
    for n in range(10):
        decision = counters.reserve(f"b{n}", both, 10)
        assert (1, 4, 0) == (decision.refused, decision.rooms[0].remaining, decision.rooms[1].remaining)
    counters.settle("a")
    assert 3 == counters.reserve("c", both, 10).rooms[0].remaining


def test_the_same_bucket_twice_counts_twice(counters):
    assert 1 == counters.reserve("a", [rpm(1), rpm(1)], 10).refused
    assert counters.reserve("b", [rpm(1)], 10).refused is None


def test_the_same_id_again_takes_nothing_and_gets_the_same_answer(counters):
    first = counters.reserve("a", [rpm(2), concurrent(1)], 10)
    assert first == counters.reserve("a", [rpm(2), concurrent(1)], 10)
    counters.settle("a")
    assert 0 == counters.reserve("b", [rpm(2), concurrent(1)], 10).rooms[0].remaining


def test_settling_corrects_a_window_in_both_directions(counters):
    counters.reserve("a", [rpm(100, amount=50), concurrent(1)], 10)
    counters.settle("a", [10, 0])
    counters.reserve("b", [rpm(100, amount=10)], 10)
    counters.settle("b", [30])
    assert 60 - 1 == counters.reserve("c", [rpm(100)], 10).rooms[0].remaining


def test_a_correction_after_the_window_has_passed_changes_nothing(counters, ambient):
    counters.reserve("a", [rpm(100, amount=50)], 300)
    ambient.advance(61)
    counters.reserve("b", [rpm(100)], 300)
    counters.settle("a", [5000])
    assert 98 == counters.reserve("c", [rpm(100)], 300).rooms[0].remaining


def test_amounts_that_do_not_fit_are_an_error_and_the_reservation_stays(counters):
    counters.reserve("a", [concurrent(1)], 10)
    with pytest.raises(ValueError, match="1 buckets were reserved and 2 amounts"):
        counters.settle("a", [1, 2])
    assert 0 == counters.reserve("b", [concurrent(1)], 10).refused
    counters.settle("a")
    assert counters.reserve("b", [concurrent(1)], 10).refused is None


def test_what_is_never_settled_comes_back_after_its_lease(counters, ambient):
    counters.reserve("lost", [concurrent(1)], 30)
    ambient.advance(29)
    assert 0 == counters.reserve("b", [concurrent(1)], 30).refused
    ambient.advance(3)
    assert counters.reserve("b", [concurrent(1)], 30).refused is None
    counters.settle("lost")
    assert 0 == counters.reserve("c", [concurrent(1)], 30).refused


def test_an_amount_beyond_the_limit_is_refused_for_a_period(counters):
    decision = counters.reserve("a", [rpm(10, amount=11)], 10)
    assert (0, 60.0, 10) == (decision.refused, decision.retry_after_s, decision.rooms[0].remaining)


def test_nothing_is_kept_for_idle_keys_and_settled_ids(counters, ambient):
    for n in range(5000):
        counters.reserve(f"x{n}", [rpm(5, key=f"rpm:{n}"), concurrent(5, key=f"c:{n}")], 10)
        counters.settle(f"x{n}")
    assert (5000, 0, 0, 0, 0) == counters.size()
    for _ in range(200):
        ambient.advance(1)
        counters.reserve("tick", [], 1)
    assert (0, 0, 0, 0) == counters.size()[:4]


def test_a_busy_window_keeps_a_bounded_number_of_entries(counters, ambient):
    for n in range(20_000):
        counters.reserve(str(n), [rpm(10**9)], 1)
        ambient.advance(0.009)
    assert len(counters._windows["rpm:k"].entries) <= ENTRIES + 2


def test_a_steady_stream_at_the_limit_is_admitted_almost_whole(counters, ambient):
    limit, refused = 6000, 0
    for n in range(18_000):
        refused += counters.reserve(str(n), [rpm(limit)], 1).refused is not None
        ambient.advance(60 / limit)
    assert refused < 18_000 * 0.01


steps = st.lists(
    st.tuples(st.integers(0, 2**12), st.integers(1, 4), st.booleans()),  # pause in 1/64 s, amount, settle with less
    min_size=1,
    max_size=300,
)


@given(steps, st.integers(1, 40), st.sampled_from([1.0, 8.0, 60.0]))
def test_no_sliding_window_ever_holds_more_than_the_limit(taken, limit, period):
    ambient = FixedAmbient()
    counters = MemoryCounters(ambient)
    admitted: list[tuple[float, int]] = []
    for n, (pause, amount, settle) in enumerate(taken):
        ambient.advance(pause / 64 / 16)
        decision = counters.reserve(str(n), [Bucket("k", "window", limit, amount, period)], 1e9)
        if decision.refused is None:
            admitted.append((ambient.monotonic(), amount))
            assert decision.rooms[0].remaining >= 0
            if settle:
                counters.settle(str(n))
        else:
            in_window = sum(a for at, a in admitted if at > ambient.monotonic() - period * (1 + 1 / ENTRIES))
            assert in_window + amount > limit, "refused although there was room"
            assert 0 < decision.retry_after_s <= period
    for at, _ in admitted:
        assert sum(a for t, a in admitted if at - period < t <= at) <= limit


class TestMemoryCounters(CountersSuite):
    window_slack = 1 / ENTRIES

    def make(self, ambient):
        return MemoryCounters(ambient)


def test_a_reservation_of_two_buckets_and_its_settling_take_microseconds():
    counters = MemoryCounters(Ambient())
    buckets = (rpm(10**9), concurrent(100))
    ids = [f"id{n}" for n in range(20_000)]
    best = 1.0
    for _ in range(3):
        began = time.process_time()
        for id in ids:
            counters.reserve(id, buckets, 600)
            counters.settle(id)
        best = min(best, (time.process_time() - began) / len(ids))
    assert best < 30e-6, "many times what it takes"
