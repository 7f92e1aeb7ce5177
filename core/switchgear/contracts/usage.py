"""What a call consumed, in the provider's own count."""

from typing import Annotated

from msgspec import Meta, Struct

_MOST_TOKENS = 2**40
"""A count beyond this is not one: it is not believed, and cannot spoil the sums that it would become part of."""


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one answer.

    `cached_input_tokens` and `cache_write_tokens` are parts of `input_tokens`; `reasoning_tokens` is a part of
    `output_tokens`. `estimated` is set when the provider did not say (a stream that was cut) and the gateway counted what
    went by.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


def believable(*counts: float) -> bool:
    """Say whether these can be counts of tokens."""
    for count in counts:  # noqa: SIM110 - asked several times a request; all() would make a generator each time
        if not 0 <= count <= _MOST_TOKENS:
            return False
    return True


class Pricing(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What tokens cost, in microusd (millionths of a US dollar) per million of them. None: as other input."""

    input: Annotated[int, Meta(ge=0)]
    output: Annotated[int, Meta(ge=0)]
    cached_input: Annotated[int, Meta(ge=0)] | None = None
    cache_write: Annotated[int, Meta(ge=0)] | None = None
