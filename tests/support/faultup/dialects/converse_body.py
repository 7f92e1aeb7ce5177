"""What a request to Amazon Bedrock's Converse may have. Wire: docs.aws.amazon.com/bedrock/latest/APIReference."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class CachePoint(Struct, forbid_unknown_fields=True):
    type: Literal["default"]
    ttl: Literal["5m", "1h"] | UnsetType = UNSET


class Source(Struct, forbid_unknown_fields=True):
    bytes: str | UnsetType = UNSET
    s3Location: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    text: str | UnsetType = UNSET


class Image(Struct, forbid_unknown_fields=True):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source


class Document(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9\-()\[\] ]{1,200}$")]
    source: Source
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] | UnsetType = UNSET
    context: str | UnsetType = UNSET
    citations: dict[str, bool] | UnsetType = UNSET


class ToolUse(Struct, forbid_unknown_fields=True):
    toolUseId: Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]{1,64}$")]  # noqa: N815 - the wire's name
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    input: dict[str, Any]


class Result(Struct, forbid_unknown_fields=True):
    """One part of a tool's result: exactly one member."""

    text: str | UnsetType = UNSET
    json: Any = UNSET
    image: Image | UnsetType = UNSET
    document: Document | UnsetType = UNSET


class ToolResult(Struct, forbid_unknown_fields=True):
    toolUseId: str  # noqa: N815 - the wire's name
    content: list[Result]
    status: Literal["success", "error"] | UnsetType = UNSET


class ReasoningText(Struct, forbid_unknown_fields=True):
    text: str
    signature: str | UnsetType = UNSET


class Reasoning(Struct, forbid_unknown_fields=True):
    """Exactly one member."""

    reasoningText: ReasoningText | UnsetType = UNSET  # noqa: N815 - the wire's name
    redactedContent: str | UnsetType = UNSET  # noqa: N815 - the wire's name


class Content(Struct, forbid_unknown_fields=True):
    """A content block: exactly one member."""

    text: str | UnsetType = UNSET
    image: Image | UnsetType = UNSET
    document: Document | UnsetType = UNSET
    toolUse: ToolUse | UnsetType = UNSET  # noqa: N815 - the wire's name
    toolResult: ToolResult | UnsetType = UNSET  # noqa: N815 - the wire's name
    reasoningContent: Reasoning | UnsetType = UNSET  # noqa: N815 - the wire's name
    cachePoint: CachePoint | UnsetType = UNSET  # noqa: N815 - the wire's name


class Message(Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    content: Annotated[list[Content], Meta(min_length=1)]


class System(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    cachePoint: CachePoint | UnsetType = UNSET  # noqa: N815 - the wire's name


class Inference(Struct, forbid_unknown_fields=True):
    maxTokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET  # noqa: N815 - the wire's name
    temperature: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    topP: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET  # noqa: N815 - the wire's name
    stopSequences: Annotated[list[str], Meta(max_length=2500)] | UnsetType = UNSET  # noqa: N815 - the wire's name


class Schema(Struct, forbid_unknown_fields=True):
    json: dict[str, Any]


class ToolSpec(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    inputSchema: Schema  # noqa: N815 - the wire's name
    description: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Tool(Struct, forbid_unknown_fields=True):
    toolSpec: ToolSpec | UnsetType = UNSET  # noqa: N815 - the wire's name
    cachePoint: CachePoint | UnsetType = UNSET  # noqa: N815 - the wire's name


class Empty(Struct, forbid_unknown_fields=True):
    """`{}`."""


class Named(Struct, forbid_unknown_fields=True):
    name: str


class ToolChoice(Struct, forbid_unknown_fields=True):
    auto: Empty | UnsetType = UNSET
    any: Empty | UnsetType = UNSET
    tool: Named | UnsetType = UNSET


class ToolConfig(Struct, forbid_unknown_fields=True):
    tools: Annotated[list[Tool], Meta(min_length=1)]
    toolChoice: ToolChoice | UnsetType = UNSET  # noqa: N815 - the wire's name


class JsonSchema(Struct, forbid_unknown_fields=True):
    schema: str
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class Structure(Struct, forbid_unknown_fields=True):
    jsonSchema: JsonSchema  # noqa: N815 - the wire's name


class TextFormat(Struct, forbid_unknown_fields=True):
    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(Struct, forbid_unknown_fields=True):
    textFormat: TextFormat | UnsetType = UNSET  # noqa: N815 - the wire's name
    effort: str | UnsetType = UNSET


class Converse(Struct, forbid_unknown_fields=True):
    """The body of Converse and ConverseStream; CountTokens takes the first four."""

    messages: list[Message] | UnsetType = UNSET
    system: list[System] | UnsetType = UNSET
    toolConfig: ToolConfig | UnsetType = UNSET  # noqa: N815 - the wire's name
    additionalModelRequestFields: dict[str, Any] | UnsetType = UNSET  # noqa: N815 - the wire's name
    inferenceConfig: Inference | UnsetType = UNSET  # noqa: N815 - the wire's name
    outputConfig: OutputConfig | UnsetType = UNSET  # noqa: N815 - the wire's name
    additionalModelResponseFieldPaths: list[str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    guardrailConfig: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    requestMetadata: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    performanceConfig: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    serviceTier: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name
    promptVariables: dict[str, dict[str, str]] | UnsetType = UNSET  # noqa: N815 - the wire's name


class CountInput(Struct, forbid_unknown_fields=True):
    converse: Converse | UnsetType = UNSET
    invokeModel: dict[str, str] | UnsetType = UNSET  # noqa: N815 - the wire's name


class Count(Struct, forbid_unknown_fields=True):
    """The body of CountTokens."""

    input: CountInput
