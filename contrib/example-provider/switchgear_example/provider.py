"""The wire format of the README, translated from and to the canonical chat form."""

from msgspec import Raw, Struct, field

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, Head, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.wire.answer_writer import AnswerWriter
from switchgear.wire.canonical import ChatRequest, Message
from switchgear.wire.chat import cause_of_status
from switchgear.wire.fit.plain import arguments_of
from switchgear.wire.translating import TranslatingProvider

FINISH = {"complete": "stop", "limit": "length"}


class ExampleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `example`."""

    accent: str | None = None


class Asking(Struct):
    """A tool to be used."""

    id: str
    tool: str = field(name="for")
    arguments: Raw = field(name="with", default=Raw(b"{}"))


class Line(Struct, omit_defaults=True):
    who: str
    says: str
    asks: list[Asking] = []
    answers: str | None = None


class Tool(Struct, omit_defaults=True):
    name: str
    about: str | None = None
    takes: dict[str, object] | None = None


class Talk(Struct, omit_defaults=True):
    voice: str
    lines: list[Line]
    tools: list[Tool] = []
    heat: float | None = None
    until: list[str] = []
    limit: int | None = None
    accent: str | None = None
    live: bool = False


class Words(Struct):
    heard: int
    said: int


class Piece(Struct):
    """An answer, or a piece of it."""

    says: str = ""
    asks: list[Asking] = []
    ended: str | None = None
    words: Words | None = None
    problem: str | None = None


class ExampleProvider(TranslatingProvider[ExampleSettings]):
    path = "/talk"
    reply = Piece
    carries = frozenset({"tools", "temperature", "stop"})
    finish_reasons = FINISH

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        return {} if secret is None else {"x-pass": secret.required("api_key")}

    def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> Talk:
        return Talk(
            voice=model.name,
            lines=[line(message) for message in chat.messages],
            tools=[Tool(it.name, it.description, it.parameters) for it, _ in chat.functions()],
            heat=chat.temperature,
            until=chat.stops,
            limit=chat.limit,
            accent=self.settings.accent,
            live=call.stream,
        )

    def read(self, piece: Piece, say: AnswerWriter) -> None:
        if piece.problem is not None:
            raise ProviderFault("overloaded" if piece.problem == "busy" else "server", 200)
        say.text(piece.says)
        for asking in piece.asks:
            say.tool_call(asking.tool, asking.arguments, asking.id)
        say.usage(None if piece.words is None else Usage.plain(piece.words.heard, piece.words.said))
        say.finish(piece.ended)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        return self.failure(head, "overloaded" if b"busy" in body else cause_of_status(head.status))


def line(message: Message) -> Line:
    asks = [Asking(it.id, it.function.name, arguments_of(it)) for it in message.tool_calls or ()]
    return Line(message.role, message.text(), asks, message.tool_call_id)
