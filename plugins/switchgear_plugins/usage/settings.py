from typing import Annotated

from msgspec import Meta, Struct


class AnomalySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When spending is unusual: `least_microusd` in an hour, `score` deviations from past weeks, `multiple` of the mean hour."""

    least_microusd: Annotated[int, Meta(ge=1)] = 1_000_000
    score: Annotated[float, Meta(gt=0)] = 6.0
    multiple: Annotated[float, Meta(gt=1)] = 10.0


class UsageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`keep_days`: how long usage records, and their sums, stay in the store; None: for ever. `anomalies`: which are told."""

    keep_days: Annotated[int, Meta(ge=1)] | None = None
    anomalies: AnomalySettings = AnomalySettings()
