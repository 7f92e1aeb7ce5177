"""Filters read, and may change, what a client gets: whole answers and streams, in every wire, with one piece of code.

A policy whose `reads(x)` returns a filter is asked for one anew as each text of the answer begins: the text of a choice, its
reasoning, the arguments of one tool call. A filter therefore reads one text from its beginning to its end and keeps no account of
which is which; what several texts share belongs into the policy's notes.

    class Shout:
        hold = 0
        def feed(self, piece): return [piece.with_text(piece.text.upper())]
        def end(self): return []

Citations, results of tools that a provider runs, and media are not texts of the answer and go by as they came. Where a text is
changed, log probabilities of its tokens are left out: they would say it again.
"""

from collections.abc import Hashable, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from switchgear.contracts.provider import StreamEvent

Channel: TypeAlias = Literal["text", "reasoning", "refusal", "tool_name", "tool_arguments"]
"""What a text of a conversation is. The arguments of a tool call are the text of their JSON."""


class Piece(Struct, frozen=True, gc=False):
    """Some of one text: the next characters of a stream, or all of it. `choice` numbers the answers to one request, from 0."""

    choice: int
    channel: Channel
    text: str

    def with_text(self, text: str) -> "Piece":
        """Make the piece that says something else in the same place."""
        return Piece(self.choice, self.channel, text)


class Filter(Protocol):
    """One text on its way to the client. Pieces are cut anywhere; what comes out must not depend on where.

    `hold` is the most characters that it keeps back to see what follows; 0 for none. What it returns is of the choice and channel
    that it was fed. Raise an `ApiError` to stop the answer; anything else raised is a bug.
    """

    hold: int

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece; return what may be shown now."""
        ...

    def end(self) -> Sequence[Piece]:
        """The text is over: return what was kept back, and what is to follow it."""
        ...


class Texts(Protocol):
    """The texts of one answer, each led through the filters of its own. What an `AnswerFace` gives them to."""

    def feed(self, key: Hashable, choice: int, channel: Channel, text: str) -> str:
        """Lead a piece of the text called `key` through; return what of it, and of what was kept back, is shown now."""
        ...

    def end(self, key: Hashable) -> str:
        """End a text; return what was kept back of it. Empty for one that is over, or never was."""
        ...

    def whole_text(self, choice: int, channel: Channel, text: str) -> str:
        """Lead a text that is there from beginning to end through."""
        ...


class EventFace(Protocol):
    """Finds the texts in one stream of a wire and puts back what filters make of them. One a stream."""

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        """Return the event with its texts filtered, and before it whatever was kept back of texts that it ends.

        An event of which nothing is left has empty `data`. `content` still says what the provider made.
        """
        ...

    def close(self) -> list[StreamEvent]:
        """Return what is kept back still, in a stream that ends without saying that its texts are over."""
        ...


class AnswerFace(Protocol):
    """How the answers of a wire hold their texts. `ordered` is whether a text is over there when another begins."""

    ordered: bool

    def whole(self, body: bytes, texts: Texts) -> bytes:
        """Return a whole answer with its texts filtered; the very bytes if none of them changed."""
        ...

    def stream(self, texts: Texts) -> EventFace:
        """Begin a stream."""
        ...
