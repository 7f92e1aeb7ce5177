from typing import Annotated

from msgspec import Meta, Struct


class BudgetsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`max_tokens`: the bound put on an answer that neither its client nor its model bounds, where a hard budget pays for it."""

    max_tokens: Annotated[int, Meta(ge=16, le=2**31)] = 4096
