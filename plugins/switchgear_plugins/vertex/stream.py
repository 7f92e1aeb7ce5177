"""Gemini's streams (`streamGenerateContent?alt=sse`) as canonical chunks.

Wire: ai.google.dev/api/generate-content#method:-models.streamgeneratecontent. Each event is a whole response object with the
next parts; usage so far comes with every one of them; nothing marks the end but the candidates' finish reasons.
"""

from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.provider import Call, Head, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.event_decoder import EventDecoder
from switchgear.wire.members import BROKEN
from switchgear_plugins.vertex.answer import (
    CallIds,
    arguments,
    blocked,
    call_detail,
    cited,
    finish,
    image,
    logprobs,
    thought_detail,
)
from switchgear_plugins.vertex.faults import read_fault
from switchgear_plugins.vertex.wire import Candidate, Part, Response, read_response

_MOST_CANDIDATES = 128


class _Choice:
    """What was seen of one candidate."""

    __slots__ = ("calls", "finished", "images", "length", "notes", "said")

    def __init__(self) -> None:
        self.calls = 0
        self.images = 0
        self.length = 0
        self.notes: list[dict[str, Any]] = []
        self.said = False
        self.finished = False


class GeminiDecoder(EventDecoder):
    """Decodes one stream. Complete means: each of the `n` candidates asked for has given its finish reason."""

    __slots__ = ("_aliases", "_ambient", "_asked", "_choices", "_ids", "_usage", "_wanted", "_writer")

    def __init__(self, call: Call, head: Head, ambient: Ambient) -> None:
        super().__init__(head)
        self._ambient = ambient
        self._aliases = call.aliases
        self._ids = CallIds(ambient)
        self._asked = (call.member("n", int) or 1) if "n" in call.members else 1
        self._wanted = call.usage_wanted
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._writer: ChunkWriter | None = None

    def whole(self, body: bytes) -> list[bytes]:
        """Return the responses of a server that knows no events: it tells them in one list, or all as one."""
        try:
            found: Any = msgspec.json.decode(body)
        except BROKEN:
            return []
        told = found if isinstance(found, list) else [found]
        is_answer = any(isinstance(each, dict) and "candidates" in each for each in told)
        return [msgspec.json.encode(each) for each in told] if is_answer else []

    def misdelivered(self, body: bytes) -> ProviderFault:
        """Classify a failure that came instead of a stream, or a list of answers."""
        return read_fault(self.head, body.strip().removeprefix(b"["), status=200)

    def take(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Add the events of one response."""
        if (fault := self._take(payload, events)) is not None:
            raise fault

    def _take(self, payload: bytes, events: list[StreamEvent]) -> ProviderFault | None:
        """Add the events of one response; return what went wrong with it."""
        found = read_response(payload)
        if found is None:
            return ProviderFault("protocol", 200)
        if found.error:
            return read_fault(self.head, payload, status=200)
        usage = found.usage()
        if usage is not None:
            self._usage = usage if self._usage is None else self._usage.updated(usage)
        writer = self._writer
        if writer is None:
            writer = self._writer = self._begin(found)
        for candidate in found.candidates or ():
            fault = self._candidate(candidate, writer, events)
            if fault is not None:
                return fault
        if not self._choices:
            return blocked(found.prompt_feedback)
        if self.complete and self._usage is not None:
            events.append(writer.end(self._usage))
        return None

    def _begin(self, found: Response) -> ChunkWriter:
        return ChunkWriter(
            id=f"chatcmpl-{found.response_id or self._ambient.new_id()}",
            created=self._ambient.now_us() // 1_000_000,
            model=found.model_version or "",
            usage_wanted=self._wanted,
        )

    def _candidate(self, candidate: Candidate, writer: ChunkWriter, events: list[StreamEvent]) -> ProviderFault | None:
        index = candidate.index
        choice = self._choices.get(index)
        if choice is None:
            if not 0 <= index < _MOST_CANDIDATES:
                return ProviderFault("protocol", 200)
            choice = self._choices[index] = _Choice()
            events.append(writer.role(index))
        if candidate.content is not None:
            for part in candidate.content.said():
                self._part(part, choice, index, writer, events)
        if candidate.grounding_metadata is not None:
            choice.notes = cited(candidate.grounding_metadata, 0) or choice.notes
        if candidate.logprobs_result is not None:
            events.append(writer.logprobs(logprobs(candidate.logprobs_result), index))
        if not candidate.finish_reason or choice.finished:
            return None
        reason = finish(candidate, called=choice.calls > 0, said=choice.said)
        if isinstance(reason, ProviderFault):
            return reason
        choice.finished = True
        for note in choice.notes:
            note["url_citation"]["end_index"] = choice.length
            events.append(writer.annotation(note, index))
        ended = [each.finished for each in self._choices.values()]
        self.complete = all(ended) and len(ended) >= self._asked
        events.append(writer.finish(reason, index, terminal=self.complete))
        return None

    def _part(self, part: Part, choice: _Choice, index: int, writer: ChunkWriter, events: list[StreamEvent]) -> None:
        text, signature = part.text, part.thought_signature
        if part.function_call is not None:
            call = part.function_call
            id = self._ids.id(call)
            if signature:
                events.append(writer.reasoning_detail(call_detail(signature, id), index))
            name = self._aliases.get(call.called(), call.called())
            events.append(writer.tool_call(choice.calls, id, name, arguments(call), index))
            choice.calls += 1
        elif part.inline_data is not None:
            choice.said = True
            events.append(writer.image(image(part.inline_data, choice.images), index))
            choice.images += 1
        elif part.thought:
            if text:
                events.append(writer.reasoning(text, index))
            if signature:
                events.append(writer.reasoning_detail(thought_detail(text, signature), index))
        else:
            if text:
                choice.said = True
                choice.length += len(text)
                events.append(writer.text(text, index))
            if signature:
                events.append(writer.reasoning_detail(call_detail(signature, None), index))
