"""The wires that clients stream on, each with a model whose upstream speaks it too, and the marks by which its ends are told."""

from typing import Any

from msgspec import Struct

from support.faultup import FaultUpstream
from support.gateway import SOURCE, Running


class Wire(Struct, frozen=True):
    """One wire format.

    finish  what the event holds with which an answer is whole, though more may follow it
    last    what ends a stream that is whole, and no other
    """

    name: str
    path: str
    finish: bytes
    last: bytes

    def ask(self, text: str, *, stream: bool = True) -> dict[str, Any]:
        """Return the body of a request to the model of this wire."""
        said = [{"role": "user", "content": text}]
        head = {"model": f"at-{self.name}", "stream": stream}
        if self.name == "responses":
            return {**head, "input": said}
        return {**head, "messages": said, **({"max_tokens": 1000} if self.name == "messages" else {})}

    def finished_at(self, recorded: bytes) -> int:
        """Return the offset in a whole stream at which the event that makes it whole has all its text."""
        return recorded.index(b"\n", recorded.index(self.finish))

    def is_complete(self, status: int, body: bytes) -> bool:
        """Say whether a client may believe that it has the whole answer of a stream."""
        return status == 200 and self.last in body


WIRES = (
    Wire("chat", "/v1/chat/completions", b'"finish_reason":"stop"', b"data: [DONE]"),
    Wire("messages", "/v1/messages", b'"stop_reason":"end_turn"', b"event: message_stop"),
    Wire("responses", "/v1/responses", b'"type":"response.completed"', b"event: response.completed"),
)


async def provide(run: Running, up: FaultUpstream) -> None:
    """Make the models `at-chat`, `at-messages` and `at-responses` at an upstream."""
    await run.create("credentials", id="anthropic", type="anthropic", source=SOURCE)
    await run.create("credentials", id="openai", type="openai", source=SOURCE)
    await run.create("providers", id="a", type="anthropic", base_url=up.url, credential_id="anthropic")
    await run.create("providers", id="o", type="openai", base_url=up.base_url, credential_id="openai")
    for wire in WIRES:
        provider = "a" if wire.name == "messages" else "o"
        await run.create("models", id=f"at-{wire.name}", provider_id=provider, provider_model=f"upstream-{wire.name}")
