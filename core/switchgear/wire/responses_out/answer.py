"""A response as a chat completion. Wire: developers.openai.com/api/reference/resources/responses/object."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Head, ProviderFault
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import completion
from switchgear.wire.members import BROKEN
from switchgear.wire.responses import decode_response
from switchgear.wire.responses_out.items import FORMAT

_LOOKS = re.compile(rb'"object"\s*:\s*"response"')
_CALLS = ("function_call", "custom_tool_call")


class Said(Struct):
    """A part of a message or of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[Raw] | None = None


class OutputItem(Struct):
    """An output item: the members of all the types that a chat can show."""

    type: str = ""
    id: str | None = None
    content: list[Said] | None = None
    summary: list[Said] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class Made(Struct):
    """A response, as far as a completion is made of it."""

    id: str = ""
    created_at: float | None = None
    model: str | None = None
    output: list[OutputItem] | None = None
    object: str | None = None


_decoder = msgspec.json.Decoder(Made)


class _Kind(Struct):
    object: str | None = None


_kind = msgspec.json.Decoder(_Kind)


def is_response(body: bytes) -> bool:
    """Say whether an answer is a response rather than a completion."""
    if body.find(b'"response"') < 0 or _LOOKS.search(body) is None:
        return False
    try:
        return _kind.decode(body).object == "response"
    except BROKEN:
        return False


def tell_answer(body: bytes, head: Head) -> Answer:
    """Read a whole response as a completion. Raises `ProviderFault` as `decode_response` does."""
    found = decode_response(body, head)
    try:
        made = _decoder.decode(found.body)
    except BROKEN:
        raise ProviderFault("protocol", head.status) from None
    message = _Message()
    for item in made.output or ():
        message.add(item)
    reason = found.finish_reason or "stop"
    return completion(
        id=made.id,
        created=int(made.created_at or 0),
        model=made.model or "",
        message=message.members(),
        finish_reason=reason,
        usage=found.usage,
        logprobs={"content": message.logprobs, "refusal": None} if message.logprobs else None,
    )


class _Message:
    """What an assistant said, put together from items."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.thoughts: list[str] = []
        self.details: list[ReasoningDetail] = []
        self.calls: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.logprobs: list[Raw] = []

    def add(self, item: OutputItem) -> None:
        """Add an item; those that a chat cannot show say nothing."""
        if item.type == "message":
            for part in item.content or ():
                self.notes += annotations(part.annotations or (), sum(map(len, self.texts)))
                self.texts += [part.text] if part.text else []
                self.refusals += [part.refusal] if part.refusal else []
                self.logprobs += part.logprobs or ()
        elif item.type == "reasoning":
            self.thoughts += [part.text for part in item.summary or item.content or () if part.text]
            self.details += reasoning_details(item)
        elif item.type in _CALLS:
            self.calls.append(tool_call(item, len(self.calls)))

    def members(self) -> dict[str, Any]:
        """Return the message's members, without those that are empty."""
        said: dict[str, Any] = {
            "refusal": "".join(self.refusals),
            "reasoning_content": "\n\n".join(self.thoughts),
            "reasoning_details": self.details,
            "tool_calls": self.calls,
            "annotations": self.notes,
        }
        kept = {name: value for name, value in said.items() if value}
        return {"content": "".join(self.texts) if self.texts else None, **kept}


def tool_call(item: OutputItem, place: int) -> dict[str, Any]:
    """Make a chat's tool call of an item."""
    id = item.call_id or item.id or f"call_{place}"
    if item.type == "custom_tool_call":
        return {"id": id, "type": "custom", "custom": {"name": item.name or "", "input": item.input or ""}}
    return {"id": id, "type": "function", "function": {"name": item.name or "", "arguments": item.arguments or ""}}


def reasoning_details(item: OutputItem) -> list[ReasoningDetail]:
    """Return what of a reasoning item must come back; nothing where the provider gave nothing to give back."""
    if item.encrypted_content is None:
        return []
    told = [
        ReasoningDetail("reasoning.summary", summary=part.text, id=item.id, format=FORMAT)
        for part in item.summary or ()
        if part.text
    ]
    return [*told, ReasoningDetail("reasoning.encrypted", data=item.encrypted_content, id=item.id, format=FORMAT)]


def annotations(given: Iterable[dict[str, Any]], before: int) -> list[dict[str, Any]]:
    """Write the citations of a part that begins `before` characters into the text as a chat has them."""
    found = []
    for note in given:
        if note.get("type") == "url_citation":
            inner: dict[str, Any] = {name: note[name] for name in ("url", "title") if name in note}
            places: dict[str, Any] = {
                n: note[n] + before for n in ("start_index", "end_index") if isinstance(note.get(n), int)
            }
            found.append({"type": "url_citation", "url_citation": {**places, **inner}})
    return found
