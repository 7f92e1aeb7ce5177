from typing import Annotated

from msgspec import Meta, Struct


class BudgetsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the worst case of a call is worked out, where a hard budget pays for it.

    max_tokens      the bound put on an answer that neither its client nor its model bounds
    picture_tokens  what a picture, a recording or a file costs at most, unless its length says more
    """

    max_tokens: Annotated[int, Meta(ge=16, le=2**31)] = 4096
    picture_tokens: Annotated[int, Meta(ge=1, le=2**31)] = 4096
