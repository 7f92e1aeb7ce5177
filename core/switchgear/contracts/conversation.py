"""What is said in an inference call, in one form for every wire: turns in order, each of typed parts in order.

A `Face` reads a conversation from the members of a call and writes back what changed of it. Everything here is a value that is
never changed in place: a change is another value in its stead, and `Sources` knows how the wire had each, so that what nobody
touched goes through byte for byte. Policies see it as `x.conversation` (`switchgear.wire.faces.view`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from msgspec import Raw, Struct

from switchgear.contracts.provider import Call

if TYPE_CHECKING:
    from switchgear.wire.faces.view import ConversationView

Role: TypeAlias = str
"""`system`, `developer`, `user`, `assistant` or `tool`, or a word of the wire's own."""
_NONE: Mapping[str, Raw] = {}


class Origin(Struct, frozen=True):
    """Where a part came from. `family` are the models that can read it back; `signature` proves it to its maker."""

    vendor: str | None = None
    family: str | None = None
    signature: str | None = None


class Part(Struct, frozen=True, kw_only=True):
    """One part of a turn. `extra` are members of its own that this form has no name for, raw."""

    origin: Origin | None = None
    extra: Mapping[str, Raw] = _NONE


class Text(Part, frozen=True):
    """Text."""

    text: str


class Refusal(Part, frozen=True):
    """What an assistant said instead of an answer."""

    text: str


class Image(Part, frozen=True):
    """An image: at an address, in base64, or uploaded. `detail` says how closely to look."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    detail: str | None = None


class Audio(Part, frozen=True):
    """A recording in base64; `format` is `wav`, `mp3`."""

    data: str
    format: str


class File(Part, frozen=True):
    """A document: at an address, in base64, uploaded, or, where it is text, in `parts`."""

    name: str | None = None
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    parts: tuple[Part, ...] = ()


class Reasoning(Part, frozen=True):
    """What a model thought: in words (a summary of them, perhaps) or `encrypted`. `id` is what the wire ties it to."""

    text: str = ""
    is_summary: bool = False
    encrypted: str | None = None
    id: str | None = None


class ToolCall(Part, frozen=True):
    """A tool that the client is to call. `arguments` is the text of a JSON object; of a `custom` tool, any text."""

    id: str
    name: str
    arguments: str
    kind: str = "function"


class ToolResult(Part, frozen=True):
    """What a call came to."""

    call_id: str
    parts: tuple[Part, ...] = ()
    is_error: bool = False


class ServerTool(Part, frozen=True):
    """A tool that the provider ran itself: its call, its result, or both, as the wire has them. `kind` is the wire's word."""

    kind: str
    raw: Raw


class Opaque(Part, frozen=True):
    """A part that only its wire knows."""

    wire: str
    raw: Raw


class Turn(Struct, frozen=True):
    """What one side said at a time. Neighbours of one role may belong together: some wires tell them apart, some do not."""

    role: Role
    parts: tuple[Part, ...]
    extra: Mapping[str, Raw] = _NONE


class Tool(Struct, frozen=True):
    """A tool the model may call. `parameters` is a JSON schema; `kind` is `function`, or the wire's word for another."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    kind: str = "function"
    extra: Mapping[str, Raw] = _NONE


class ToolChoice(Struct, frozen=True):
    """Whether tools may (`auto`), must (`required`) or must not (`none`) be called, or which one must (`tool`)."""

    mode: Literal["auto", "required", "none", "tool"] | None = None
    name: str | None = None
    parallel: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """What an answer is held to: any `text`, some `json`, or a `schema`."""

    kind: Literal["text", "json", "schema"] = "text"
    schema: Raw | None = None
    name: str | None = None
    strict: bool | None = None


class Sampling(Struct, frozen=True):
    """How an answer is made. What the client left out is None."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    effort: str | None = None


class Source(Struct, frozen=True):
    """How a wire had a turn, a part or a tool: `of` is what was read, `raw` its JSON, `place` the member it stood in."""

    of: Any
    raw: Raw
    place: str = ""


class Sources:
    """How the wire had what was read from it. Values are told apart by identity: an equal one may have come from elsewhere."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Source]] = {}

    def note(self, read: Any, raw: Raw, place: str = "") -> None:
        """Remember where something was read."""
        self._known[id(read)] = (read, Source(read, raw, place))

    def follow(self, new: Any, old: Any) -> None:
        """Say that `new` stands where `old` did: it is written there, over what the wire had."""
        source = self.of(old)
        if source is not None:
            self._known[id(new)] = (new, source)

    def of(self, thing: Any) -> Source | None:
        """Return where this was read, or what it stands in the place of; None for what is new."""
        known = self._known.get(id(thing))
        return known[1] if known is not None and known[0] is thing else None

    def unchanged(self, thing: Any) -> Raw | None:
        """Return the JSON of what is as it was read; None for what is not."""
        source = self.of(thing)
        return source.raw if source is not None and source.of is thing else None


class Conversation(Struct, frozen=True):
    """All that is said in a call. `wire` is the format that it was read from."""

    wire: str
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()
    format: ResponseFormat = ResponseFormat()
    sampling: Sampling = Sampling()
    metadata: Mapping[str, Any] = {}


class Face(Protocol):
    """One wire as conversations: each section is read when it is asked for, and written by itself.

    Reading raises `InvalidRequest` naming a member that is not what it should be. Writing puts raw members into the call, those
    that differ from what was read and no others; it raises ValueError for what the wire has no words for. `takes_instructions`
    is whether a system text means something here.
    """

    wire: str
    takes_instructions: bool

    def view(self, call: Call) -> "ConversationView":
        """Return the conversation of a call as policies see it. Nothing is read before it is asked for."""
        ...

    def read_turns(self, call: Call, sources: Sources) -> tuple[Turn, ...]:
        """Read the turns, from the system text on."""
        ...

    def write_turns(self, call: Call, turns: Sequence[Turn], sources: Sources) -> None:
        """Write them."""
        ...

    def read_tools(self, call: Call, sources: Sources) -> tuple[Tool, ...]:
        """Read the tools."""
        ...

    def write_tools(self, call: Call, tools: Sequence[Tool], sources: Sources) -> None:
        """Write them."""
        ...

    def read_choice(self, call: Call) -> ToolChoice:
        """Read which tool is to be called."""
        ...

    def write_choice(self, call: Call, choice: ToolChoice) -> None:
        """Write it."""
        ...

    def read_format(self, call: Call) -> ResponseFormat:
        """Read what the answer is held to."""
        ...

    def write_format(self, call: Call, format: ResponseFormat) -> None:
        """Write it."""
        ...

    def read_sampling(self, call: Call) -> Sampling:
        """Read how the answer is made."""
        ...

    def write_sampling(self, call: Call, sampling: Sampling) -> None:
        """Write it."""
        ...

    def read_metadata(self, call: Call) -> Mapping[str, Any]:
        """Read what the client says about the call."""
        ...

    def write_metadata(self, call: Call, metadata: Mapping[str, Any]) -> None:
        """Write it."""
        ...


def read(face: Face, call: Call, sources: Sources) -> Conversation:
    """Read a whole conversation."""
    return Conversation(
        face.wire,
        face.read_turns(call, sources),
        face.read_tools(call, sources),
        face.read_choice(call),
        face.read_format(call),
        face.read_sampling(call),
        face.read_metadata(call),
    )


def write(face: Face, call: Call, conversation: Conversation, sources: Sources) -> None:
    """Write a whole conversation; sections that are as the call has them are left alone.

    `sources` is what it was read with; turns and tools that came from elsewhere are written anew.
    """
    face.write_turns(call, conversation.turns, sources)
    face.write_tools(call, conversation.tools, sources)
    if conversation.choice != face.read_choice(call):
        face.write_choice(call, conversation.choice)
    if conversation.format != face.read_format(call):
        face.write_format(call, conversation.format)
    if conversation.sampling != face.read_sampling(call):
        face.write_sampling(call, conversation.sampling)
    if conversation.metadata != face.read_metadata(call):
        face.write_metadata(call, conversation.metadata)
