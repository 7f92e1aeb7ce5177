from msgspec import Struct


class OpenAIProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `openai`: which organisation and project are billed."""

    organization: str | None = None
    project: str | None = None
