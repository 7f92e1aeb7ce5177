from typing import ClassVar

from switchgear.testing.kind_suite import RecordKindSuite
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
