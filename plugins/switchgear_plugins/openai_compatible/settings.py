from msgspec import Struct


class CompatibleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `openai_compatible`: how the server differs from OpenAI's.

    auth_header, auth_scheme  where the key goes (`authorization`, `Bearer`); an empty scheme sends the key alone
    stream_usage              whether it knows `stream_options.include_usage`
    """

    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    stream_usage: bool = True
