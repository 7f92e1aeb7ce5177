"""OpenAI's Responses API.

Wire: platform.openai.com/docs/api-reference/responses/create, /responses/object and /responses-streaming.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from support.faultup.dialects import chat, common
from support.faultup.dialects.common import Asked, Block, Heard, Said, require, sse, words
from switchgear.testing.upstream.reply import CREATED, Piece, Reply


class Part(Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """A content part."""


class InputText(Part, tag="input_text"):
    text: str
    prompt_cache_breakpoint: dict[str, Any] | UnsetType = UNSET


class InputImage(Part, tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | UnsetType = UNSET


class InputFile(Part, tag="input_file"):
    file_data: str | UnsetType = UNSET
    file_id: str | None = None
    file_url: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET


class OutputText(Part, tag="output_text"):
    text: str
    annotations: list[Any] | UnsetType = UNSET
    logprobs: list[Any] | None = None


class Refusal(Part, tag="refusal"):
    refusal: str


class Item(Struct, forbid_unknown_fields=True, kw_only=True):
    """An input item. One struct of all, because `type` may be left out of a message; `_checked` tells them apart."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | UnsetType = UNSET
    content: str | list[InputText | InputImage | InputFile | OutputText | Refusal] | UnsetType | None = UNSET
    id: str | UnsetType = UNSET
    status: Literal["in_progress", "completed", "incomplete"] | UnsetType | None = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    output: str | list[InputText | InputImage | InputFile] | UnsetType = UNSET
    summary: list[dict[str, str]] | UnsetType = UNSET
    encrypted_content: str | UnsetType | None = UNSET


_TAKES = {
    "message": ({"role", "content"}, {"id", "status"}),
    "function_call": ({"call_id", "name", "arguments"}, {"id", "status", "namespace"}),
    "function_call_output": ({"call_id", "output"}, {"id", "status"}),
    "reasoning": ({"summary"}, {"id", "status", "content", "encrypted_content"}),
}


class SearchTool(Struct, forbid_unknown_fields=True, tag_field="type", tag="web_search"):
    filters: dict[str, Any] | UnsetType = UNSET
    external_web_access: bool | UnsetType = UNSET


class FunctionTool(Struct, forbid_unknown_fields=True, tag_field="type", tag="function"):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    parameters: dict[str, Any] | None | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


class Namespace(Struct, forbid_unknown_fields=True, tag_field="type", tag="namespace"):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    tools: list[FunctionTool]
    description: str


class Named(Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    name: str


class Format(Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    name: str | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET


class TextConfig(Struct, forbid_unknown_fields=True):
    format: Format | UnsetType = UNSET
    verbosity: Literal["low", "medium", "high"] | None | UnsetType = UNSET


class Reasoning(Struct, forbid_unknown_fields=True):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None | UnsetType = UNSET
    summary: Literal["auto", "concise", "detailed"] | None | UnsetType = UNSET


class Create(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a response."""

    model: str
    input: str | list[Item]
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None
    instructions: str | None = None
    include: list[str] | None = None
    client_metadata: dict[str, str] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | UnsetType = UNSET
    prompt_cache_retention: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | UnsetType = UNSET
    service_tier: str | None = None
    store: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: TextConfig | UnsetType = UNSET
    tool_choice: Literal["none", "auto", "required"] | Named | UnsetType = UNSET
    tools: list[FunctionTool | SearchTool | Namespace] | UnsetType = UNSET
    top_logprobs: int | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | UnsetType = UNSET


class Responses(chat.OpenAI):
    """`POST /v1/responses`."""

    def hear(self, heard: Heard) -> Asked:
        self.authorise(heard)
        body = common.read(heard.body, Create)
        require(body.previous_response_id is None, "Previous response not found.", "previous_response_id")
        asked = Asked(model=body.model, stream=bool(body.stream), prompt=1 + words(body.instructions), thinks=True)
        asked.cap = body.max_output_tokens
        asked.shows = bool(body.reasoning and body.reasoning.summary)
        asked.hidden = "reasoning.encrypted_content" in (body.include or ())
        if isinstance(body.input, str):
            asked.prompt += words(body.input)
        else:
            _items(body.input, asked)
        if body.tool_choice != "none":
            asked.tools = {it.name: it.parameters or {} for it in body.tools or () if isinstance(it, FunctionTool)}
        if isinstance(body.tool_choice, Named):
            require(body.tool_choice.name in asked.tools, "Tool choice not found in 'tools'.", "tool_choice")
            asked.forced = body.tool_choice.name
        if body.text and body.text.format and body.text.format.type == "json_schema":
            require(
                body.text.format.name and body.text.format.schema is not UNSET, "Missing name or schema", "text.format"
            )
            asked.schema = body.text.format.schema
        return asked

    def speak(self, said: Said, heard: Heard) -> Reply:
        if said.asked.stream:
            return _Stream(said, heard).reply()
        return said.whole(_response(said, heard, _output(said, heard), _status(said)))


def _items(items: list[Item], asked: Asked) -> None:
    calls: set[str] = set()
    for place, item in enumerate(items):
        where = f"input[{place}]"
        needed, allowed = _TAKES[item.type]
        given = {name for name in item.__struct_fields__ if name != "type" and getattr(item, name) is not UNSET}
        require(needed <= given, f"Missing required parameter: '{where}.{min(needed - given, default='')}'.", where)
        extra = given - needed - allowed
        require(not extra, f"Unknown parameter: '{where}.{min(extra, default='')}'.", where)
        if item.type == "function_call":
            calls.add(str(item.call_id))
        if item.type == "function_call_output":
            text = f"No tool call found for function call output with call_id {item.call_id}."
            require(item.call_id in calls, text, "input")
            calls.discard(str(item.call_id))
        if item.type == "reasoning" and item.encrypted_content:
            require(common.is_sealed(item.encrypted_content), "The encrypted content could not be verified.", where)
        parts = item.content if isinstance(item.content, list) else item.output if isinstance(item.output, list) else []
        texts = [text for text in (item.content, item.output) if isinstance(text, str)]
        for part in parts:
            theirs = isinstance(part, OutputText | Refusal)
            require(theirs == (item.role == "assistant"), f"Invalid value: '{where}.content': not of this role", where)
            if isinstance(part, InputText | OutputText):
                texts.append(part.text)
            elif isinstance(part, InputImage) and part.image_url:
                asked.images.append(chat.sight(part.image_url))
        asked.prompt += 1 + words(*texts)
        asked.results = [*asked.results, " ".join(texts)] if item.type == "function_call_output" else []
    require(not calls, f"No tool output found for function call {min(calls, default='')}.", "input")


def _status(said: Said) -> str:
    return "incomplete" if said.finish in {"length", "content_filter"} else "completed"


def _usage(said: Said) -> dict[str, Any]:
    script = said.script
    return {
        "input_tokens": said.prompt,
        "input_tokens_details": {
            "cached_tokens": script.cached_tokens,
            "cache_write_tokens": script.cache_write_tokens,
        },
        "output_tokens": said.tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning},
        "total_tokens": said.prompt + said.tokens,
    }


def _response(said: Said, heard: Heard, output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(said.finish)
    done = status in {"completed", "incomplete"}
    failed = {"code": "server_error", "message": "The model produced an error."} if status == "failed" else None
    return {
        "id": f"resp_{heard.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": failed,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": said.asked.cap,
        "metadata": {},
        "model": said.script.model or said.asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(said) if done else None,
        "user": None,
    }


def _output(said: Said, heard: Heard) -> list[dict[str, Any]]:
    return [_item(block, index, heard) for index, block in enumerate(_shown(said))]


def _shown(said: Said) -> list[Block]:
    """Reasoning is one item, whatever of it is shown."""
    shown = [block for block in said.blocks if block.kind != "redacted"]
    if said.asked.hidden and said.script.redacted and not any(block.kind == "thinking" for block in shown):
        shown.insert(0, Block("thinking", []))
    return shown


def _item(block: Block, index: int, heard: Heard) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            summary = [{"type": "summary_text", "text": block.text}] if block.text else []
            item = {"id": f"rs_{heard.id}_{index}", "type": "reasoning", "summary": summary}
            if b"reasoning.encrypted_content" in heard.body:
                item["encrypted_content"] = common.sealed(block.text)
            return item
        case "tool":
            name = {"call_id": f"call_{block.id}", "name": block.name, "arguments": block.text}
            return {"id": f"fc_{block.id}", "type": "function_call", "status": "completed", **name}
        case _:
            head = {"id": f"msg_{heard.id}_{index}", "type": "message", "status": "completed", "role": "assistant"}
            return {**head, "content": [_part(block)]}


def _part(block: Block, text: str | None = None) -> dict[str, Any]:
    said = block.text if text is None else text
    if block.kind == "refusal":
        return {"type": "refusal", "refusal": said}
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


class _Stream:
    """The events of one response, numbered."""

    def __init__(self, said: Said, heard: Heard) -> None:
        self.said, self.heard, self.number = said, heard, -1

    def reply(self) -> Reply:
        head = {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
        return self.said.stream(self._events(), sse({**head, "sequence_number": 99}, "error"))

    def _event(self, kind: str, tokens: int = 0, *, content: bool = False, **members: Any) -> Piece:
        self.number += 1
        value = {"type": f"response.{kind}", "sequence_number": self.number, **members}
        return sse(value, f"response.{kind}", tokens, content=content)

    def _events(self) -> Iterator[Piece]:
        said, heard = self.said, self.heard
        for kind in ("created", "in_progress"):
            yield self._event(kind, response=_response(said, heard, [], "in_progress"))
        for index, block in enumerate(_shown(said)):
            yield from self._item(index, block)
        status = _status(said)
        yield self._event(status, response=_response(said, heard, _output(said, heard), status))

    def _item(self, index: int, block: Block) -> Iterator[Piece]:
        item = _item(block, index, self.heard)
        opened = {**item, "status": "in_progress"} if "status" in item else {**item}
        opened |= {name: type(item[name])() for name in ("content", "summary", "arguments") if name in item}
        yield self._event("output_item.added", output_index=index, item=opened)
        at = {"item_id": item["id"], "output_index": index}
        match block.kind:
            case "thinking":
                yield from self._summary(block, at)
            case "tool":
                for text, tokens in block.pieces:
                    yield self._event("function_call_arguments.delta", tokens, content=True, **at, delta=text)
                yield self._event("function_call_arguments.done", **at, arguments=block.text, name=block.name)
            case _:
                name, member = ("refusal", "refusal") if block.kind == "refusal" else ("output_text", "text")
                more = {} if block.kind == "refusal" else {"logprobs": []}
                yield self._event("content_part.added", **at, content_index=0, part=_part(block, ""))
                for text, tokens in block.pieces:
                    delta = {"content_index": 0, "delta": text, **more}
                    yield self._event(f"{name}.delta", tokens, content=True, **at, **delta)
                yield self._event(f"{name}.done", **at, content_index=0, **{member: block.text}, **more)
                yield self._event("content_part.done", **at, content_index=0, part=_part(block))
        yield self._event("output_item.done", output_index=index, item=item)

    def _summary(self, block: Block, at: dict[str, Any]) -> Iterator[Piece]:
        if not block.text:
            for _, tokens in block.pieces:
                yield Piece(b"", tokens)  # thought, billed, not shown
            return
        part = {"type": "summary_text", "text": ""}
        yield self._event("reasoning_summary_part.added", **at, summary_index=0, part=part)
        for text, tokens in block.pieces:
            yield self._event("reasoning_summary_text.delta", tokens, content=True, **at, summary_index=0, delta=text)
        yield self._event("reasoning_summary_text.done", **at, summary_index=0, text=block.text)
        yield self._event("reasoning_summary_part.done", **at, summary_index=0, part={**part, "text": block.text})
