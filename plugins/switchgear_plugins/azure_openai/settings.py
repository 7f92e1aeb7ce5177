from typing import Annotated, Literal

from msgspec import Meta, Struct

DatedVersion = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")]


class AzureSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `azure_openai`.

    api_version        a dated version, as `2024-10-21`: deployments are then part of the URL. Left out, the v1 API is used,
                       which has no versions and takes the deployment as the model
    authority          where Entra ID gives out tokens; `https://login.microsoftonline.us` and
                       `https://login.partner.microsoftonline.cn` are those of the sovereign clouds
    scope              what the token is for; `https://cognitiveservices.azure.us/.default` in the US government's cloud
    max_tokens_member  the name under which a model's default `max_tokens` goes out; deployments of old versions may know
                       `max_tokens` only
    """

    api_version: DatedVersion | None = None
    authority: str = "https://login.microsoftonline.com"
    scope: str = "https://cognitiveservices.azure.com/.default"
    max_tokens_member: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
