from typing import Annotated, Literal

from msgspec import Meta, Struct

_Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]+$")]


class AnthropicProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `anthropic`.

    version           `anthropic-version`. From 2026-10-21 on temperature, top_p and top_k are refused whatever the model, so
                      the version before it is the default: it takes all that clients of either send
    betas             `anthropic-beta`: features asked for with every request
    known_betas       opt-ins of clients that go through, for a server of another vendor's; others are dropped by name, with the
                      members that need them. By default all go through
    thinking_display  whether the thinking that a chat's `reasoning_effort` asks for comes back `summarized` or is `omitted`;
                      by default what the model's default is
    """

    version: _Word = "2023-06-01"
    betas: tuple[_Word, ...] = ()
    known_betas: tuple[_Word, ...] | None = None
    thinking_display: Literal["summarized", "omitted"] | None = None
