"""The provider's own wire format, as Structs, and the two functions that translate it from and to the canonical chat form.

It is written for a server that takes `{"model", "turns", "tools", "heat", "limit", "stream"}` and answers
`{"text", "calls", "end", "tokens"}`, in a stream such objects as server-sent events. Put your provider's format in its place; the
exchanges and the suite in tests/ tell when something is amiss.
"""

from msgspec import Raw, Struct

from switchgear import NoSettings
from switchgear.contracts.provider import Call, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.wire.answer_writer import AnswerWriter
from switchgear.wire.canonical import ChatRequest, Message
from switchgear.wire.fit.plain import arguments_of
from switchgear.wire.translating import TranslatingProvider

FINISH = {"complete": "stop", "limit": "length", "blocked": "content_filter"}


class ToolUse(Struct):
    """A call of a tool."""

    id: str
    name: str
    arguments: Raw


class Turn(Struct, omit_defaults=True):
    """A turn of the conversation."""

    role: str
    text: str
    calls: list[ToolUse] = []
    answers: str | None = None


class Tool(Struct, omit_defaults=True):
    """A tool."""

    name: str
    about: str | None = None
    schema: dict[str, object] | None = None


class Request(Struct, omit_defaults=True):
    """What the provider is asked."""

    model: str
    turns: list[Turn]
    tools: list[Tool] = []
    heat: float | None = None
    limit: int | None = None
    stream: bool = False


class Tokens(Struct):
    """What was consumed."""

    read: int
    written: int


class Reply(Struct):
    """What the provider answers, whole or a piece of it."""

    text: str = ""
    calls: list[ToolUse] = []
    end: str | None = None
    tokens: Tokens | None = None


class PluginNameProvider(TranslatingProvider[NoSettings]):
    """One `providers` resource of type `plugin_name`."""

    path = "/generate"
    reply = Reply
    carries = frozenset({"tools", "temperature"})  # everything else is dropped by name, or refused
    finish_reasons = FINISH

    def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> Request:
        """Write a request."""
        return Request(
            model=model.name,
            turns=[turn(message) for message in chat.messages],
            tools=[Tool(it.name, it.description, it.parameters) for it, _ in chat.functions()],
            heat=chat.temperature,
            limit=chat.limit,
            stream=call.stream,
        )

    def read(self, reply: Reply, say: AnswerWriter) -> None:
        """Tell an answer, or a piece of one."""
        say.text(reply.text)
        for use in reply.calls:
            say.tool_call(use.name, use.arguments, use.id)
        say.usage(None if reply.tokens is None else Usage.plain(reply.tokens.read, reply.tokens.written))
        say.finish(reply.end)


def turn(message: Message) -> Turn:
    """Write one message."""
    calls = [ToolUse(it.id, it.function.name, arguments_of(it)) for it in message.tool_calls or ()]
    return Turn(message.role, message.text(), calls, message.tool_call_id)
