"""Converse's output as a canonical answer.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (response), …/API_runtime_TokenUsage.html.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault
from switchgear.contracts.usage import CACHE_WRITE_1H, CACHE_WRITE_5M, Usage, believable
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import completion
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.texts import NULL
from switchgear.wire.usage import read_counts
from switchgear_plugins.bedrock.faults import REQUEST_ID, protocol_fault

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
}
_MALFORMED = {
    "malformed_model_output": "The model's output was malformed.",
    "malformed_tool_use": "The model called a tool in a malformed way.",
}


RUN_THERE = "server_tool_use"
"""The `type` of the use of a tool that the provider runs itself. Others say what kind of call it is, or nothing."""
CLAUDE = "anthropic-claude-v1"
"""The `format` of reasoning that Claude signed, the same at whoever hosts it."""
_KEPT = {"5m": CACHE_WRITE_5M, "1h": CACHE_WRITE_1H}


class _CacheDetail(Struct, rename="camel"):
    """Tokens that were written into a cache, and for how long."""

    input_tokens: int = 0
    ttl: str = ""


class TokenUsage(Struct, rename="camel"):
    """What a call consumed. `inputTokens` are those that were neither read from a cache nor written to one."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None

    def usage(self) -> Usage | None:
        """Return it as the gateway counts; None if it cannot be true."""
        read, written = self.cache_read_input_tokens or 0, self.cache_write_input_tokens or 0
        kept = {CACHE_WRITE_5M: 0, CACHE_WRITE_1H: 0}
        for detail in self.cache_details or ():
            unit = _KEPT.get(detail.ttl)
            if unit is not None:
                kept[unit] += detail.input_tokens
        told = sum(kept.values())
        if not believable(self.input_tokens, read, written, *kept.values()):
            return None
        written = max(written, told)
        return Usage.of(
            self.input_tokens + read + written,
            self.output_tokens,
            cached_input=read,
            **kept,
            cache_write=written - told,
        )


_usage_decoder = msgspec.json.Decoder(TokenUsage)


def read_usage(raw: Raw) -> Usage | None:
    """Read what a call consumed; None where nothing is told."""
    found = None if raw == NULL else read_counts(_usage_decoder, raw)
    return None if found is None else found.usage()


class _ReasoningText(Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _ToolUse(Struct, rename="camel"):
    name: str
    tool_use_id: str | None = None
    input: Raw = Raw(b"{}")
    type: str | None = None


class _Cited(Struct):
    text: str = ""


class _Citations(Struct):
    content: list[_Cited] = []


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(Struct):
    content: list[_Block] = []


class _Output(Struct):
    message: _Message


class _Converse(Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: Raw = NULL


class _Count(Struct, rename="camel"):
    input_tokens: int


_converse_decoder = msgspec.json.Decoder(_Converse)
_count_decoder = msgspec.json.Decoder(_Count)


def finish_reason(stop_reason: str | None, head: Head, *, called: bool) -> str:
    """Return the canonical reason; `called` says whether tools were called. Raises `ProviderFault` for malformed output."""
    if stop_reason in _MALFORMED:
        raise ProviderFault(
            "server", 200, message=_MALFORMED[stop_reason], code=stop_reason, request_id=head.header(REQUEST_ID)
        )
    reason = _FINISH.get(stop_reason or "", "stop")
    if reason in ("stop", "tool_calls"):
        # A tool the provider runs itself also ends in `tool_use`; some models call tools and end in `end_turn`.
        return "tool_calls" if called else "stop"
    return reason


def answer_id(head: Head) -> str:
    """Return the id of an answer: Converse gives none but the request's."""
    return f"chatcmpl-{head.header(REQUEST_ID) or 'bedrock'}"


def decode_answer(call: Call, head: Head, body: bytes, created: int) -> Answer:
    """Read a whole answer; `created` is seconds. Raises `ProviderFault`."""
    try:
        found = decode_text(_converse_decoder, body)
    except BROKEN:
        raise protocol_fault(head) from None
    message, called = _message(found.output.message.content, call.aliases)
    return completion(
        id=answer_id(head),
        created=created,
        model=call.model,
        message=message,
        finish_reason=finish_reason(found.stop_reason, head, called=called),
        usage=read_usage(found.usage),
    )


def _message(blocks: list[_Block], aliases: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Return what the blocks say as a canonical message, and whether tools are called."""
    text: list[str] = []
    thought: list[str] = []
    details: list[ReasoningDetail] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        if block.text is not None:
            text.append(block.text)
        elif block.citations_content is not None:
            text += [part.text for part in block.citations_content.content]
        elif block.tool_use is not None and block.tool_use.type != RUN_THERE:
            name = aliases.get(block.tool_use.name, block.tool_use.name)
            function = {"name": name, "arguments": bytes(block.tool_use.input).decode()}
            calls.append({"id": block.tool_use.tool_use_id or "", "type": "function", "function": function})
        elif block.reasoning_content is not None:
            behind = calls[-1]["id"] if calls else None
            _read_reasoning(block.reasoning_content, thought, details, behind)
    message: dict[str, Any] = {"content": "".join(text) if text else None}
    if thought:
        message["reasoning_content"] = "".join(thought)
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    return message, bool(calls)


def decode_count(head: Head, body: bytes) -> Answer:
    """Read the answer of CountTokens. Raises `ProviderFault`."""
    try:
        count = _count_decoder.decode(body).input_tokens
    except (msgspec.DecodeError, RecursionError):
        raise protocol_fault(head) from None
    if not believable(count):
        raise protocol_fault(head)
    return Answer(b'{"input_tokens":%d}' % count)


def _read_reasoning(block: _Reasoning, thought: list[str], details: list[ReasoningDetail], behind: str | None) -> None:
    said = block.reasoning_text
    if said is not None:
        if said.text:
            thought.append(said.text)
        if said.signature:
            details.append(signed(said.text or "", said.signature, behind))
    if block.redacted_content:
        details.append(redacted(block.redacted_content, behind))


def signed(text: str, signature: str, behind: str | None) -> ReasoningDetail:
    """Keep signed reasoning, and which call it came `behind`. Only Claude signs here, as it does everywhere."""
    return ReasoningDetail("reasoning.text", text=text, signature=signature, id=behind, format=CLAUDE)


def redacted(data: str, behind: str | None) -> ReasoningDetail:
    """Keep encrypted reasoning, likewise."""
    return ReasoningDetail("reasoning.encrypted", data=data, id=behind, format=CLAUDE)
