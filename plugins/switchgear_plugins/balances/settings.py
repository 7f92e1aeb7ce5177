from typing import Annotated

from msgspec import Meta, Struct


class BalancesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.balances].

    by          the label of principals that says whose balance pays (`user`, `team`, `key`)
    required    whether a call is refused whose label has no account; if not, it pays nothing. Calls without the label never do
    max_tokens  the bound put on an answer that neither its client nor its model bounds
    """

    by: Annotated[str, Meta(pattern="^[a-z0-9_.-]+$", max_length=64)] = "user"
    required: bool = False
    max_tokens: Annotated[int, Meta(ge=16, le=2**31)] = 4096
