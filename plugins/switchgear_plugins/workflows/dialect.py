"""`POST /v1/workflows/{id}/execute`: a workflow run by its id, answered whole or, with `stream`, event by event."""

from collections.abc import AsyncIterator, Mapping

import msgspec
from msgspec import Raw

from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import InferenceEndpoint, Route, StreamEncoder, WebSocketRoute
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.inside import InsideStream
from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.errors import ApiError, InvalidRequest, NotFound
from switchgear.wire.members import member, raw
from switchgear.wire.sse import encode_event
from switchgear_plugins.workflows.native import WIRE, given

PATH = "/v1/workflows/{id}/execute"
_KNOWN = frozenset({"id", "input", "stream", "model"})
_encode = msgspec.json.Encoder().encode


class WorkflowsDialect:
    """The path, and errors in the shape of OpenAI's API."""

    name = "workflows"
    request_id_header: bytes | None = None
    retry_count_header: bytes = b""
    routes: tuple[Route | WebSocketRoute, ...] = ()

    def __init__(self) -> None:
        self.inference: tuple[InferenceEndpoint, ...] = (Execute(),)

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        return _error(error, request_id)


class Execute:
    """Run a workflow with an input."""

    path = PATH
    wire = WIRE
    face: Face | None = None
    pieces: AnswerFace | None = None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head: the workflow is the model that is asked."""
        id = member(members, "id", str) or ""
        stream = bool(member(members, "stream", bool))
        return Call("workflow", WIRE, {**members, "model": raw(id)}, model=id, stream=stream, usage_wanted=True)

    def check(self, call: Call) -> None:
        """Refuse what is no input."""
        unknown = [name for name in call.members if name not in _KNOWN]
        if unknown:
            message = f"There is no member `{unknown[0][:64]}`; what a workflow is given stands in `input`."
            raise InvalidRequest(message, param=unknown[0][:64], code="unknown_parameter")
        given(call)

    def canonical(self, call: Call) -> Call:
        """Refuse a name that is no workflow's."""
        raise NotFound(f"There is no workflow `{call.model[:64]}`.", param="id", code="workflow_not_found")

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Give what a policy answers."""
        return answer.body

    def encoder(self, call: Call, *, translate: bool) -> StreamEncoder:  # noqa: ARG002 - likewise
        """Make the encoder of a run."""
        return _Encoder()


class _Encoder:
    """Server-sent events, each named after what happened."""

    media_type = b"text/event-stream"
    keep_alive = b": keep-alive\n\n"

    def event(self, event: StreamEvent) -> bytes:
        """Frame one."""
        return encode_event(event.data, event.name) if event.data else b""

    def end(self) -> bytes:
        """Add nothing: the last event says that it is."""
        return b""

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame an error."""
        return encode_event(_error(error, request_id), b"error")


async def told(events: InsideStream) -> AsyncIterator[bytes]:
    """Frame the events of a run that was begun from inside."""
    try:
        async with events:
            async for event in events:
                if event.data:
                    yield encode_event(event.data, event.name)
    except ApiError as error:
        yield encode_event(_error(error, events.id), b"error")


def _error(error: ApiError, request_id: str) -> bytes:
    said = {**error.extra, "message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return _encode({"error": said, "request_id": request_id})
