"""What a vendor's answer says, written in the canonical form: whole, or as the chunks of a stream, by the same calls."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Answer, Call, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chunks import ChunkWriter, completion

_FINISHED = frozenset({"stop", "length", "tool_calls", "content_filter"})
_EMPTY = (b"", b"null")


class AnswerWriter(ABC):
    """Takes what one answer says, in order. None and empty texts say nothing.

    id, created, model  how the answer is called, second it was made, model that made it: set them before the first text where
                        the vendor tells; else they are made up, now, and the name that the client used
    finish_reasons      the canonical reason (`stop`, `length`, `tool_calls`, `content_filter`) by the vendor's own; one that
                        is in neither means `stop`. An answer that calls tools and just stops has finished with `tool_calls`
    """

    def __init__(self, call: Call, id: str, created: int, finish_reasons: Mapping[str, str]) -> None:
        self.id = id
        self.created = created
        self.model = call.model
        self.consumed: Usage | None = None
        self._aliases = call.aliases
        self._finish_reasons = finish_reasons
        self._calls: list[str] = []  # what is known of the arguments of each

    @abstractmethod
    def text(self, text: str | None) -> None:
        """Say a piece of the answer."""

    @abstractmethod
    def reasoning(self, text: str | None) -> None:
        """Say a piece of what the model thought."""

    @abstractmethod
    def refusal(self, text: str | None) -> None:
        """Say a piece of a refusal."""

    @abstractmethod
    def finish(self, reason: str | None) -> None:
        """End the answer, for the vendor's own reason; None ends nothing."""

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether nothing was said yet."""

    def tool_call(self, name: str, arguments: Raw | str = "", id: str | None = None) -> None:
        """Begin a tool call. `arguments` are an object, as the vendor wrote it, or JSON text of the model's, which is not read.

        What more there is of the text follows by `arguments`. Without an `id` of the vendor's, one is made.
        """
        self._close_call()
        text = _text(arguments)
        self._calls.append(text)
        made = f"call-{self.id.removeprefix('chatcmpl-')}-{len(self._calls) - 1}"
        self._begin_call(id or made, self._aliases.get(name, name), text)

    def arguments(self, piece: str | None) -> None:
        """Go on with the arguments of the last tool call. Raises `ProviderFault` (`protocol`) where none has begun."""
        if not piece:
            return
        if not self._calls:
            raise ProviderFault("protocol", 200)
        self._calls[-1] += piece
        self._more_arguments(piece)

    def usage(self, usage: Usage | None) -> None:
        """Say what was consumed so far; a later word replaces it."""
        self.consumed = usage or self.consumed

    @abstractmethod
    def _begin_call(self, id: str, name: str, arguments: str) -> None: ...

    @abstractmethod
    def _more_arguments(self, piece: str) -> None: ...

    def _close_call(self) -> None:
        """Give a call without arguments those of an empty object, which is what clients parse."""
        if self._calls and not self._calls[-1]:
            self.arguments("{}")

    def _reason(self, reason: str) -> str:
        found = self._finish_reasons.get(reason) or (reason if reason in _FINISHED else "stop")
        return "tool_calls" if self._calls and found == "stop" else found


class WholeWriter(AnswerWriter):
    """Gathers a whole answer."""

    def __init__(self, call: Call, id: str, created: int, finish_reasons: Mapping[str, str]) -> None:
        super().__init__(call, id, created, finish_reasons)
        self._said = {"content": "", "reasoning_content": "", "refusal": ""}
        self._tools: list[tuple[str, str]] = []  # id and name of each
        self._finished: str | None = None

    def text(self, text: str | None) -> None:
        """Say a piece of the answer."""
        self._said["content"] += text or ""

    def reasoning(self, text: str | None) -> None:
        """Say a piece of what the model thought."""
        self._said["reasoning_content"] += text or ""

    def refusal(self, text: str | None) -> None:
        """Say a piece of a refusal."""
        self._said["refusal"] += text or ""

    def finish(self, reason: str | None) -> None:
        """End the answer."""
        self._finished = reason or self._finished

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet."""
        return not (self._tools or self._finished or any(self._said.values()))

    def answer(self) -> Answer:
        """Return the answer."""
        self._close_call()
        message: dict[str, Any] = {name: text for name, text in self._said.items() if text}
        if self._tools:
            message["tool_calls"] = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for (id, name), arguments in zip(self._tools, self._calls, strict=True)
            ]
        elif not message:
            message["content"] = ""
        return completion(
            id=self.id,
            created=self.created,
            model=self.model,
            message=message,
            finish_reason=self._reason(self._finished or "stop"),
            usage=self.consumed,
        )

    def _begin_call(self, id: str, name: str, arguments: str) -> None:  # noqa: ARG002 - they are in `_calls`
        self._tools.append((id, name))

    def _more_arguments(self, piece: str) -> None:
        pass


class StreamWriter(AnswerWriter):
    """Writes chunks into `events`. `complete` says whether the answer has ended.

    The usage is told once the answer has ended and it is known.
    """

    def __init__(self, call: Call, id: str, created: int, finish_reasons: Mapping[str, str]) -> None:
        super().__init__(call, id, created, finish_reasons)
        self.events: list[StreamEvent] = []
        self.complete = False
        self._usage_wanted = call.usage_wanted
        self._chunks: ChunkWriter | None = None
        self._told = False

    @property
    def _writer(self) -> ChunkWriter:
        if self._chunks is None:
            self._chunks = ChunkWriter(
                id=self.id, created=self.created, model=self.model, usage_wanted=self._usage_wanted
            )
            self.events.append(self._chunks.role())
        return self._chunks

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet."""
        return self._chunks is None

    def text(self, text: str | None) -> None:
        """Say a piece of the answer."""
        if text:
            self.events.append(self._writer.text(text))

    def reasoning(self, text: str | None) -> None:
        """Say a piece of what the model thought."""
        if text:
            self.events.append(self._writer.reasoning(text))

    def refusal(self, text: str | None) -> None:
        """Say a piece of a refusal."""
        if text:
            self.events.append(self._writer.refusal(text))

    def finish(self, reason: str | None) -> None:
        """End the answer."""
        if reason and not self.complete:
            self._close_call()
            self.events.append(self._writer.finish(self._reason(reason)))
            self.complete = True

    def take(self) -> list[StreamEvent]:
        """Return the events since the last time, with the usage if that is known and the answer has ended."""
        if self.complete and self.consumed is not None and not self._told:
            self._told = True
            end = self._writer.end(self.consumed)
            self.events.append(StreamEvent(end.data, terminal=True, usage=end.usage))
        events, self.events = self.events, []
        return events

    def _begin_call(self, id: str, name: str, arguments: str) -> None:
        self.events.append(self._writer.tool_call(len(self._calls) - 1, id, name, arguments))

    def _more_arguments(self, piece: str) -> None:
        self.events.append(self._writer.arguments(len(self._calls) - 1, piece))


def _text(arguments: Raw | str) -> str:
    """Return arguments as JSON text; of an object, that is the object as it came, of a text, the text."""
    if isinstance(arguments, str):
        return arguments
    data = bytes(arguments)
    if data in _EMPTY:
        return ""
    try:
        return msgspec.json.decode(data, type=str) if data[:1] == b'"' else data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProviderFault("protocol", 200) from None
