"""What decoders of server-sent events have in common, whatever the events say: pieces, garbage, failures, the end."""

from abc import ABC, abstractmethod

from switchgear.contracts.provider import Head, ProviderFault, StreamEvent
from switchgear.wire.chat import Misdelivered, cut, failed
from switchgear.wire.sse import SSEParser

DONE = b"[DONE]"
"""The event that many vendors put at the end."""
_NOTHING = (b"", b"null")
"""What some servers put between events."""


class EventDecoder(ABC):
    """Decodes one stream of server-sent events. `take` sees each; it sets `complete` once the stream has proved to be whole.

    What follows an event that is `last` or a failure is passed over.
    """

    __slots__ = ("_body", "_over", "_sse", "complete", "head")

    request_id_header = "x-request-id"

    def __init__(self, head: Head) -> None:
        self.head = head
        self.complete = False
        self._sse = SSEParser()
        self._body: Misdelivered | None = Misdelivered(head)
        self._over = False

    @abstractmethod
    def take(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Add what an event becomes to `events`. Raises `ProviderFault` for one that is a failure, or none of this form."""

    @abstractmethod
    def misdelivered(self, body: bytes) -> ProviderFault:
        """Classify a JSON body that came where a stream was asked for."""

    def whole(self, body: bytes) -> list[bytes]:  # noqa: ARG002 - most forms have no such answers
        """Return the events that tell a whole answer, which came where a stream was asked for; nothing for what is none."""
        return []

    def done(self, events: list[StreamEvent]) -> None:  # noqa: B027 - most streams end otherwise
        """The vendor wrote `[DONE]`; that means nothing unless this is overridden."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        if self._over:
            return events
        if self._body is not None and self._body.is_stream(data):
            self._body = None
        if self._body is not None:
            told = self.whole(self._body.found()) if self._body.feed(data) else []
            if not told:
                return events
            self._body = None
        else:
            told = self._sse.feed(data)
        for payload in told:
            said = payload.strip()
            if said in _NOTHING:
                continue
            try:
                if said == DONE:
                    self.done(events)
                else:
                    self.take(payload, events)
            except ProviderFault as fault:
                events.append(failed(fault))
            if events and events[-1].last:
                self._over = True
                break
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._body is not None and self._body.found():
            raise self.misdelivered(self._body.found())
        if not self.complete:
            raise cut(self.head, self.request_id_header)
