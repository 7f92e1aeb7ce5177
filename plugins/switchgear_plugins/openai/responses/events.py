"""The events of one stream, numbered, and of each kind of output item from `added` to `done`.

Wire: developers.openai.com/api/reference/resources/responses/streaming-events.
"""

from typing import Any

import msgspec

from switchgear.errors import ApiError
from switchgear.wire.braces import Braces
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import ToolCallDelta
from switchgear.wire.sse import encode_event
from switchgear_plugins.openai.logprobs import TokenLogprob
from switchgear_plugins.openai.responses.answer import (
    call_item,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
    with_bytes,
)
from switchgear_plugins.openai.responses.toolbox import CUSTOM, FUNCTION, Origin

_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Numbers and frames events."""

    __slots__ = ("_next",)

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def event(self, type: str, **members: Any) -> bytes:
        """Frame one event."""
        body = _encode({"type": type, "sequence_number": self._next, **members})
        self._next += 1
        return encode_event(body, type.encode())

    def delta(self, name: bytes, frame: bytes, piece: str) -> bytes:
        """Frame one piece of something; `frame` is the event's JSON but for its number, its delta and the closing brace."""
        body = b'%b,"sequence_number":%d,"delta":%b}' % (frame, self._next, _encode(piece))
        self._next += 1
        return b"event: %b\n%b" % (name, encode_event(body))  # the name is ours: it needs no check

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame an error: flat as documented, and nested as OpenAI's servers send it and its SDK raises it."""
        said = {"code": error.code, "message": error.message, "param": error.param}
        return self.event("error", **said, error={"type": error.type, **said}, request_id=request_id)


class MessageItem:
    """A message being said: parts of text and of refusal, one after the other."""

    def __init__(self, writer: EventWriter, stem: str, place: int) -> None:
        self.place = place
        self.item: dict[str, Any] = {}
        self._writer = writer
        self._id = f"msg_{stem}{place:02x}"
        self._kind = ""
        self._parts: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._notes: list[dict[str, Any]] = []
        self._frame = b""

    def open(self) -> bytes:
        """Begin."""
        item = message_item(self._id, [], "in_progress")
        return self._writer.event("response.output_item.added", output_index=self.place, item=item)

    def text(self, piece: str, logprobs: list[TokenLogprob]) -> bytes:
        """Say a piece."""
        begun = b"" if self._kind == "output_text" else self._begin("output_text")
        self._pieces.append(piece)
        if not logprobs:
            return begun + self._writer.delta(b"response.output_text.delta", self._frame, piece)
        self._logprobs += with_bytes(logprobs)
        return begun + self._event("response.output_text.delta", delta=piece, logprobs=logprobs)

    def note(self, notes: list[dict[str, Any]]) -> bytes:
        """Cite the sources of what was said."""
        begun = b"" if self._kind == "output_text" else self._begin("output_text")
        told: list[bytes] = []
        for note in text_part("", [], notes)["annotations"]:
            place = len(self._notes) + len(told)
            told.append(self._event("response.output_text.annotation.added", annotation_index=place, annotation=note))
        self._notes += notes
        return begun + b"".join(told)

    def refusal(self, piece: str) -> bytes:
        """Say a piece of a refusal."""
        begun = b"" if self._kind == "refusal" else self._begin("refusal")
        self._pieces.append(piece)
        return begun + self._writer.delta(b"response.refusal.delta", self._frame, piece)

    def close(self, status: str) -> bytes:
        """End."""
        ended = self._end_part()
        self.item = message_item(self._id, self._parts, status)
        done = self._writer.event("response.output_item.done", output_index=self.place, item=self.item)
        return ended + done

    def _begin(self, kind: str) -> bytes:
        ended = self._end_part()
        self._kind = kind
        head = {"type": f"response.{kind}.delta", **self._where()}
        if kind == "output_text":
            head["logprobs"] = []
        self._frame = _encode(head)[:-1]
        part = text_part("", []) if kind == "output_text" else refusal_part("")
        return ended + self._event("response.content_part.added", part=part)

    def _end_part(self) -> bytes:
        if not self._kind:
            return b""
        text = "".join(self._pieces)
        if self._kind == "output_text":
            part = text_part(text, self._logprobs, self._notes)
            done = self._event("response.output_text.done", text=text, logprobs=self._logprobs)
        else:
            part = refusal_part(text)
            done = self._event("response.refusal.done", refusal=text)
        ended = done + self._event("response.content_part.done", part=part)
        self._parts.append(part)
        self._kind, self._pieces, self._logprobs, self._notes = "", [], [], []
        return ended

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": self.place, "content_index": len(self._parts)}

    def _event(self, type: str, **members: Any) -> bytes:
        return self._writer.event(type, **self._where(), **members)


class ReasoningItem:
    """Reasoning going on: shown as a summary, or as what it is, and with what must come back at its end."""

    def __init__(self, writer: EventWriter, stem: str, place: int, *, summarised: bool) -> None:
        self.place = place
        self.item: dict[str, Any] = {}
        self._writer = writer
        self._id = f"rs_{stem}{place:02x}"
        self._summarised = summarised
        self._pieces: list[str] = []
        self._details: list[ReasoningDetail] = []
        of, kind = ("summary", "reasoning_summary") if summarised else ("content", "reasoning")
        self._where: dict[str, Any] = {"item_id": self._id, "output_index": place, f"{of}_index": 0}
        self._part = "response.reasoning_summary_part" if summarised else "response.content_part"
        self._text = f"response.{kind}_text"
        self._name = f"{self._text}.delta".encode()
        self._frame = _encode({"type": f"{self._text}.delta", **self._where})[:-1]

    def open(self) -> bytes:
        """Begin."""
        item = reasoning_item(self._id, "", [], summarised=self._summarised)
        return self._writer.event("response.output_item.added", output_index=self.place, item=item)

    def think(self, piece: str) -> bytes:
        """Say a piece of it."""
        begun = b"" if self._pieces else self._writer.event(f"{self._part}.added", **self._where, part=self._shown(""))
        self._pieces.append(piece)
        return begun + self._writer.delta(self._name, self._frame, piece)

    def keep(self, details: list[ReasoningDetail]) -> None:
        """Keep what must come back."""
        self._details += details

    def close(self, status: str) -> bytes:  # noqa: ARG002 - reasoning has no status of its own
        """End."""
        text = "".join(self._pieces)
        ended = b""
        if self._pieces:
            ended = self._writer.event(f"{self._text}.done", **self._where, text=text)
            ended += self._writer.event(f"{self._part}.done", **self._where, part=self._shown(text))
        self.item = reasoning_item(self._id, text, self._details, summarised=self._summarised)
        return ended + self._writer.event("response.output_item.done", output_index=self.place, item=self.item)

    def _shown(self, text: str) -> dict[str, str]:
        return {"type": "summary_text" if self._summarised else "reasoning_text", "text": text}


class CallItem:
    """A tool being called. What a tool of free text is given is told once it is whole, since it comes as JSON."""

    def __init__(self, writer: EventWriter, stem: str, place: int, begun: ToolCallDelta, origin: Origin) -> None:
        self.place = place
        self.item: dict[str, Any] = {}
        self.braces = Braces()
        self._writer = writer
        self._stem = f"{stem}{place:02x}"
        self._call_id = begun.id or f"call_{self._stem}"
        self._origin = origin
        self._pieces: list[str] = []
        self._where: dict[str, Any] = {}
        self._frame = b""

    @property
    def named(self) -> bool:
        """Whether the tool's name is known."""
        return bool(self._origin.name)

    def name(self, origin: Origin) -> bytes:
        """Say which tool it is, where its name came late."""
        self._origin = origin
        return b""

    def open(self) -> bytes:
        """Begin."""
        item = call_item(self._stem, self._call_id, self._origin, "", "in_progress")
        self._where = {"item_id": item["id"], "output_index": self.place}
        self._frame = _encode({"type": "response.function_call_arguments.delta", **self._where})[:-1]
        return self._writer.event("response.output_item.added", output_index=self.place, item=item)

    def arguments(self, piece: str) -> bytes:
        """Go on with its arguments."""
        self._pieces.append(piece)
        if self._origin.kind != FUNCTION:
            return b""
        return self._writer.delta(b"response.function_call_arguments.delta", self._frame, piece)

    def close(self, status: str) -> bytes:
        """End."""
        arguments = "".join(self._pieces)
        self.item = call_item(self._stem, self._call_id, self._origin, arguments, status)
        done = b""
        if self._origin.kind == FUNCTION:
            said: dict[str, Any] = {"name": self._origin.name, "arguments": arguments}
            done = self._writer.event("response.function_call_arguments.done", **self._where, **said)
        elif self._origin.kind == CUSTOM:
            text = self.item["input"]
            if text:
                done = self._writer.event("response.custom_tool_call_input.delta", **self._where, delta=text)
            done += self._writer.event("response.custom_tool_call_input.done", **self._where, input=text)
        return done + self._writer.event("response.output_item.done", output_index=self.place, item=self.item)
