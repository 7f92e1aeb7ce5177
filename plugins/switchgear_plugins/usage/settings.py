from typing import Annotated

from msgspec import Meta, Struct


class UsageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`keep_days`: how long usage records stay in the store; None: for ever."""

    keep_days: Annotated[int, Meta(ge=1)] | None = None
