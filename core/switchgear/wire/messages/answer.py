"""Whole answers in the Messages form: read as they are, or translated into canonical ones.

Wire: docs.anthropic.com/en/api/messages and …/messages-count-tokens. Results of tools that the provider runs itself have no
canonical form: a client that wants them speaks the Messages form.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Head
from switchgear.contracts.usage import Usage
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import completion
from switchgear.wire.members import BROKEN, decode_text, whole_characters
from switchgear.wire.messages.faults import decode_fault
from switchgear.wire.messages.form import Block, Citation, StopDetails, finish_reason, read_tokens, stop_of
from switchgear.wire.messages.told import mended
from switchgear.wire.texts import first
from switchgear.wire.web_search import citation

T = TypeVar("T", bound=Struct)

_NULL = Raw(b"null")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Message(Struct, tag_field="type", tag="message"):
    """A whole answer."""

    content: list[Block] | None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: Raw = _NULL


class _Known(Struct, gc=False):
    """What clients of the form rely on in a block."""

    type: str = ""
    id: str | None = None
    text: str | None = ""
    input: Raw = Raw(b"{}")


class _Native(Struct, tag_field="type", tag="message"):
    """The same, with blocks that need not be understood."""

    content: list[_Known]
    model: str | None = None
    stop_reason: str | None = None
    usage: Raw = _NULL


class _Count(Struct):
    input_tokens: int


_message_decoder = msgspec.json.Decoder(Message)
_native_decoder = msgspec.json.Decoder(_Native)
_count_decoder = msgspec.json.Decoder(_Count)


def decode_native(body: bytes, head: Head, aliases: Mapping[str, str] = _NO_NAMES) -> Answer:
    """Read an answer for a client of the same form. Raises `ProviderFault`.

    `aliases` are the client's names of tools by those they have here.
    """
    found, body = _read_message(_native_decoder, body, head)
    called = [block for block in found.content if block.type == "tool_use"]
    if _is_odd(found, called):
        body = mended(body)
        found = _native_decoder.decode(body)
    if aliases:
        whole: dict[str, Any] = msgspec.json.decode(body)
        whole["content"] = [own_name(block, aliases) for block in whole.get("content") or ()]
        body = msgspec.json.encode(whole)
    stop = stop_of(found.stop_reason, called=bool(called))
    if stop != found.stop_reason:
        body = msgspec.json.encode({**msgspec.json.decode(body), "stop_reason": stop})
    return Answer(body, read_usage(found.usage), found.model, finish_reason(stop))


def _is_odd(found: _Native, called: list[_Known]) -> bool:
    return (
        found.stop_reason is None
        or any(block.text is None for block in found.content)
        or any(first(block.input) != b"{" for block in called)
        or len({block.id for block in called if block.id}) < len(called)
    )


def own_name(block: Any, aliases: Mapping[str, str]) -> Any:
    """Return a block in which a tool has the client's own name."""
    if isinstance(block, dict) and block.get("type") == "tool_use" and block.get("name") in aliases:
        return {**block, "name": aliases[block["name"]]}
    return block


def decode_count(body: bytes, head: Head) -> Answer:
    """Read a count of tokens, whose form is the canonical one too. Counting consumes nothing. Raises `ProviderFault`."""
    found = _read(_count_decoder, body, head)
    return Answer(b'{"input_tokens":%d}' % found.input_tokens, Usage())


def decode_message(body: bytes, head: Head, created: int, reasoning: str, aliases: Mapping[str, str]) -> Answer:
    """Translate an answer into a canonical one, `created` at these seconds. Raises `ProviderFault`.

    `reasoning` is the `format` its thinking gets, `aliases` are the client's names of tools by those they have here.
    """
    found, _ = _read_message(_message_decoder, body, head)
    return completion(
        id=found.id or "",
        created=created,
        model=found.model or "",
        message=_said(found, reasoning, aliases),
        finish_reason=finish_reason(found.stop_reason),
        usage=read_usage(found.usage),
    )


def read_usage(raw: Raw) -> Usage | None:
    """Decode a `usage` object of this form; None for null and for something that is not one."""
    counts = read_tokens(raw)
    return None if counts is None else counts.usage()


def thinking_detail(block: Block, tool_id: str | None, format: str) -> ReasoningDetail | None:
    """Return what must come back of a thinking block, None if there is nothing to prove it with.

    `tool_id` is the tool call it came behind: its place among them is part of what must come back.
    """
    if block.type == "redacted_thinking":
        return ReasoningDetail("reasoning.encrypted", data=block.data or "", id=tool_id, format=format)
    if not block.signature:
        return None
    text, signature = block.thinking or "", block.signature
    return ReasoningDetail("reasoning.text", text=text, signature=signature, id=tool_id, format=format)


def _read_message(decoder: msgspec.json.Decoder[T], body: bytes, head: Head) -> tuple[T, bytes]:
    try:
        return decode_text(decoder, body), body
    except BROKEN:
        pass
    try:
        body = mended(whole_characters(body))
        return decode_text(decoder, body), body
    except BROKEN:
        raise decode_fault(head.status, body, head) from None


def _read(decoder: msgspec.json.Decoder[T], body: bytes, head: Head) -> T:
    try:
        return decode_text(decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None


def _said(found: Message, reasoning: str, aliases: Mapping[str, str]) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[str] = []
    details: list[ReasoningDetail] = []
    calls: list[dict[str, Any]] = []
    for block in found.content or ():
        if block.type == "text":
            texts.append(block.text or "")
        elif block.type == "tool_use":
            name = block.name or ""
            function = {"name": aliases.get(name, name), "arguments": bytes(block.input).decode()}
            calls.append({"id": block.id or "", "type": "function", "function": function})
        elif block.type in ("thinking", "redacted_thinking"):
            thoughts.append(block.thinking or "")
            detail = thinking_detail(block, calls[-1]["id"] if calls else None, reasoning)
            if detail is not None:
                details.append(detail)
    refusal = found.stop_details.explanation if found.stop_details is not None else None
    said: dict[str, Any] = {"content": "".join(texts) if texts else None, **_notes(found)}
    if found.stop_reason == "refusal" and refusal:
        said["refusal"] = refusal
    if "".join(thoughts):
        said["reasoning_content"] = "".join(thoughts)
    if details:
        said["reasoning_details"] = details
    if calls:
        said["tool_calls"] = calls
    return said


def _notes(found: Message) -> dict[str, Any]:
    notes: list[dict[str, Any]] = []
    before = 0
    for block in found.content or ():
        if block.type == "text":
            notes += cited(block.citations or (), before, len(block.text or ""))
            before += len(block.text or "")
    return {"annotations": notes} if notes else {}


def cited(citations: Iterable[Citation], before: int, length: int) -> list[dict[str, Any]]:
    """Write the citations of a text of a `length`, `before` which as many characters were said, as a chat has them."""
    pages = dict.fromkeys((it.url, it.title or "") for it in citations if it.url)
    return [citation(str(url), title, before, before + length) for url, title in pages]
