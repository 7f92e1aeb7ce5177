"""The parts of the Messages form that whole answers and streams share: content blocks, usage, stop reasons.

Wire: docs.anthropic.com/en/api/messages and …/messages-streaming. Only what the gateway must understand is decoded.
"""

from msgspec import Raw, Struct, structs

from switchgear.contracts.usage import Usage, believable

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


class TokenCounts(Struct, gc=False):
    """`usage`. `input_tokens` are those neither read from a cache nor written to one."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None

    def updated(self, newer: "TokenCounts") -> "TokenCounts":
        """Return these counts with what a later event says over them: it is cumulative, and leaves out what has not changed."""
        said = {name: value for name, value in structs.asdict(newer).items() if value is not None}
        return structs.replace(self, **said)

    def usage(self) -> Usage | None:
        """Return the sum as the ledger counts; None if nothing was said or it cannot be true."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        read, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        fresh, made = self.input_tokens or 0, self.output_tokens or 0
        thought = (self.output_tokens_details and self.output_tokens_details.thinking_tokens) or 0
        if not believable(read, written, fresh, made, thought):
            return None
        return Usage(fresh + read + written, made, read, written, min(thought, made))


class StopDetails(Struct, gc=False):
    """Why it stopped, in words."""

    explanation: str | None = None


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


def finish_reason(stop_reason: str | None) -> str:
    """Return the canonical finish reason; one that is not known yet is a `stop`."""
    return _FINISH.get(stop_reason or "", "stop")
