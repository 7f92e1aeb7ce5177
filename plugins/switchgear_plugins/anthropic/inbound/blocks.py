"""The blocks a Messages request is made of, as far as they can be carried. Wire: platform.claude.com/docs/en/api/messages.

A member that a Struct here does not name cannot be carried and is told to the client; a block that is not here is refused.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import CacheControl
from switchgear.wire.members import what_and_where

T = TypeVar("T")


class Kind(Struct):
    """What kind of block this is."""

    type: str = ""


class Caller(Struct):
    """Who called a tool: the model (`direct`), or code that ran at the vendor."""

    type: str


class Source(Struct):
    """Where an image or a document is. Which members are there depends on the type."""

    type: str
    media_type: str = ""
    data: str | None = None
    url: str | None = None
    content: str | list[Raw] | None = None


class Text(Struct):
    """Text."""

    type: str
    text: str
    cache_control: CacheControl | None = None


class Image(Struct):
    """An image."""

    type: str
    source: Source
    cache_control: CacheControl | None = None


class Document(Struct):
    """A document."""

    type: str
    source: Source
    title: str | None = None
    cache_control: CacheControl | None = None


class Thinking(Struct):
    """What the model thought, signed."""

    type: str
    thinking: str
    signature: str = ""


class RedactedThinking(Struct):
    """What the model thought, encrypted."""

    type: str
    data: str


class ToolUse(Struct):
    """A call of a tool. `input` is a JSON object."""

    type: str
    id: str
    name: str
    input: Raw
    caller: Caller | None = None


class ToolResult(Struct):
    """What a call of a tool came to."""

    type: str
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class Page(Struct):
    """A page that a search found."""

    url: str
    title: str = ""


class Said(Struct):
    """A text among others."""

    text: str = ""


class Turn(Struct):
    """One message."""

    role: str
    content: str | list[Raw]


class CustomTool(Struct):
    """A tool that the client runs. `input_schema` is a JSON schema."""

    name: str
    input_schema: Raw
    type: str | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Struct):
    """Whether a tool must be called: `auto`, `any`, `none`, or `tool` with its name."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class JSONFormat(Struct):
    """The schema an answer is held to."""

    type: str
    schema: Raw


class OutputConfig(Struct):
    """How to answer: how hard to try, and in which form."""

    effort: str | None = None
    format: JSONFormat | None = None


class ThinkingConfig(Struct):
    """Whether and how much to think."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class Metadata(Struct):
    """Who asks."""

    user_id: str | None = None


Drops = dict[str, None]
"""What cannot be carried, in the order it was met. Places in lists are left out: a conversation would fill the header."""

_kind = msgspec.json.Decoder(Kind)
_texts = msgspec.json.Decoder(list[Said])
_pages = msgspec.json.Decoder(list[Page])
_raws = msgspec.json.Decoder(dict[str, Raw])
_NULL = Raw(b"null")


class Reader:
    """Decodes parts of one request, and collects what it says that cannot be carried, and tools by name that are left out.

    `search` is what the request calls the tool that searches the web, if it has that.
    """

    def __init__(self) -> None:
        self.drops: Drops = {}
        self.left_out: set[str] = set()
        self.search: str | None = None
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    def members(self, part: Raw, where: str) -> dict[str, Raw]:
        """Split an object into its members. Raises `InvalidRequest` naming it."""
        try:
            return _raws.decode(part)
        except (msgspec.DecodeError, RecursionError):
            raise bad(where, "it must be an object") from None

    def text(self, value: Raw) -> str | None:
        """Return a text, None for anything else."""
        try:
            found = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return None
        return found if isinstance(found, str) else None

    def texts(self, content: Raw) -> list[str]:
        """Return what the texts of a list of blocks say."""
        try:
            return [said.text for said in _texts.decode(content) if said.text]
        except (msgspec.DecodeError, RecursionError):
            return []

    def pages(self, content: Raw) -> list[Page]:
        """Return what a search found; nothing of what is no list of pages, as the failure of a search."""
        try:
            return _pages.decode(content)
        except (msgspec.DecodeError, RecursionError):
            return []

    def kind(self, part: Raw, where: str) -> str:
        """Return the `type` of a block, empty if it has none. Raises `InvalidRequest` naming it."""
        try:
            return _kind.decode(part).type
        except (msgspec.DecodeError, RecursionError) as error:
            raise _bad_part(where, error) from None

    def read(self, part: Raw, type: type[T], where: str, kind: str) -> T:
        """Decode an object, noting as `kind.member` what its type does not name. Raises `InvalidRequest` naming it."""
        self.drop_unknown(self.members(part, where), type, kind)
        decoder = self._decoders.get(type)
        if decoder is None:
            decoder = self._decoders[type] = msgspec.json.Decoder(type)
        try:
            found: T = decoder.decode(part)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _bad_part(where, error) from None
        return found

    def drop_unknown(self, members: Mapping[str, Raw], type: Any, kind: str) -> None:
        """Note what a Struct does not name; nulls do not count."""
        known = type.__struct_fields__
        for name, value in members.items():
            if name not in known and value != _NULL:
                self.drops[f"{kind}.{name}"] = None


def _bad_part(where: str, error: Exception) -> InvalidRequest:
    detail, inner = what_and_where(error)
    return bad(where + inner, detail)


def bad(where: str, detail: str) -> InvalidRequest:
    """Make the refusal of a part that is not what it should be."""
    return InvalidRequest(f"`{where}` is invalid: {detail}.", param=where, code="invalid_value")


def unsupported(where: str, what: str) -> InvalidRequest:
    """Make the refusal of a part that is right and cannot be carried."""
    message = f"`{where}` is {what}, which cannot be carried to this model's provider."
    return InvalidRequest(message, param=where, code="unsupported_content")
