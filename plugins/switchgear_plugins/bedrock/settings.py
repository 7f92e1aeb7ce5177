import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,9}){1,2}-[0-9]{1,2}")


class Guardrail(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A guardrail that every call goes through.

    identifier, version  its id or ARN, and a version number or `DRAFT`
    stream_mode          whether a stream waits for the guardrail (`sync`) or is stopped by it later (`async`)
    """

    identifier: str
    version: str
    stream_mode: Literal["sync", "async"] | None = None


class BedrockSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `bedrock`.

    region                           the AWS region, as `us-east-1`; also of the signature when `base_url` is set
    base_models                      for names that do not say so, the model behind them: an application inference profile's
                                     ARN, a provisioned or imported model → a model id as `anthropic.claude-sonnet-4-5-…`
    guardrail                        see `Guardrail`
    latency                          `optimized` asks for latency-optimised inference
    service_tier                     used where the client asks for none
    additional_model_request_fields  the model's own members, sent with every chat
    embed_input_type                 what Cohere's embeddings are for, where the client does not say (`input_type`)
    """

    region: Annotated[str, Meta(max_length=32, pattern=f"^{REGION.pattern}$")]
    base_models: dict[str, str] = {}
    guardrail: Guardrail | None = None
    latency: Literal["standard", "optimized"] | None = None
    service_tier: Literal["default", "priority", "flex", "reserved"] | None = None
    additional_model_request_fields: dict[str, Any] = {}
    embed_input_type: Literal["search_document", "search_query", "classification", "clustering"] = "search_document"
