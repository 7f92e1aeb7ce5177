from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

# `$` alone would let a line break through at the end.
Project: TypeAlias = Annotated[
    str, Meta(pattern=r"^(?:[a-z0-9][a-z0-9.-]{0,62}:)?[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$(?!\n)")
]
Location: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$(?!\n)")]
Publisher: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)")]
HarmCategory: TypeAlias = Annotated[str, Meta(pattern=r"^HARM_CATEGORY_[A-Z_]{1,64}$(?!\n)")]
Threshold: TypeAlias = Literal["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"]


class VertexProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `vertex`: which of Google's addresses is spoken to, and how.

    project          the Google Cloud project that pays; else the one the credential names. Without `project`, `location` and
                     `express` it is Google AI Studio (the Gemini API)
    location         a region (`europe-west4`), a multi-region (`us`, `eu`) or `global`, which is the default
    express          Vertex AI in express mode: an API key, no project
    api_version      default: `v1` on Vertex AI, `v1beta` on AI Studio, where `v1` has no tools
    publisher        whose models a bare model name means
    safety_settings  the threshold at which answers are blocked, by category of harm
    token_uri        where a service account's assertion is sent instead of where its key says
    """

    project: Project | None = None
    location: Location | None = None
    express: bool = False
    api_version: Literal["v1", "v1beta1", "v1beta", "v1alpha"] | None = None
    publisher: Publisher = "google"
    safety_settings: dict[HarmCategory, Threshold] = {}
    token_uri: Annotated[str, Meta(pattern=r"^https?://[^\s@/?#]+(?:/[^\s]*)?$(?!\n)")] | None = None
