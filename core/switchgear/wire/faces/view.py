"""The view of a conversation that policies get: the same for every dialect, read when asked for, written where it changed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from switchgear.contracts.conversation import (
    Conversation,
    Face,
    File,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Sources,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    read,
)
from switchgear.contracts.filter import Channel
from switchgear.contracts.provider import Call
from switchgear.wire.texts import write

SAID: frozenset[Channel] = frozenset({"text", "refusal", "tool_arguments"})
"""What somebody said. Reasoning is not among it: where it is signed, its maker refuses it back if it was changed."""
_NAMES: dict[type[Part], tuple[str, Channel]] = {
    Text: ("text", "text"),
    Refusal: ("text", "refusal"),
    Reasoning: ("text", "reasoning"),
    ToolCall: ("arguments", "tool_arguments"),
}


class Said(Struct, frozen=True, eq=False):
    """One text of a conversation. It is good until the turn that it is in changes in another way."""

    role: str
    channel: Channel
    text: str
    view: "ConversationView"
    turn: Turn
    path: tuple[int, ...]

    def replace(self, text: str) -> None:
        """Say something else here."""
        self.view._say(self, text)  # noqa: SLF001 - they are one thing


class ConversationView:
    """The conversation of one call. Nothing is read before it is asked for, and `apply` writes only what was changed."""

    __slots__ = ("_changed", "_face", "_members", "_sources", "_tools", "_turns", "call")

    def __init__(self, call: Call, face: Face) -> None:
        self.call = call
        self._face = face
        self._members = call.members
        self._sources = Sources()
        self._turns: list[tuple[Turn, Turn]] | None = None  # each as it was when it was first seen, and as it is
        self._tools: list[Tool] | None = None
        self._changed: set[str] = set()

    @property
    def wire(self) -> str:
        """The wire format of the call."""
        return self._face.wire

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        return self.call.model

    @model.setter
    def model(self, name: str) -> None:
        self.call.model = name
        self.call.members = {**self.call.members, "model": write(name)}

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns, from the system text on."""
        return tuple(turn for _, turn in self._read_turns())

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools."""
        return tuple(self._read_tools())

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the client says about the call."""
        return self._face.read_metadata(self.call)

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any]) -> None:
        self._face.write_metadata(self.call, metadata)

    @property
    def choice(self) -> ToolChoice:
        """Whether a tool is to be called."""
        return self._face.read_choice(self.call)

    @choice.setter
    def choice(self, choice: ToolChoice) -> None:
        self._face.write_choice(self.call, choice)

    @property
    def format(self) -> ResponseFormat:
        """What the answer is held to."""
        return self._face.read_format(self.call)

    @format.setter
    def format(self, format: ResponseFormat) -> None:
        self._face.write_format(self.call, format)

    @property
    def sampling(self) -> Sampling:
        """How the answer is made."""
        return self._face.read_sampling(self.call)

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        self._face.write_sampling(self.call, sampling)

    def texts(self, roles: Collection[str] | None = None, channels: Collection[Channel] = SAID) -> Iterator[Said]:
        """Go through the texts in order: those of these roles (None: all), and of these channels.

        `system` is also what a developer says, `tool` what a tool gave, in whatever turn the wire has it.
        """
        for _, turn in list(self._read_turns()):
            for role, path, part in _parts(turn):
                name, channel = _NAMES[type(part)]
                if channel in channels and (roles is None or role in roles):
                    yield Said(role, channel, getattr(part, name), self, turn, path)

    def prepend_system(self, text: str) -> bool:
        """Say something before all else the system says; say whether that means anything in this call."""
        if not self._face.takes_instructions:
            return False
        turns = self._read_turns()
        first = turns[0][1] if turns else None
        if first is not None and first.role in {"system", "developer"} and first.parts:
            head = first.parts[0]
            if isinstance(head, Text):
                self._put(first, (0,), structs.replace(head, text=f"{text}\n\n{head.text}"))
                return True
        self.insert(0, Turn("system", (Text(text),)))
        return True

    def insert(self, place: int, turn: Turn) -> None:
        """Add a turn before the one at `place`."""
        self._read_turns().insert(place, (turn, turn))
        self._changed.add("turns")

    def append(self, turn: Turn) -> None:
        """Add a turn at the end."""
        self.insert(len(self._read_turns()), turn)

    def remove(self, turn: Turn) -> None:
        """Take a turn out."""
        del self._read_turns()[self._place(turn)]
        self._changed.add("turns")

    def replace(self, old: Turn, new: Turn) -> None:
        """Put a turn in the place of another. Parts that they have in common stay as they are."""
        turns = self._read_turns()
        place = self._place(old)
        self._sources.follow(new, old)
        turns[place] = (turns[place][0], new)
        self._changed.add("turns")

    def set_tools(self, tools: Sequence[Tool]) -> None:
        """Say which tools there are. Those that were there stay as they are."""
        self._tools = list(tools)
        self._changed.add("tools")

    def whole(self) -> Conversation:
        """Return all of it, as it is now."""
        self.apply()
        return read(self._face, self.call, Sources())

    def apply(self) -> None:
        """Write into the call what has changed. Raises ValueError for what its wire has no words for."""
        if not self._changed:
            return
        if "turns" in self._changed:
            self._face.write_turns(self.call, self.turns, self._sources)
        if "tools" in self._changed:
            self._face.write_tools(self.call, self.tools, self._sources)
        self._forget()

    def _forget(self) -> None:
        self._turns = self._tools = None
        self._changed = set()
        self._sources = Sources()

    def _read_turns(self) -> list[tuple[Turn, Turn]]:
        self._look()
        if self._turns is None:
            self._turns = [(turn, turn) for turn in self._face.read_turns(self.call, self._sources)]
        return self._turns

    def _read_tools(self) -> list[Tool]:
        self._look()
        if self._tools is None:
            self._tools = list(self._face.read_tools(self.call, self._sources))
        return self._tools

    def _look(self) -> None:
        """Read anew where the call got other members meanwhile, unless something waits to be written."""
        if self._members is not self.call.members and not self._changed:
            self._forget()
            self._members = self.call.members

    def _place(self, turn: Turn) -> int:
        """Find a turn, by what it is or was."""
        for place, (first, now) in enumerate(self._read_turns()):
            if turn is first or turn is now:
                return place
        raise ValueError("this turn is not one of the conversation")

    def _say(self, said: Said, text: str) -> None:
        turn = self._read_turns()[self._place(said.turn)][1]
        part = _at(turn.parts, said.path)
        name, _ = _NAMES[type(part)]
        if getattr(part, name) != text:
            changes: dict[str, Any] = {name: text}
            self._put(said.turn, said.path, structs.replace(part, **changes))

    def _put(self, turn: Turn, path: tuple[int, ...], part: Part) -> None:
        now = self._read_turns()[self._place(turn)][1]
        self.replace(now, structs.replace(now, parts=self._with(now.parts, path, part)))

    def _with(self, parts: tuple[Part, ...], path: tuple[int, ...], part: Part) -> tuple[Part, ...]:
        place, rest = path[0], path[1:]
        old = parts[place]
        new = part
        if rest:
            assert isinstance(old, ToolResult | File)
            new = structs.replace(old, parts=self._with(old.parts, rest, part))
        self._sources.follow(new, old)
        return (*parts[:place], new, *parts[place + 1 :])


def _parts(turn: Turn) -> Iterator[tuple[str, tuple[int, ...], Part]]:
    role = "system" if turn.role == "developer" else turn.role
    for path, part, inside in _walk(turn.parts, (), inside=False):
        yield "tool" if inside else role, path, part


def _walk(
    parts: tuple[Part, ...], path: tuple[int, ...], *, inside: bool
) -> Iterator[tuple[tuple[int, ...], Part, bool]]:
    for place, part in enumerate(parts):
        here = (*path, place)
        if isinstance(part, ToolResult | File):
            yield from _walk(part.parts, here, inside=inside or isinstance(part, ToolResult))
        elif type(part) in _NAMES:
            yield here, part, inside


def _at(parts: tuple[Part, ...], path: tuple[int, ...]) -> Part:
    part = parts[path[0]]
    for place in path[1:]:
        assert isinstance(part, ToolResult | File)
        part = part.parts[place]
    return part
