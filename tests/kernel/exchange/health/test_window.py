"""Counts of the last seconds, against a list of everything that was counted."""

from hypothesis import given
from hypothesis import strategies as st

from switchgear.exchange.health.window import BUCKETS, Window
from switchgear.testing.ambient import FixedAmbient

MOVES = st.lists(st.one_of(st.sampled_from(["note", "mark a", "mark b"]), st.floats(0, 40)), max_size=60)


@given(MOVES, st.sampled_from([0.1, 1.0, 7.7, 30.0]))
def test_it_holds_what_happened_in_the_last_ten_tenths(moves: list[str | float], seconds: float) -> None:
    ambient = FixedAmbient()
    window = Window(seconds, ambient.monotonic)
    tenth = seconds / BUCKETS
    seen: list[tuple[int, str]] = []
    for move in moves:
        now = int(ambient.monotonic() // tenth)
        if isinstance(move, float):
            ambient.advance(move)
        elif move == "note":
            window.note()
            seen.append((now, "request"))
        else:
            window.mark(move[-1])
            seen.append((now, move[-1]))
        now = int(ambient.monotonic() // tenth)
        inside = [word for at, word in seen if at > now - BUCKETS]
        requests, marks = window.sums()
        assert (inside.count("request"), inside.count("a"), inside.count("b")) == (requests, marks["a"], marks["b"])
    window.clear()
    assert (0, 0) == (window.sums()[0], window.sums()[1].total())


def test_nothing_piles_up_in_it() -> None:
    ambient = FixedAmbient()
    window = Window(10.0, ambient.monotonic)
    for _ in range(10_000):
        ambient.advance(0.3)
        window.note()
    assert len(window._past) < BUCKETS
