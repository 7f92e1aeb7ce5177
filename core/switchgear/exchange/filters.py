"""The filters of one answer: what its client gets goes through them, text by text, whatever its wire."""

from collections.abc import Callable, Hashable, Sequence

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.filter import AnswerFace, Channel, EventFace, Filter, Piece
from switchgear.contracts.provider import CANONICAL, StreamEvent
from switchgear.wire.pieces.chat import ChatPieces

Open = Callable[[], Sequence[Filter | None]]
"""Asks the policies for the filters of a text that begins, in order; None for one that lets it go by."""
Failed = Callable[[int, BaseException], None]
"""Is told which filter of the chain failed, and of what: raises to stop the answer, returns to go on without that filter."""


_ORDERED, _UNORDERED = ChatPieces(ordered=True), ChatPieces()


def face_of(endpoint: InferenceEndpoint, wire: str) -> AnswerFace | None:
    """Return how answers to a call in this wire hold their texts; None if they hold none, so that there is nothing to filter.

    What is translated for the client is filtered before that, in the canonical form.
    """
    own = endpoint.pieces
    if own is None or wire == endpoint.wire:
        return own
    return (_ORDERED if own.ordered else _UNORDERED) if wire == CANONICAL else None


def _raise(place: int, error: BaseException) -> None:  # noqa: ARG001 - the shape of Failed
    raise error


class _Chain:
    """One text and its filters. A filter that failed is passed over; what it kept back is asked of it once."""

    __slots__ = ("_channel", "_choice", "_failed", "_filters")

    def __init__(self, choice: int, channel: Channel, filters: Sequence[Filter | None], failed: Failed) -> None:
        self._choice = choice
        self._channel = channel
        self._filters: list[Filter | None] = list(filters)
        self._failed = failed

    def feed(self, text: str, first: int = 0) -> str:
        """Lead a text through the filters from the `first` on."""
        for place in range(first, len(self._filters)):
            one = self._filters[place]
            if not text:
                return ""
            if one is not None:
                try:
                    text = self._joined(one.feed(Piece(self._choice, self._channel, text)))
                except BaseException as error:  # noqa: BLE001 - the host says what becomes of it; nothing is waited for here
                    text = self._without(place, error) + text
        return text

    def end(self) -> str:
        """End each filter in order, leading what it kept back through those behind it."""
        out = ""
        for place, one in enumerate(self._filters):
            if one is not None:
                try:
                    kept = self._joined(one.end())
                except BaseException as error:  # noqa: BLE001 - the host says what becomes of it; nothing is waited for here
                    self._failed(place, error)
                else:
                    out += self.feed(kept, place + 1)
        return out

    def _without(self, place: int, error: BaseException) -> str:
        self._failed(place, error)
        one, self._filters[place] = self._filters[place], None
        try:
            return "" if one is None else self._joined(one.end())
        except BaseException:  # noqa: BLE001 - it was told that this filter is broken
            return ""

    def _joined(self, pieces: Sequence[Piece]) -> str:
        for piece in pieces:
            if piece.choice != self._choice or piece.channel != self._channel:
                message = f"a filter made a piece of {piece.channel!r} of one of {self._channel!r}"
                raise ValueError(message)
        return "".join([piece.text for piece in pieces])


class AnswerFilter:
    """Filters one answer: `whole` for one that is not streamed, else `event` for each event and `close` at the end.

    `face` is that of the wire that body and events are in. Raises what `failed` raises; without it, what a filter raises.
    Where several targets give one answer, one of these serves all of them, so that what was kept back is not lost.
    """

    __slots__ = ("_chains", "_events", "_face", "_failed", "_open")

    def __init__(self, open: Open, face: AnswerFace, failed: Failed = _raise) -> None:
        self._open = open
        self._face = face
        self._failed = failed
        self._chains: dict[Hashable, _Chain] = {}
        self._events: EventFace | None = None

    def whole(self, body: bytes) -> bytes:
        """Return a whole answer as the client gets it."""
        return self._face.whole(body, self)

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        """Return what becomes of an event; one whose `data` is empty is not for the client's eyes, and counts all the same."""
        if event.fault is not None or not event.data:
            return [event] if not (event.last and event.fault is None) else [*self.close(), event]
        if self._events is None:
            self._events = self._face.stream(self)
        return self._events.event(event)

    def close(self) -> list[StreamEvent]:
        """Return what is kept back still. Empty for a stream whose texts were all ended, as they are in a complete one."""
        return [] if self._events is None else self._events.close()

    def feed(self, key: Hashable, choice: int, channel: Channel, text: str) -> str:
        """Lead a piece of a text through its filters."""
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = _Chain(choice, channel, self._open(), self._failed)
        return chain.feed(text)

    def end(self, key: Hashable) -> str:
        """End a text."""
        chain = self._chains.pop(key, None)
        return "" if chain is None else chain.end()

    def whole_text(self, choice: int, channel: Channel, text: str) -> str:
        """Lead a text that is there from beginning to end through filters of its own."""
        if not text:
            return text
        chain = _Chain(choice, channel, self._open(), self._failed)
        return chain.feed(text) + chain.end()
