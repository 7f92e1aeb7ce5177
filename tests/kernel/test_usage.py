"""Units are exclusive and add up; what they cost is exact; a stream's later word counts."""

from fractions import Fraction
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from switchgear.catalogue import checks
from switchgear.catalogue.specs import ModelSpec
from switchgear.contracts.principal import operator
from switchgear.contracts.provider import Traits
from switchgear.contracts.usage import Pricing, Usage, parent, side
from switchgear.testing.kind_suite import LiveView

READ = ("cached_input", "cache_write_5m", "cache_write_1h", "cache_write", "audio_input")
WRITTEN = ("reasoning", "audio_output", "image_output")
counts = st.integers(0, 2**40)
parts = st.dictionaries(st.sampled_from((*READ, *WRITTEN)), st.integers(-5, 2**41))
usages = st.builds(
    Usage.of, counts, counts, cached_input=counts, cache_write_1h=counts, reasoning=counts, image=st.integers(0, 9)
).filter(bool)
prices = st.dictionaries(st.sampled_from(("input", "output", *READ, *WRITTEN, "request")), st.integers(0, 10**12))


@given(counts, counts, parts)
def test_parts_are_exclusive_and_add_up_to_the_vendors_totals(read: int, written: int, said: dict[str, int]) -> None:
    usage = Usage.of(read, written, **said)
    assert usage is not None
    assert (read, written) == (usage.input_tokens, usage.output_tokens)
    assert read + written == sum(usage.units.values())
    assert all(count > 0 for count in usage.units.values())
    assert all(usage.units.get(unit, 0) <= max(count, 0) for unit, count in said.items())


@given(counts, counts, st.integers(0, 2**41), parts)
def test_a_larger_total_is_kept(read: int, written: int, total: int, said: dict[str, int]) -> None:
    usage = Usage.of(read, written, total=total, **said)
    assert usage is not None
    wanted = max(total, read + written) if total <= 2**40 else read + written
    assert wanted == sum(usage.units.values())
    assert read <= usage.input_tokens
    assert written <= usage.output_tokens


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage.of(10, 35, total=420, reasoning=375), {"input": 10, "output": 35, "reasoning": 375}),
        (Usage.of(35, 12, total=109), {"input": 35, "output": 12, "reasoning": 62}),
        (Usage.of(10, 35, total=75, reasoning=20), {"input": 10, "output": 45, "reasoning": 20}),
        (Usage.of(10, 5, total=115, cached_input=100), {"input": 10, "cached_input": 100, "output": 5}),
        (Usage.of(100, 5, total=105, cached_input=80, cache_write=80), {"cached_input": 80, "cache_write": 20, "output": 5}),
        (Usage.of(100, 5, total=480, cached_input=80, audio_input=50, reasoning=375),
         {"cached_input": 80, "audio_input": 20, "output": 5, "reasoning": 375}),
        (Usage.of(9, 3), {"input": 9, "output": 3}),
        (Usage.of(9, image=2), {"input": 9, "image": 2}),
        (Usage.of(), {}),
    ],
)  # fmt: skip
def test_examples(usage: Usage, expected: dict[str, int]) -> None:
    assert (expected, False) == (usage.units, usage.estimated)


def test_a_part_larger_than_the_whole_is_said_to_be_a_guess() -> None:
    assert Usage({"cached_input": 10, "output": 3}, estimated=True) == Usage.of(10, 3, cached_input=12)


@pytest.mark.parametrize("total", [-1, 2**41])
def test_totals_that_cannot_be_are_none(total: int) -> None:
    assert None is Usage.of(total, 1)
    assert None is Usage.of(1, total)


@given(usages, usages)
def test_a_later_word_counts_but_no_later_zero(one: Usage, later: Usage) -> None:
    both = one.updated(later)
    assert (later.input_tokens or one.input_tokens) == both.input_tokens
    assert (later.output_tokens or one.output_tokens) == both.output_tokens
    assert both.units.items() <= {**one.units, **later.units}.items()
    assert one == one.updated(Usage())
    assert not later.units or later == Usage().updated(later)


@given(usages, usages)
def test_a_sum_holds_what_both_hold(one: Usage, other: Usage) -> None:
    both = one + other
    assert {
        unit: one.units.get(unit, 0) + other.units.get(unit, 0) for unit in {**one.units, **other.units}
    } == both.units
    assert both == other + one
    assert one.input_tokens + other.input_tokens == both.input_tokens


def price_of(units: dict[str, int], unit: str) -> int | None:
    found: str | None = unit
    while found is not None and found not in units:
        found = parent(found)
    return None if found is None else units[found]


@given(usages, prices)
def test_cost_is_exact_and_rounded_half_up_once(usage: Usage, units: dict[str, int]) -> None:
    priced = {unit: price_of(units, unit) for unit in usage.units}
    cost = Pricing(units).cost(usage)
    if None in priced.values():
        assert cost is None
        return
    exact = sum((Fraction(usage.units[unit] * (price or 0), 10**6) for unit, price in priced.items()), Fraction(0))
    exact += Fraction(units.get("request", 0), 10**6)
    assert min(int(exact + Fraction(1, 2)), 2**53) == cost


@given(usages, prices, st.integers(1, 50))
def test_the_dearest_is_no_less_than_any_kind_of_it(usage: Usage, units: dict[str, int], read: int) -> None:
    dearest = Pricing(units).dearest("input")
    assume(dearest is not None)
    for unit in READ:
        assert (price_of(units, unit) or 0) <= (dearest or 0)


def test_half_a_microdollar_is_one() -> None:
    assert (0, 1) == (
        Pricing({"input": 499_999}).cost(Usage.plain(1)),
        Pricing({"input": 500_000}).cost(Usage.plain(1)),
    )


@pytest.mark.parametrize(
    ("unit", "above", "top"),
    [
        ("cache_write_1h", "cache_write", "input"),
        ("cache_write", "input", "input"),
        ("cached_audio_input", "audio_input", "input"),
        ("reasoning", "output", "output"),
        ("video_output", "output", "output"),
        ("image", None, "image"),
        ("input", None, "input"),
        ("put_input_into", None, "put_input_into"),
    ],
)
def test_what_a_unit_is_a_kind_of(unit: str, above: str | None, top: str) -> None:
    assert (above, top) == (parent(unit), side(unit))


def test_what_a_usage_tells() -> None:
    usage = Usage(
        {"input": 1, "cached_audio_input": 2, "cache_write_1h": 4, "cache_write": 8, "reasoning": 16, "image": 32}
    )
    told = (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens, usage.output_tokens)
    assert (15, 2, 12, 16, 16) == (*told, usage.reasoning_tokens)
    assert {"input": 1, "image": 5} == Usage({"input": 1, "reasoning": 3}).with_(reasoning=0, image=5).units
    assert usage == msgspec.json.decode(msgspec.json.encode(usage), type=Usage)


def test_a_unit_that_the_provider_counts_may_have_a_price() -> None:
    translator = SimpleNamespace(traits=lambda model: Traits(frozenset({"chat"}), units=frozenset({f"{model}_page"})))
    view = LiveView({("providers", "p"): SimpleNamespace(translator=translator)})
    spec = ModelSpec("p", "scan", pricing={"input": 1, "scan_page": 2, "scanpage": 3})
    [problem] = checks.units(spec, view, operator("o"))
    assert "/pricing/scanpage" == problem.pointer
    assert "Did you mean `scan_page`?" in problem.detail
