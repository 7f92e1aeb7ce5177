from typing import Any, ClassVar

import pytest
from switchgear_answer_cache import NAME, AnswerCache, Attached, Settings

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import PolicySuite, make_exchange

ANN, BOB = Principal("ann", "key"), Principal("bob", "key")


def asked(who: Principal = ANN, settings: Attached | None = None, **how: Any) -> Exchange:
    x = make_exchange(who, **how)
    x.attached = {NAME: settings or Attached()}
    return x


def cache(most_bytes: int = 100, ambient: FixedAmbient | None = None) -> AnswerCache:
    return AnswerCache(Settings(most_bytes), ambient or FixedAmbient())


def ask(cache: AnswerCache, x: Exchange, size: int = 10) -> str:
    if cache.admit(x) is None:
        cache.answered(x, Answer(b"x" * size))
    return x.cache


class TestAnswerCache(PolicySuite):
    attached: ClassVar = {NAME: Attached()}

    def make(self, counters: object) -> AnswerCache:
        return cache()


def test_who_asks_again_gets_the_same_answer() -> None:
    kept = cache()
    assert ["miss", "hit"] == [ask(kept, asked()) for _ in range(2)]
    assert "miss" == ask(kept, asked(stream=True, who=BOB))


def test_others_get_it_where_answers_are_shared() -> None:
    kept = cache()
    assert "miss" == ask(kept, asked())
    assert ["miss", "hit"] == [ask(kept, asked(BOB)) for _ in range(2)]
    shared = Attached(shared=True)
    assert ["miss", "hit"] == [ask(kept, asked(who, shared)) for who in (ANN, BOB)]


def test_old_answers_are_not_given() -> None:
    ambient = FixedAmbient()
    kept = cache(ambient=ambient)
    ask(kept, asked(settings=Attached(ttl_s=5)))
    ambient.advance(4)
    assert "hit" == ask(kept, asked(settings=Attached(ttl_s=5)))
    ambient.advance(2)
    assert "miss" == ask(kept, asked(settings=Attached(ttl_s=5)))


@pytest.mark.parametrize("size", [51, 200])
def test_no_more_is_kept_than_there_is_room_for(size: int) -> None:
    kept = cache(most_bytes=100)
    ask(kept, asked(), 50)
    ask(kept, asked(BOB), size)
    assert "miss" == ask(kept, asked(), 50)
