"""Who comes first in a pool, and who follows."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.routing.planning import Health, Model, asked, chain_of, firsts, order, pool_of, resource
from switchgear.contracts.usage import Pricing
from switchgear.errors import InvalidRequest
from switchgear.testing.ambient import FixedAmbient
from switchgear.weighted_hashing import hash_draw, hash_of_name, weighted_order
from switchgear_plugins.routing.chains import Budget
from switchgear_plugins.routing.pools import Pool, PoolSpec, PoolTarget

WEIGHTS = st.lists(st.floats(min_value=0.1, max_value=100), min_size=1, max_size=6)
MANY = 10_000


@given(WEIGHTS, st.integers(0, 2**32))
def test_every_target_is_in_the_plan_once(weights: list[float], seed: int) -> None:
    models = {Model(f"m{n}"): weight for n, weight in enumerate(weights)}
    for strategy in ("weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost"):
        pool = pool_of(models, strategy=strategy, seed=seed)
        assert sorted(model.name for model in models) == sorted(order(pool.plan(asked())))


@pytest.mark.parametrize("strategy", ["weighted", "round_robin", "least_busy"])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (70, 20, 10), (1, 0), (5, 4, 3, 2, 1)])
def test_requests_are_split_by_weight(strategy: str, weights: tuple[float, ...]) -> None:
    models = {Model(f"m{n}"): weight for n, weight in enumerate(weights)}
    found = firsts(pool_of(models, strategy=strategy), [asked()] * MANY)
    for model, weight in models.items():
        assert abs(found.get(model.name, 0) / MANY - weight / sum(weights)) < 0.02


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (70, 20, 10)])
def test_keys_are_split_by_weight_when_they_stick(weights: tuple[float, ...]) -> None:
    models = {Model(f"m{n}"): weight for n, weight in enumerate(weights)}
    found = firsts(pool_of(models, sticky="key"), [asked(id=f"key-{n}") for n in range(MANY)])
    for model, weight in models.items():
        assert abs(found[model.name] / MANY - weight / sum(weights)) < 0.02


def test_turns_are_spread_evenly() -> None:
    pool = pool_of({Model("a"): 2, Model("b"): 1}, strategy="round_robin")
    turns = [order(pool.plan(asked()))[0] for _ in range(9)]
    assert [2, 2, 2] == [turns[at : at + 3].count("a") for at in (0, 3, 6)]


@given(st.lists(st.booleans(), min_size=2, max_size=6), st.sampled_from(["none", "key"]))
def test_what_is_not_available_goes_last_and_never_out(available: list[bool], sticky: str) -> None:
    models = {Model(f"m{n}", Health(available=up)): 1 for n, up in enumerate(available)}
    found = [available[int(name[1:])] for name in order(pool_of(models, sticky=sticky).plan(asked()))]
    assert sorted(available, reverse=True) == found


def test_without_fallback_only_the_first_is_asked() -> None:
    pool = pool_of({Model("a", Health(available=False)): 9, Model("b"): 1}, fallback=False)
    assert ["b"] == order(pool.plan(asked()))


def test_the_least_busy_for_its_weight_is_first() -> None:
    models = {Model("a", Health(active=4)): 4, Model("b", Health(active=2)): 1, Model("c", Health(active=3)): 1}
    assert ["a", "b", "c"] == order(pool_of(models, strategy="least_busy").plan(asked()))


def test_the_fastest_is_first_and_others_are_looked_at_now_and_then() -> None:
    models = {Model("slow", Health(latency_s=2.0)): 1, Model("fast", Health(latency_s=0.1)): 1}
    found = firsts(pool_of(models, strategy="lowest_latency"), [asked()] * MANY)
    assert 0.98 < found["fast"] / MANY < 1.0
    assert found["slow"] > 0


def test_one_nobody_knows_is_tried_a_request_at_a_time() -> None:
    new = Health()
    pool = pool_of({Model("known", Health(latency_s=0.1)): 1, Model("new", new): 1}, strategy="lowest_latency")
    assert firsts(pool, [asked()] * 100)["new"] > 90
    new.active = 1
    assert firsts(pool, [asked()] * 100)["known"] > 90


def priced(read: int, written: int) -> Pricing:
    return Pricing({"input": read, "output": written})


def test_the_cheapest_is_first_and_one_without_a_price_last() -> None:
    models = {
        Model("unknown"): 1,
        Model("dear", pricing=priced(5_000_000, 15_000_000)): 1,
        Model("cheap", pricing=priced(100_000, 400_000)): 1,
    }
    assert ["cheap", "dear", "unknown"] == order(pool_of(models, strategy="lowest_cost").plan(asked()))


def test_a_target_without_weight_only_follows() -> None:
    for strategy in ("weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost"):
        models = {Model("spare", Health(latency_s=0.0), pricing=priced(0, 0)): 0, Model("a", Health(latency_s=1.0)): 1}
        assert {"a": 100} == firsts(pool_of(models, strategy=strategy), [asked()] * 100)


def test_a_disabled_target_is_left_out() -> None:
    assert ["b"] == order(pool_of({Model("a", enabled=False): 9, Model("b"): 1}).plan(asked()))
    off = pool_of({Model("a", enabled=False): 1})
    assert not off.enabled
    assert () == off.plan(asked()).steps


@given(WEIGHTS.filter(lambda them: len(them) > 1), st.binary(min_size=1, max_size=20))
def test_a_target_that_goes_moves_only_what_it_had(weights: list[float], key: bytes) -> None:
    hashes = [hash_of_name(f"m{n}") for n in range(len(weights))]
    before = weighted_order(weights, hash_draw(key, hashes))
    after = weighted_order(weights[:-1], hash_draw(key, hashes[:-1]))
    assert [index for index in before if index != len(weights) - 1] == after


def test_sticking_is_the_same_in_every_process() -> None:
    keys = [f"key-{n}" for n in range(50)]
    code = (
        "from switchgear.weighted_hashing import *\n"
        "hashes = [hash_of_name(name) for name in ('a', 'b', 'c')]\n"
        f"print([weighted_order([1, 2, 3], hash_draw(key.encode(), hashes)) for key in {keys}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    hashes = [hash_of_name(name) for name in ("a", "b", "c")]
    assert done.stdout.strip() == str([weighted_order([1, 2, 3], hash_draw(key.encode(), hashes)) for key in keys])
    pool = pool_of({Model("a"): 1, Model("b"): 2, Model("c"): 3}, sticky="key")
    assert [["abc"[index] for index in weighted_order([1, 2, 3], hash_draw(key.encode(), hashes))] for key in keys] == [
        order(pool.plan(asked(id=key))) for key in keys
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"session_id": "s"}, {"metadata": {"session_id": "s"}}, {"prompt_cache_key": "s"}, {"user": "s"},
        {"metadata": {"user_id": "s"}}, {"session_id": "s", "user": "another", "metadata": {"user_id": "u"}},
    ],
)  # fmt: skip
def test_a_session_stays_wherever_it_is_named(members: dict[str, object]) -> None:
    pool = pool_of({Model(f"m{n}"): 1 for n in range(5)}, sticky="session")
    assert order(pool.plan(asked(session_id="s"))) == order(pool.plan(asked(**members)))


@pytest.mark.parametrize("members", [{}, {"user": 5}, {"metadata": "x"}, {"session_id": ""}, {"user": None}])
def test_without_a_session_the_strategy_decides(members: dict[str, object]) -> None:
    pool = pool_of({Model(f"m{n}"): 1 for n in range(4)}, sticky="session")
    assert 4 == len(firsts(pool, [asked(**members)] * 200))


def test_a_session_that_is_no_text_at_all_is_refused_and_not_a_failure() -> None:
    x = asked(user="s")
    assert x.call is not None
    x.call.members["user"] = type(x.call.members["user"])(b'"\\ud800"')
    with pytest.raises(InvalidRequest):
        pool_of({Model("a"): 1, Model("b"): 1}, sticky="session").plan(x)


def test_a_conversation_stays_where_its_beginning_went() -> None:
    pool = pool_of({Model(f"m{n}"): 1 for n in range(8)}, sticky="prompt_prefix")
    found = set()
    for n in range(30):
        talk: list[dict[str, object]] = [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": f"q{n}"},
        ]
        first = order(pool.plan(asked(messages=talk)))
        talk += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "more"}]
        assert first == order(pool.plan(asked(messages=talk)))
        found.add(first[0])
    assert len(found) > 4


def test_a_long_system_prompt_alone_decides() -> None:
    pool = pool_of({Model(f"m{n}"): 1 for n in range(8)}, sticky="prompt_prefix")
    shared = {"role": "system", "content": "rules " * 1000}
    exchanges = [asked(messages=[shared, {"role": "user", "content": f"q{n}"}]) for n in range(30)]
    assert 1 == len(firsts(pool, exchanges))
    in_parts = [asked(system="rules " * 1000, messages=[{"role": "user", "content": f"q{n}"}]) for n in range(30)]
    assert 1 == len(firsts(pool, in_parts))


@pytest.mark.parametrize(
    "members", [{"messages": [5, {"role": 7}]}, {"messages": "x"}, {"input": "x"}, {"prompt": [1]}]
)
def test_odd_prompts_stick_too(members: dict[str, object]) -> None:
    pool = pool_of({Model(f"m{n}"): 1 for n in range(8)}, sticky="prompt_prefix")
    assert 1 == len(firsts(pool, [asked(**members)] * 20))


def test_a_pool_says_why() -> None:
    pool = pool_of({Model("a", Health(available=False)): 1, Model("b"): 1})
    assert ("pool is a pool, weighted: b, a (a last, not available now)", "model b", "model a") == pool.plan(
        asked()
    ).why


def test_a_pool_of_chains_has_room_for_all_of_them() -> None:
    inner = chain_of([(Model("a"), {})], budget=Budget(2, 1.5), recovery="buffer")
    other = chain_of([(Model("b"), {})], budget=Budget(3, 2.0), recovery="buffer")
    spec = PoolSpec((PoolTarget("inner"), PoolTarget("other")))
    plan = Pool(resource(spec), [inner, other], FixedAmbient()).plan(asked())
    assert (5, 3.5, "buffer") == (plan.attempts, plan.seconds, plan.recovery)
