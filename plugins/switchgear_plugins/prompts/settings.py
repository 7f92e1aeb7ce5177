from typing import Annotated

from msgspec import Meta, Struct


class PromptsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds.

    most_characters  of one rendered prompt: values come from clients, and stand wherever a variable does
    """

    most_characters: Annotated[int, Meta(ge=1)] = 1_000_000
