"""POST /v1/responses. Wire: developers.openai.com/api/reference/resources/responses.

A provider that speaks it gets the request as it came, state and built-in tools included. For every other it becomes a chat.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.provider import CANONICAL, COUNT, Answer, Call
from switchgear.errors import InvalidRequest
from switchgear.wire.chat_provider import COMPACT, INPUT_TOKENS
from switchgear.wire.faces.responses import ResponsesFace
from switchgear.wire.pieces.responses import ResponsePieces
from switchgear_plugins.openai.frames import read_model
from switchgear_plugins.openai.responses.answer import encode_answer, encode_compaction
from switchgear_plugins.openai.responses.request import WIRE, canonical, check, compaction_of, parse
from switchgear_plugins.openai.responses.stream import NativeEncoder, ResponsesEncoder

_encode = msgspec.json.Encoder().encode


class _Endpoint:
    """What the endpoints of this API share."""

    face: Face | None = ResponsesFace()

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head."""
        return parse(members)

    def check(self, call: Call) -> None:
        """Want a model and something to answer."""
        check(call)

    def _canonical(self, call: Call, operation: str = "chat", wire: str = CANONICAL) -> Call:
        try:
            return canonical(call, operation, wire)
        except RecursionError:
            raise InvalidRequest("The request is nested too deeply.", code="invalid_json") from None

    def encoder(self, call: Call, *, translate: bool) -> StreamEncoder:
        """Make the encoder of one stream."""
        return ResponsesEncoder(call) if translate else NativeEncoder()


class Responses(_Endpoint):
    """Responses, on any provider."""

    path = "/v1/responses"
    wire = WIRE
    pieces: AnswerFace | None = ResponsePieces()

    def canonical(self, call: Call) -> Call:
        """Make a chat of it. Raises `InvalidRequest` for what a chat cannot say."""
        return self._canonical(call)

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Make a response of a chat's answer."""
        return encode_answer(call, answer)


class Compact(_Endpoint):
    """POST /v1/responses/compact: a conversation put in short. Never a stream.

    A provider that has none is asked for a summary, which one item carries.
    """

    path = "/v1/responses/compact"
    wire = COMPACT
    pieces: AnswerFace | None = None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head."""
        return Call("chat", COMPACT, members, model=read_model(members))

    def canonical(self, call: Call) -> Call:
        """Ask for a summary of the conversation."""
        return self._canonical(compaction_of(call))

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Carry the summary in an item."""
        return encode_compaction(compaction_of(call), answer)


class InputTokens(_Endpoint):
    """POST /v1/responses/input_tokens: how many tokens a request has. Never a stream."""

    path = "/v1/responses/input_tokens"
    wire = INPUT_TOKENS
    pieces: AnswerFace | None = None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head."""
        return Call("count", INPUT_TOKENS, members, model=read_model(members))

    def canonical(self, call: Call) -> Call:
        """Ask for the count of the chat that says the same."""
        return self._canonical(call, "count", COUNT)

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Say the count in this API's shape."""
        return _encode({"object": "response.input_tokens", **msgspec.json.decode(answer.body)})
