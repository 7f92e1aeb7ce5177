"""POST /v1/embeddings. Wire: developers.openai.com/api/reference/resources/embeddings/methods/create."""

from collections.abc import Mapping

from msgspec import Raw

from switchgear.contracts.conversation import Face
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.provider import EMBEDDINGS, Answer, Call
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.plain import PlainFace
from switchgear.wire.members import member
from switchgear_plugins.openai.frames import NULL, ChunkEncoder, check_model, read_model

_INPUT = (
    "`input` must be a text, an array of texts, an array of tokens or an array of arrays of tokens, none of them empty."
)


class Embeddings:
    """The canonical form of embeddings is OpenAI's, so nothing is translated; there are no streams."""

    path = "/v1/embeddings"
    wire = EMBEDDINGS
    face: Face | None = PlainFace(EMBEDDINGS, "input", takes_instructions=False)
    pieces: AnswerFace | None = None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head."""
        return Call("embedding", EMBEDDINGS, members, model=read_model(members))

    def check(self, call: Call) -> None:
        """Refuse what every provider would."""
        check_model(call)
        members = call.members
        _check_input(members)
        if member(members, "encoding_format", str) not in (None, "float", "base64"):
            raise _invalid("`encoding_format` must be `float` or `base64`.", "encoding_format")
        dimensions = member(members, "dimensions", int)
        if dimensions is not None and dimensions < 1:
            raise _invalid("`dimensions` must be at least 1.", "dimensions")
        member(members, "user", str)
        if member(members, "stream", bool):
            raise _invalid("Embeddings are not streamed; leave `stream` out.", "stream")

    def canonical(self, call: Call) -> Call:
        """Return the call: this is the canonical form."""
        return call

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Return the body: this is the canonical form."""
        return answer.body

    def encoder(self, call: Call, *, translate: bool) -> ChunkEncoder:  # noqa: ARG002 - the contract's shape
        """Return an encoder, for the contract's sake: `check` lets no stream in."""
        return ChunkEncoder()


def _check_input(members: dict[str, Raw]) -> None:
    if members.get("input", NULL) == NULL:
        raise InvalidRequest("`input` is missing: say what to embed.", param="input", code="missing_field")
    given = member(members, "input", str | list[str | int | list[int]])  # type: ignore[arg-type]  # a union is a type here
    kinds = {type(one) for one in given} if isinstance(given, list) else {str}
    empty = not given or (isinstance(given, list) and any(one in ("", []) for one in given))
    if empty or len(kinds) > 1:
        raise _invalid(_INPUT, "input")


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="invalid_value")
