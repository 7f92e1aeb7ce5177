from typing import ClassVar

import pytest

from switchgear.contracts.store import Aggregate
from switchgear.testing.kind_suite import RecordKindSuite
from switchgear_plugins.usage.asking import sums_of
from switchgear_plugins.usage.record import UsageRecord, usage_kind


class TestUsageRecords(RecordKindSuite):
    kind: ClassVar = usage_kind()
    bodies: ClassVar = (
        UsageRecord(
            "1", "1", 1, "key_1", "openai", "chat", "m", "complete", 200, 1500, stream=True, attempts=1, cache="bypass",
            target="m", provider="p", provider_model="n", cause="rate_limit", input_tokens=3, output_tokens=2,
            cached_input_tokens=1, cache_write_tokens=1, reasoning_tokens=1, cost_microusd=5, team_id="red", user_id="ann",
            labels={"variant": "b"},
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "unpriced", "shown"),
    [(5, 0, 5), (5, 2, 5), (0, None, 0), (0, 3, None), (None, 3, None), (None, None, None)],
)
def test_what_nobody_knows_the_cost_of_did_not_cost_nothing(known, unpriced, shown) -> None:
    kind = usage_kind()
    sums = {**dict.fromkeys(kind.measures), "cost_microusd": known, "unpriced": unpriced}
    assert {**sums, "cost_microusd": shown} == sums_of(Aggregate(("m",), 9, tuple(sums.values())), kind)
