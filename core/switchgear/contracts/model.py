"""What resources that lead to models have in common."""

from typing import Annotated

from msgspec import Meta, Struct

Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
"""The part of the requests that one of several gets; one of weight 0 is never asked first."""


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Members used where the client set none, by their canonical names."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    reasoning_effort: str | None = None
