"""What policies see of one answer on its way to the client: filters first, then those that want to see the whole."""

from switchgear.contracts.provider import Answer, StreamEvent
from switchgear.exchange.filters import AnswerFilter

MOST_KEPT = 4 * 1024 * 1024
"""Bytes of one answer that are kept for policies that want to see it whole."""


class Listener:
    """One answer, in the wire format in which it is filtered. `keeps` says whether its events are kept."""

    def __init__(self, filter: AnswerFilter | None, wire: str, *, keeps: bool) -> None:
        self._filter = filter
        self._wire = wire
        self._kept: list[StreamEvent] | None = [] if keeps else None
        self._size = 0

    def whole(self, body: bytes) -> bytes:
        """Return a whole answer as the client gets it."""
        return body if self._filter is None else self._filter.whole(body)

    def event(self, event: StreamEvent) -> list[StreamEvent]:
        """Return what the client gets of an event."""
        return self._keep([event] if self._filter is None else self._filter.event(event))

    def close(self) -> list[StreamEvent]:
        """Return what was kept back of a stream that has ended."""
        return [] if self._filter is None else self._keep(self._filter.close())

    def streamed(self) -> Answer | None:
        """Return the answer that was streamed; None where it was longer than is kept."""
        return None if self._kept is None else Answer(b"", wire=self._wire, events=tuple(self._kept))

    def _keep(self, events: list[StreamEvent]) -> list[StreamEvent]:
        if self._kept is not None:
            self._kept += events
            self._size += sum(len(event.data) for event in events)
            if self._size > MOST_KEPT:
                self._kept = None
        return events
