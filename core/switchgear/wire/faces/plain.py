"""Calls whose prompt is a text or several: legacy completions and embeddings. Each text is a turn of the user's."""

from collections.abc import Sequence

from msgspec import Raw

from switchgear.contracts.conversation import (
    Opaque,
    Part,
    ResponseFormat,
    Sources,
    Text,
    Tool,
    ToolChoice,
    Turn,
)
from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.base import BaseFace
from switchgear.wire.faces.common import put
from switchgear.wire.texts import NULL, first, items_of, text_of, write

_SAMPLING = {
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "stop": ("stop",),
    "seed": ("seed",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
}


class PlainFace(BaseFace):
    """The `Face` of calls whose text is in `member`, and in others `beside` it. Tokens in the place of a text are opaque.

    Where instructions are taken, they are put before each text.
    """

    sampling = _SAMPLING

    def __init__(self, wire: str, member: str, *beside: str, takes_instructions: bool) -> None:
        self.wire = wire
        self.takes_instructions = takes_instructions
        self._member = member
        self._beside = beside

    def read_turns(self, call: Call, sources: Sources) -> tuple[Turn, ...]:
        """Read the texts."""
        value = call.members.get(self._member, NULL)
        is_list = first(value) == b"[" and first(next(iter(items_of(value)), NULL)) in (b'"', b"[")
        texts = items_of(value) if is_list else [] if value == NULL else [value]
        turns = [self._read(raw, sources, "item" if is_list else self._member) for raw in texts]
        beside = [name for name in self._beside if text_of(call.members.get(name)) is not None]
        return (*turns, *(self._read(call.members[name], sources, name) for name in beside))

    def write_turns(self, call: Call, turns: Sequence[Turn], sources: Sources) -> None:
        """Write the texts, those that the system says before each of the others."""
        places = [(turn, source.place if (source := sources.of(turn)) is not None else "") for turn in turns]
        before = "".join(_text(turn) + "\n\n" for turn in turns if turn.role in {"system", "developer"})
        said: list[Raw] = []
        is_list = False
        for turn, place in places:
            if place in self._beside:
                if sources.unchanged(turn) is None:
                    put(call, place, _text(turn))
            elif turn.role not in {"system", "developer"}:
                is_list = is_list or place == "item"
                unchanged = sources.unchanged(turn)
                said.append(unchanged if unchanged is not None and not before else write(before + _text(turn)))
        for name in self._beside:
            if text_of(call.members.get(name)) is not None and name not in {place for _, place in places}:
                put(call, name, None)
        value = call.members.get(self._member, NULL)
        if len(said) == 1 and not is_list:
            if said[0] != value:
                put(call, self._member, said[0])
        elif said != items_of(value):
            put(call, self._member, said)

    def read_tools(self, call: Call, sources: Sources) -> tuple[Tool, ...]:  # noqa: ARG002 - the contract's shape
        """Return none."""
        return ()

    def write_tools(self, call: Call, tools: Sequence[Tool], sources: Sources) -> None:  # noqa: ARG002 - the contract's shape
        """Raise ValueError for any."""
        if tools:
            message = f"the wire `{self.wire}` has no tools"
            raise ValueError(message)

    def read_choice(self, call: Call) -> ToolChoice:  # noqa: ARG002 - the contract's shape
        """Return none."""
        return ToolChoice()

    def write_choice(self, call: Call, choice: ToolChoice) -> None:  # noqa: ARG002 - the contract's shape
        """Raise ValueError for any."""
        message = f"the wire `{self.wire}` has no tools"
        raise ValueError(message)

    def read_format(self, call: Call) -> ResponseFormat:  # noqa: ARG002 - the contract's shape
        """Return that of a text."""
        return ResponseFormat()

    def write_format(self, call: Call, format: ResponseFormat) -> None:  # noqa: ARG002 - the contract's shape
        """Raise ValueError for any other."""
        message = f"the wire `{self.wire}` has no formats"
        raise ValueError(message)

    def _read(self, raw: Raw, sources: Sources, place: str) -> Turn:
        text = text_of(raw)
        part: Part = Opaque(self.wire, raw) if text is None else Text(text)
        sources.note(part, raw)
        turn = Turn("user", (part,))
        sources.note(turn, raw, place)
        return turn


def _text(turn: Turn) -> str:
    for part in turn.parts:
        if not isinstance(part, Text):
            message = "What is asked is given as tokens, which cannot be read or added to here. Send text."
            raise InvalidRequest(message, code="unsupported_value")
    return "".join(part.text for part in turn.parts if isinstance(part, Text))
