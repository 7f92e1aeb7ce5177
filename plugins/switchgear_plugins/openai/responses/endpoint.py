"""POST /v1/responses. Wire: developers.openai.com/api/reference/resources/responses.

A provider that speaks it gets the request as it came, state and built-in tools included. For every other it becomes a chat.
"""

from collections.abc import Mapping

from msgspec import Raw

from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.provider import Answer, Call
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.responses import ResponsesFace
from switchgear.wire.pieces.responses import ResponsePieces
from switchgear_plugins.openai.responses.answer import encode_answer
from switchgear_plugins.openai.responses.request import WIRE, canonical, check, parse
from switchgear_plugins.openai.responses.stream import NativeEncoder, ResponsesEncoder


class Responses:
    """Responses, on any provider."""

    path = "/v1/responses"
    wire = WIRE
    face: Face | None = ResponsesFace()
    pieces: AnswerFace | None = ResponsePieces()

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head."""
        return parse(members)

    def check(self, call: Call) -> None:
        """Want a model and something to answer."""
        check(call)

    def canonical(self, call: Call) -> Call:
        """Make a chat of it. Raises `InvalidRequest` for what a chat cannot say."""
        try:
            return canonical(call)
        except RecursionError:
            raise InvalidRequest("The request is nested too deeply.", code="invalid_json") from None

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Make a response of a chat's answer."""
        return encode_answer(call, answer)

    def encoder(self, call: Call, *, translate: bool) -> StreamEncoder:
        """Make the encoder of one stream."""
        return ResponsesEncoder(call) if translate else NativeEncoder()
