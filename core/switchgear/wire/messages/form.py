"""The parts of the Messages form that whole answers and streams share: content blocks, usage, stop reasons.

Wire: docs.anthropic.com/en/api/messages and …/messages-streaming. Only what the gateway must understand is decoded.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from switchgear.contracts.usage import Usage, believable
from switchgear.wire.usage import read_counts, read_usage

C = TypeVar("C", bound=Struct)

_NULL = Raw(b"null")

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the turn is not over: the client may send it back to have it continued
    "refusal": "content_filter",
}


class OutputDetails(Struct, gc=False):
    """What of the output was thinking."""

    thinking_tokens: int | None = None


class CacheWrites(Struct, gc=False):
    """What was written into a cache, by how long it is kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Counts(Struct, gc=False):
    """What every count has: `input_tokens` are those neither read from a cache nor written to one."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheWrites | None = None
    output_tokens: int | None = None


class TokenCounts(_Counts, gc=False):
    """`usage`. Where the model ran several times for one answer (`iterations`), all of them are paid for, and the counts beside
    them are of some.
    """

    output_tokens_details: OutputDetails | None = None
    iterations: list[_Counts] | None = None

    def updated(self, newer: "TokenCounts") -> "TokenCounts":
        """Return these counts with what a later event says over them: it is cumulative, and leaves out what has not changed.

        A later zero is no news but of the output, which was a guess before: some servers fill in what they leave out.
        """
        found = _updated(self, newer)
        return found if newer.output_tokens is None else structs.replace(found, output_tokens=newer.output_tokens)

    def outlast(self, newer: "TokenCounts") -> dict[str, int]:
        """Return the counts of the input that a later event has nothing to say to but zeros."""
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return {name: getattr(self, name) for name in names if getattr(newer, name) == 0 and getattr(self, name)}

    def usage(self) -> Usage | None:
        """Return the sum as the ledger counts; None if nothing was said or it cannot be true."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        runs = self.iterations or (self,)
        fresh, made = _sum(runs, "input_tokens"), _sum(runs, "output_tokens")
        if fresh < (self.input_tokens or 0) or made < (self.output_tokens or 0):
            return None if runs == (self,) else structs.replace(self, iterations=None).usage()
        read, written = _sum(runs, "cache_read_input_tokens"), _sum(runs, "cache_creation_input_tokens")
        kept = [run.cache_creation for run in runs if run.cache_creation is not None]
        short, long = _sum(kept, "ephemeral_5m_input_tokens"), _sum(kept, "ephemeral_1h_input_tokens")
        thought = (self.output_tokens_details and self.output_tokens_details.thinking_tokens) or 0
        if not believable(read, written, fresh, short, long):
            return None
        written = max(written, short + long)
        return Usage.of(
            fresh + read + written,
            made,
            cached_input=read,
            cache_write_5m=short,
            cache_write_1h=long,
            cache_write=written - short - long,
            reasoning=thought,
        )


def _sum(counts: Sequence[Struct], name: str) -> int:
    return sum(getattr(count, name) or 0 for count in counts)


def _updated(one: C, newer: C) -> C:
    said: dict[str, Any] = {}
    for name in one.__struct_fields__:
        old, new = getattr(one, name), getattr(newer, name)
        if isinstance(old, Struct) and isinstance(new, Struct):
            said[name] = _updated(old, new)
        elif new or old is None:
            said[name] = new
    return structs.replace(one, **said)


_decoder = msgspec.json.Decoder(TokenCounts)


def read_tokens(raw: Raw) -> TokenCounts | None:
    """Decode a `usage` object; None for null and for something that is not one."""
    if raw == _NULL:
        return None
    found = read_counts(_decoder, raw)
    if found is None or found.input_tokens is not None or found.output_tokens is not None:
        return found
    said = read_usage(raw)  # in the words of chats
    if said is None:
        return found
    read, written = said.cached_input_tokens, said.cache_write_tokens
    return TokenCounts(said.input_tokens - read - written, read, written, output_tokens=said.output_tokens)


class StopDetails(Struct, gc=False):
    """Why it stopped, in words."""

    explanation: str | None = None


class Citation(Struct, gc=False):
    """Where a text was found; `url` where that is in the web."""

    url: str | None = None
    title: str | None = None


class Block(Struct, gc=False):
    """A content block. Which members mean something depends on the type."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"{}")
    citations: list[Citation] | None = None


class Delta(Struct, gc=False):
    """What an event of a stream adds to a block or, at the end, to the message. What is said may be anything but text, too."""

    type: str = ""
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    citation: Citation | None = None


class Begun(Struct, gc=False):
    """The message that a stream begins with."""

    id: str | None = None
    model: str | None = None
    usage: Raw = _NULL


class Event(Struct, gc=False):
    """An event of a stream. Which members mean something depends on the type."""

    type: str
    index: int | float | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Begun | None = None
    usage: Raw = _NULL


STOPS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
"""Words of the chat form that other servers of this one write, and its own."""


def stop_of(reason: str | None, *, called: bool) -> str | None:
    """Return why a message stopped in this form's words: for the use of a tool where one was `called`."""
    found = STOPS.get(reason or "", reason)
    return "tool_use" if called and found == "end_turn" else found


def finish_reason(stop_reason: str | None) -> str:
    """Return the canonical finish reason; one that is not known yet is a `stop`."""
    reason = stop_reason or ""
    return _FINISH.get(STOPS.get(reason, reason), "stop")
