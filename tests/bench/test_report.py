"""What the bench says of its figures: no share of a ceiling that moved, and shares that are the better the more."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "contrib/bench"


@pytest.fixture(scope="module")
def report() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("report")


def compared(report: ModuleType, ceiling: list[dict[str, float]], own: list[dict[str, float]]) -> list[Any]:
    results = [report.Result(name="ceiling", turns=ceiling), report.Result(name="gateway", turns=own)]
    for result in results:
        report.compare(result, ceiling, [])
    return results


def test_a_share_by_processor_time_is_the_ceilings_over_the_gateways(report: ModuleType) -> None:
    ceiling = [{"requests_s": 1000.0, "cpu_us_request": 60.0}, {"requests_s": 1050.0, "cpu_us_request": 62.0}]
    own = [{"requests_s": 500.0, "cpu_us_request": 120.0}, {"requests_s": 630.0, "cpu_us_request": 124.0}]
    _, gateway = compared(report, ceiling, own)
    assert 0.5 == gateway.shares["cpu_us_request"].median
    assert pytest.approx((0.55, 0.5, 0.6)) == (
        gateway.shares["requests_s"].median,
        gateway.shares["requests_s"].low,
        gateway.shares["requests_s"].high,
    )


@pytest.mark.parametrize(
    ("ceilings", "steady"),
    [
        ([100.0, 109.0, 105.0], True),
        ([100.0, 110.0, 100.0], True),  # a tenth is not more than a tenth
        ([100.0, 110.2, 100.0], False),
        ([100.0, 60.0, 100.0], False),
        ([100.0], False),  # one round shows nothing
    ],
)
def test_a_ceiling_that_moved_by_more_than_a_tenth_gives_no_share(
    report: ModuleType, ceilings: list[float], steady: bool
) -> None:
    results = compared(report, [{"requests_s": c} for c in ceilings], [{"requests_s": 50.0} for _ in ceilings])
    table = report.table(results, allow_unsteady=False)
    row = next(line for line in table.splitlines() if line.startswith("requests/s"))
    assert steady == ("= ?" not in row)
    assert steady == (report.unsteady(results) == [])
    assert ("[" in row) == steady


def test_unsteady_shares_are_marked_when_they_are_asked_for(report: ModuleType) -> None:
    results = compared(report, [{"requests_s": 100.0}, {"requests_s": 200.0}], [{"requests_s": 50.0}] * 2)
    row = next(
        line for line in report.table(results, allow_unsteady=True).splitlines() if line.startswith("requests/s")
    )
    assert "50 = 0.38? [0.25-0.50]" in row
    assert ["no share in requests/s: the ceiling itself moved by 67% between rounds"] == report.unsteady(results)


def test_what_stood_still_keeps_its_share_beside_what_moved(report: ModuleType) -> None:
    ceiling = [{"requests_s": 100.0, "cpu_us_request": 60.0}, {"requests_s": 200.0, "cpu_us_request": 61.0}]
    results = compared(report, ceiling, [{"requests_s": 50.0, "cpu_us_request": 100.0}] * 2)
    lines = report.table(results, allow_unsteady=False).splitlines()
    assert next(line for line in lines if line.startswith("requests/s")).endswith("50 = ?")
    assert next(line for line in lines if line.startswith("CPU us/request")).endswith("= 0.60 [0.60-0.61]")
    assert 1 == len(report.unsteady(results))


def test_without_a_ceiling_there_are_figures_and_no_shares(report: ModuleType) -> None:
    result = report.Result(name="gateway", turns=[{"requests_s": 100.0}, {"requests_s": 300.0}])
    report.compare(result, [], [])
    assert "200" in report.table([result], allow_unsteady=False)
    assert [] == report.unsteady([result])


def test_latency_is_what_is_added_to_the_upstreams_own(report: ModuleType) -> None:
    result = report.Result(name="gateway", turns=[{"p99_us": 3000.0}, {"p99_us": 5000.0}, {"p99_us": 9000.0}])
    report.compare(result, [], [{"p99_us": 1000.0}, {"p99_us": 2000.0}, {"p99_us": 2000.0}])
    assert {"p99_us": 3.0} == result.added_ms


def test_another_tree_is_compared_round_by_round(report: ModuleType) -> None:
    base = report.Result(name="switchgear", turns=[{"cpu_us_request": 100.0}, {"cpu_us_request": 200.0}])
    other = report.Result(name="faster", turns=[{"cpu_us_request": 90.0}, {"cpu_us_request": 160.0}])
    said = report.against(base, other)
    assert said.startswith("faster over switchgear")
    assert said.endswith("[0.800-0.900]")
