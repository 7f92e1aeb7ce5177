"""What a request to Gemini's generateContent may have. Wire: ai.google.dev/api/generate-content."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class Camel(Struct, forbid_unknown_fields=True, rename="camel"):
    """A message of protobuf's JSON."""


class Blob(Camel, forbid_unknown_fields=True, rename="camel"):
    mime_type: str
    data: str
    display_name: str | UnsetType = UNSET


class FileData(Camel, forbid_unknown_fields=True, rename="camel"):
    file_uri: str
    mime_type: str | UnsetType = UNSET


class FunctionCall(Camel, forbid_unknown_fields=True, rename="camel"):
    name: str
    args: dict[str, Any] | UnsetType = UNSET
    id: str | UnsetType = UNSET


class FunctionResponse(Camel, forbid_unknown_fields=True, rename="camel"):
    name: str
    response: dict[str, Any]
    id: str | UnsetType = UNSET
    parts: list[Any] | UnsetType = UNSET


class Part(Camel, forbid_unknown_fields=True, rename="camel"):
    """Exactly one of the first five."""

    text: str | UnsetType = UNSET
    inline_data: Blob | UnsetType = UNSET
    file_data: FileData | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    function_response: FunctionResponse | UnsetType = UNSET
    thought: bool | UnsetType = UNSET
    thought_signature: str | UnsetType = UNSET
    media_resolution: Any = UNSET


class Content(Camel, forbid_unknown_fields=True, rename="camel"):
    parts: Annotated[list[Part], Meta(min_length=1)]
    role: Literal["user", "model", "function"] | UnsetType = UNSET


class Declaration(Camel, forbid_unknown_fields=True, rename="camel"):
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$")]
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    parameters_json_schema: dict[str, Any] | UnsetType = UNSET


class Tool(Camel, forbid_unknown_fields=True, rename="camel"):
    function_declarations: list[Declaration] = []
    google_search: dict[str, str] | UnsetType = UNSET


class FunctionCalling(Camel, forbid_unknown_fields=True, rename="camel"):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"]
    allowed_function_names: list[str] | UnsetType = UNSET


class ToolConfig(Camel, forbid_unknown_fields=True, rename="camel"):
    function_calling_config: FunctionCalling


class Thinking(Camel, forbid_unknown_fields=True, rename="camel"):
    include_thoughts: bool | UnsetType = UNSET
    thinking_budget: int | UnsetType = UNSET
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high"] | UnsetType = UNSET


class Generation(Camel, forbid_unknown_fields=True, rename="camel"):
    stop_sequences: Annotated[list[str], Meta(max_length=5)] | UnsetType = UNSET
    response_mime_type: Literal["text/plain", "application/json", "text/x.enum"] | UnsetType = UNSET
    response_schema: dict[str, Any] | UnsetType = UNSET
    response_json_schema: dict[str, Any] | UnsetType = UNSET
    candidate_count: Annotated[int, Meta(ge=1, le=8)] | UnsetType = UNSET
    max_output_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: float | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    response_logprobs: bool | UnsetType = UNSET
    logprobs: int | UnsetType = UNSET
    thinking_config: Thinking | UnsetType = UNSET
    response_modalities: list[str] | UnsetType = UNSET
    media_resolution: str | UnsetType = UNSET


class Generate(Camel, forbid_unknown_fields=True, rename="camel"):
    """The body of generateContent, and of Vertex AI's countTokens."""

    contents: Annotated[list[Content], Meta(min_length=1)]
    system_instruction: Content | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_config: ToolConfig | UnsetType = UNSET
    generation_config: Generation | UnsetType = UNSET
    safety_settings: list[dict[str, str]] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    cached_content: str | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET


class NamedGenerate(Generate, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The same inside AI Studio's countTokens, which repeats the model."""

    model: str


class Count(Camel, forbid_unknown_fields=True, rename="camel"):
    """The body of AI Studio's countTokens: one of the two."""

    contents: list[Content] | UnsetType = UNSET
    generate_content_request: NamedGenerate | UnsetType = UNSET
