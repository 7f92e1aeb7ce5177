"""A text found in an answer, and its place there."""

from typing import Any, TypeAlias

from msgspec import Raw, Struct

from switchgear.contracts.filter import Channel
from switchgear.wire.texts import NULL, first, members_of, text_of, write, write_object

Key: TypeAlias = tuple[Any, ...]
_EMPTY = (NULL, Raw(b'""'))
_PLACES = frozenset({"index", "type"})


class Found(Struct, gc=False):
    """One text in one body or event.

    key        what it is a piece of, in its stream
    holder     where it stands: `holder[name]`
    is_object  whether it stands there as a JSON object, of which `text` is the text
    is_whole   whether nothing of it follows
    call_id    the id of the tool call that begins with it
    out        what it is to say
    """

    key: Key
    channel: Channel
    text: str
    holder: Any
    name: Any
    is_object: bool = False
    is_whole: bool = False
    call_id: str | None = None
    out: str = ""

    def put(self) -> bool:
        """Write what it is to say, if that is something else; say whether. Raises ValueError where it must be an object."""
        if self.out == self.text:
            return False
        self.holder[self.name] = write_object(self.out) if self.is_object else write(self.out)
        return True


def find(
    found: list[Found],
    key: Key,
    channel: Channel,
    holder: Any,
    name: Any,
    *,
    is_whole: bool = False,
    call_id: str | None = None,
) -> None:
    """Add the text of a member, if it has one. That of the arguments of a tool may be an object."""
    value = holder[name] if isinstance(holder, list) else holder.get(name)
    if value is None or value in _EMPTY:
        return
    if first(value) == b"{" and channel == "tool_arguments":
        found.append(Found(key, channel, bytes(value).decode(), holder, name, is_object=True, is_whole=is_whole))
    elif (text := text_of(value)) is not None:
        found.append(Found(key, channel, text, holder, name, is_whole=is_whole, call_id=call_id))


def opened(value: Raw) -> Any:
    """Split an object; leave anything else as it is."""
    return members_of(value) if first(value) == b"{" else value


def says_nothing(value: Any) -> bool:
    """Say whether a piece of an answer holds nothing but empty texts and what numbers them."""
    if isinstance(value, dict):
        return all(name in _PLACES or says_nothing(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(says_nothing, value))
    return value in _EMPTY
