"""Events from one upstream to one client: `opened -> first content -> terminal -> closed`, completeness proven, not assumed."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import Answer, ProviderFault, StreamDecoder, StreamEvent
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import (
    ConnectionBroken,
    FirstByteTimeout,
    IdleTimeout,
    ResponseTooLarge,
    UpstreamError,
)
from switchgear.exchange.held import Held
from switchgear.exchange.listener import Listener
from switchgear.exchange.reply import Reply, answer_lines
from switchgear.exchange.sound import check_event, check_usage
from switchgear.exchange.target_faults import OURS, StreamNotTold
from switchgear.plugin_faults import is_own_doing
from switchgear.upstream.watch import Watch

_END_GRACE_S = 2.0
"""How long a stream that gave its finish reason may take over its usage and `[DONE]`."""
_HELD_BYTES = 64 * 1024
"""How much a stream may send before its first content; then it is begun without."""
_MOST_BYTES = 32 * 1024 * 1024
"""How much a stream may show in all: what is put together from it stays in memory."""
_MOST_SENT = 8 * _MOST_BYTES
"""How much it may send for that: an event of one token has some hundred bytes around it."""
_LINGER_S = 0.05
"""How long to wait for the connection to become reusable after the last event."""


class StreamEnd(Struct, frozen=True):
    """The end of a stream whose other pieces were written: `data` are the bytes of the last write.

    `answer` is what was streamed, for policies that want to see it whole; None where it is not kept.
    """

    data: bytes
    answer: Answer | None = None


class IdleTimes(Struct, frozen=True):
    """How long, in seconds, a provider may be silent, and after how long its client gets a sign of life."""

    allowed_s: float
    keep_alive_s: float


class Buffering(Struct, frozen=True):
    """How long a stream is kept back from its client.

    until  monotonic second by which the first content must have come, else it is `late`; None: the target's own clocks are enough
    whole  until it is complete, so that another target can answer instead
    most   bytes that may be kept back so, and that a stream may send without showing anything, as an event that does not end
    kept   where it is counted: a stream for which there is no room is begun
    """

    until: float | None = None
    late: type[UpstreamError] = FirstByteTimeout
    whole: bool = False
    most: int = 32 * 1024 * 1024
    kept: Held | None = None


class StreamRelay:
    """One stream. The status is held back until the first content, so that until then another target may answer.

    `x.committed` is set once the client has seen content: from then on, nobody else may answer.
    """

    __slots__ = (
        "_ambient",
        "_encoder",
        "_flows",
        "_held",
        "_hold",
        "_last",
        "_listener",
        "_quiet",
        "_reply",
        "_sent",
        "_silence",
        "_size",
        "_sized",
        "_spoke",
        "_terminal",
        "_watch",
        "kept",
        "x",
    )

    def __init__(
        self,
        x: Exchange,
        reply: Reply,
        encoder: StreamEncoder,
        watch: Watch,
        silence: IdleTimes,
        ambient: Ambient,
        hold: Buffering | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.x = x
        self._reply = reply
        self._encoder = encoder
        self._watch = watch
        self._silence = silence
        self._listener = listener
        self._ambient = ambient
        self._hold = hold = hold or Buffering()
        self._held: list[bytes] = []
        self._flows = False
        self._size = self._sized = 0  # bytes held back, and how many of the pieces were counted
        self._spoke = False
        self._quiet = self._sent = 0
        self.kept = 0
        self._terminal = False
        self._last = False
        reply.encoder = encoder
        watch.on_silence(silence.keep_alive_s, self._keep_alive)

    async def run_decoder(self, response: UpstreamResponse, decoder: StreamDecoder) -> None:  # noqa: C901 - one loop
        """Pass on what an HTTP provider sends. Raises unless the stream was complete."""
        try:
            while not self._last:
                data = await response.read()
                if data is None:
                    decoder.close()
                    if not self._terminal:  # whatever its decoder says
                        raise _unended()
                    self._last = True
                    break
                events = decoder.feed(data)
                size = len(data)
                del data  # what waits for a slow client is kept once
                shown = self.x.stream_bytes
                if events:
                    await self._take(events)
                elif events is None:
                    raise _no_events()
                elif not self._terminal:
                    self._expect_more()
                self._quiet = 0 if self.x.stream_bytes > shown else self._quiet + size
                self._sent += size
                if self.x.stream_bytes > _MOST_BYTES or self._quiet > self._hold.most or self._sent > _MOST_SENT:
                    raise self._too_large()
            else:
                self._watch.expect(IdleTimeout, _LINGER_S)
                while await response.read() is not None:
                    pass
        except ConnectionBroken:
            if not self._terminal:
                raise
        except asyncio.CancelledError as cancelled:
            self._forgive_silence_after_the_end(cancelled)
        await self._release()

    def _too_large(self) -> ResponseTooLarge:
        if self.x.stream_bytes > _MOST_BYTES or self._sent > _MOST_SENT:
            return ResponseTooLarge("the stream passed the cap on answers")
        return ResponseTooLarge(f"one event of the stream is larger than {self._hold.most} bytes")

    async def run(self, batches: AsyncIterator[list[StreamEvent]]) -> None:
        """Pass on what an in-process provider yields. Raises unless the stream was complete."""
        async for events in batches:
            await self._take(events)
            if self._last:
                break
        if not self._terminal:
            raise _unended()
        await self._release()

    async def _take(self, events: list[StreamEvent]) -> None:  # noqa: C901 - the hot loop of streams
        x = self.x
        out = self._held
        encode = self._encoder.event
        listener = self._listener
        fault: ProviderFault | None = None
        for event in events:
            if event.fault is not None:
                fault = event.fault
                break
            if event.usage is not None:
                check_usage(event.usage)
                x.usage = event.usage if x.usage is None else x.usage.updated(event.usage)
            if event.content:
                self._terminal = False  # what goes on has not ended
                x.stream_bytes += event.content
                x.stream_events += 1
                self._spoke = True
            if event.terminal:
                self._terminal = self._spoke = True
                self._last = self._last or event.last
            try:
                if listener is not None:
                    out += [encode(shown) for shown in listener.event(event) if shown.data]
                elif event.data:
                    out.append(encode(event))
            except BaseException as error:
                self._blame(event, error)
                raise
            if self._last:
                break  # whatever comes behind the end belongs to nothing
        if out and (self._flows or self._opens()):
            data = b"".join(out)
            out.clear()  # what waits for a slow client is kept once
            self._watch.sent()
            await self._reply.write(data)
        if fault is not None:
            raise fault
        self._expect_more()

    def _blame(self, event: StreamEvent, error: BaseException) -> None:
        """Raise `StreamNotTold` where an event that is one cannot be told; return where it is the event, or told already."""
        if isinstance(error, OURS) or not is_own_doing(error):
            return
        check_event(event)
        raise StreamNotTold from error

    def _expect_more(self) -> None:
        """Say how long the provider may now be silent."""
        until = self._hold.until
        if self._spoke or until is None:
            self._watch.expect(IdleTimeout, _END_GRACE_S if self._terminal else self._silence.allowed_s)
        else:
            left = until - self._ambient.monotonic()
            self._watch.expect(self._hold.late, max(min(left, self._silence.allowed_s), 0.0))

    def _opens(self) -> bool:
        """Begin the stream, unless it is to be held back still, and say whether it is begun."""
        self._size += sum(map(len, self._held[self._sized :]))
        self._sized = len(self._held)
        if self._hold.whole:
            if self._size > self._hold.most:
                raise ResponseTooLarge("the stream passed the cap on what is held back")
            if self._keep():
                return False
        if self._spoke or self.x.committed or self._size > _HELD_BYTES:
            self._begin()
            self._flows = self.x.committed = True
        return self._flows

    def _keep(self) -> bool:
        """Count what is kept back, unless all streams together keep back as much as they may."""
        kept = self._hold.kept
        if kept is not None:
            more = self._size - self.kept
            if kept.total + more > kept.most:
                return False
            kept.total += more
            self.kept += more
        return True

    def give_back(self) -> None:
        """Count what was kept back no more."""
        if self._hold.kept is not None:
            self._hold.kept.total -= self.kept
            self.kept = 0

    async def _release(self) -> None:
        """The stream is complete: begin it if nothing did, and write what was held."""
        self._reply.claim()
        self._watch.relax()
        self._begin()
        held, self._held = self._held, []
        if self._listener is not None:
            held += [self._encoder.event(shown) for shown in self._listener.close() if shown.data]
        self.x.committed = True
        if held:
            await self._reply.write(b"".join(held))

    def _begin(self) -> None:
        """Begin the answer, unless another target has and this one goes on with it."""
        if self.x.committed:
            return
        self._reply.claim()
        self.x.first_byte_s = self._ambient.monotonic() - self.x.began
        if not self._reply.started:
            self._start(named=True)

    def _start(self, *, named: bool) -> None:
        now_s = self._ambient.monotonic() - self.x.began
        self._reply.start(answer_lines(self.x, now_s, stream=True, named=named), self._encoder.media_type)

    def _keep_alive(self) -> None:
        """Give a sign of life, which begins a stream that is held back: it is not known yet who will have answered."""
        if not self._reply.started:
            self._start(named=False)
        self._reply.write_if_ready(self._encoder.keep_alive)

    def _forgive_silence_after_the_end(self, cancelled: asyncio.CancelledError) -> None:
        """A stream that is complete but for its `[DONE]` is complete; any other interruption goes on its way."""
        cause = self._watch.cause()
        if cause is None:
            raise cancelled
        if not (self._terminal and isinstance(cause, IdleTimeout)):
            raise cause


def _unended() -> ConnectionBroken:
    return ConnectionBroken("the provider's stream ended before its end was marked")


def _no_events() -> TypeError:
    return TypeError("`feed` returned None, no list of events")


async def one_by_one(events: AsyncIterator[StreamEvent]) -> AsyncIterator[list[StreamEvent]]:
    """Make a batch of each event, as `StreamRelay.run` takes them."""
    async for event in events:
        yield [event]
