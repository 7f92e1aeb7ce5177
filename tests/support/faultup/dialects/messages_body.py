"""What a request to Anthropic's Messages API may have, member by member. Wire: docs.anthropic.com/en/api/messages."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType


class Cache(Struct, forbid_unknown_fields=True):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | UnsetType = UNSET


class Part(Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """A content block."""


class Text(Part, tag="text"):
    text: str
    cache_control: Cache | None = None
    citations: list[Any] | None = None


class Source(Struct, forbid_unknown_fields=True, tag_field="type"):
    """Where a picture or document is."""


class Base64(Source, tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"]
    data: str


class Url(Source, tag="url"):
    url: str


class PlainText(Source, tag="text"):
    media_type: Literal["text/plain"]
    data: str


class Image(Part, tag="image"):
    source: Base64 | Url
    cache_control: Cache | None = None


class Document(Part, tag="document"):
    source: Base64 | Url | PlainText
    title: str | None = None
    context: str | None = None
    cache_control: Cache | None = None
    citations: dict[str, Any] | None = None


class ToolUse(Part, tag="tool_use"):
    id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    input: dict[str, Any]
    cache_control: Cache | None = None
    caller: dict[str, Any] | UnsetType = UNSET


class ToolReference(Part, tag="tool_reference"):
    tool_name: str


class ToolResult(Part, tag="tool_result"):
    tool_use_id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$")]
    content: str | list[Text | Image | Document | ToolReference] | UnsetType = UNSET
    is_error: bool | UnsetType = UNSET
    cache_control: Cache | None = None


class Thinking(Part, tag="thinking"):
    thinking: str
    signature: str


class Redacted(Part, tag="redacted_thinking"):
    data: str


AnyPart: TypeAlias = Text | Image | Document | ToolUse | ToolResult | Thinking | Redacted


class Message(Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[AnyPart]

    @property
    def parts(self) -> list[AnyPart]:
        return [Text(text=self.content)] if isinstance(self.content, str) else self.content


class Tool(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    input_schema: dict[str, Any] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    type: Literal["custom", "web_search_20250305"] | None = None
    allowed_domains: list[str] | UnsetType = UNSET
    cache_control: Cache | None = None
    strict: bool | UnsetType = UNSET
    eager_input_streaming: bool | None = None
    defer_loading: bool | UnsetType = UNSET


class Choice(Struct, forbid_unknown_fields=True, tag_field="type"):
    """How tools are chosen."""


class Auto(Choice, tag="auto"):
    disable_parallel_tool_use: bool | UnsetType = UNSET


class AnyTool(Choice, tag="any"):
    disable_parallel_tool_use: bool | UnsetType = UNSET


class OneTool(Choice, tag="tool"):
    name: str
    disable_parallel_tool_use: bool | UnsetType = UNSET


class NoTool(Choice, tag="none"):
    pass


class ThinkingMode(Struct, forbid_unknown_fields=True, tag_field="type"):
    """Whether the model thinks."""


class Enabled(ThinkingMode, tag="enabled"):
    budget_tokens: Annotated[int, Meta(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class Adaptive(ThinkingMode, tag="adaptive"):
    display: Literal["summarized", "omitted"] | None = None


class Disabled(ThinkingMode, tag="disabled"):
    pass


class Format(Struct, forbid_unknown_fields=True):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, forbid_unknown_fields=True):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Metadata(Struct, forbid_unknown_fields=True):
    user_id: str | None = None


class Counted(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of count_tokens."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    system: str | list[Text] | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: Auto | AnyTool | OneTool | NoTool | UnsetType = UNSET
    thinking: Enabled | Adaptive | Disabled | UnsetType = UNSET
    output_config: OutputConfig | UnsetType = UNSET
    cache_control: Cache | None = None


class Create(Counted, forbid_unknown_fields=True, kw_only=True):
    """The body of a message."""

    max_tokens: Annotated[int, Meta(ge=1)]
    stream: bool | UnsetType = UNSET
    stop_sequences: list[str] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    service_tier: Literal["auto", "standard_only"] | UnsetType = UNSET
    context_management: dict[str, Any] | UnsetType = UNSET


class VertexCreate(Create, forbid_unknown_fields=True, kw_only=True):
    """The body on Vertex AI: no model, but a version."""

    model: str | UnsetType = UNSET  # type: ignore[assignment]  # refused below; count-tokens alone has it
    anthropic_version: Literal["vertex-2023-10-16"]
    anthropic_beta: list[str] | UnsetType = UNSET


class VertexCounted(Counted, forbid_unknown_fields=True, kw_only=True):
    """The body of count-tokens on Vertex AI."""

    anthropic_version: Literal["vertex-2023-10-16"] | UnsetType = UNSET
