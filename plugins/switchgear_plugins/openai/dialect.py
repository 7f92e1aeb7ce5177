"""OpenAI's API as clients speak it: chat and text completions, embeddings, responses, models.

Wire: platform.openai.com/docs/api-reference. The canonical forms are its chat completions and embeddings.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import InferenceEndpoint, Route, RouteReply, RouteRequest, WebSocketRoute
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.principal import USE
from switchgear.contracts.provider import CANONICAL, Answer, Call
from switchgear.errors import ApiError, InvalidRequest, MethodNotAllowed, NotFound
from switchgear.wire.faces.chat import ChatFace
from switchgear.wire.members import holds_items, member
from switchgear.wire.pieces.chat import ChatPieces
from switchgear_plugins.openai.completions import Completions
from switchgear_plugins.openai.embeddings import Embeddings
from switchgear_plugins.openai.frames import ChunkEncoder, check_model, encode_error, read_model, wants_usage
from switchgear_plugins.openai.responses.endpoint import Compact, InputTokens, Responses

_json = msgspec.json.Encoder()


class ChatCompletions:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"
    wire = CANONICAL
    face: Face | None = ChatFace()
    pieces: AnswerFace | None = ChatPieces()

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head. Everything else goes to the provider as it came."""
        model = read_model(members)
        stream = member(members, "stream", bool) or False
        bound = member(members, "max_completion_tokens", int) or member(members, "max_tokens", int)
        return Call(
            "chat",
            CANONICAL,
            members,
            model=model,
            stream=stream,
            usage_wanted=wants_usage(members),
            max_tokens=bound,
        )

    def check(self, call: Call) -> None:
        """Want a model and messages."""
        check_model(call)
        if not holds_items(call.members, "messages"):
            raise InvalidRequest("`messages` must be a non-empty array.", param="messages", code="invalid_messages")

    def canonical(self, call: Call) -> Call:
        """Return the call: this is the canonical form."""
        return call

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Return the body: this is the canonical form."""
        return answer.body

    def encoder(self, call: Call, *, translate: bool) -> ChunkEncoder:  # noqa: ARG002 - the contract's shape
        """Return the encoder."""
        return ChunkEncoder()


async def list_models(request: RouteRequest) -> RouteReply:
    """List what the principal may use and is enabled, in id order, with an ETag."""
    found = request.snapshot.callables.items()
    names = sorted([name for name, it in found if it.enabled and await request.may(USE, "models", name)])
    listed: dict[str, Any] = {"object": "list", "data": [_model(name, request) for name in names]}
    listed |= {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    if "client_version" in request.query:
        listed["models"] = []  # its own catalogue, which a coding agent reads here: it goes by the one it brings
    body = _json.encode(listed)
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    if request.headers.get(b"if-none-match") == etag:
        return RouteReply(b"", 304, headers=((b"etag", etag),))
    return RouteReply(body, headers=((b"etag", etag),))


async def get_model(request: RouteRequest) -> RouteReply:
    """Return one model; unknown, disabled and forbidden look the same."""
    name = request.snapshot.without_prefix(request.params["model"])
    found = request.snapshot.callable(name)
    if found is None or not found.enabled or not await request.may(USE, "models", name):
        message = f"The model `{name[:64]}` does not exist or you do not have access to it."
        raise NotFound(message, code="model_not_found", param="model")
    return RouteReply(_json.encode(_model(name, request)))


async def refuse_socket(request: RouteRequest) -> RouteReply:
    """Tell clients that try a WebSocket first to go on with POST at once: by this status they do, by others they try again."""
    if request.headers.get(b"upgrade", b"").lower() != b"websocket":
        request.exchange.headers.append((b"allow", b"POST"))
        raise MethodNotAllowed("GET is not allowed here; use POST.", code="method_not_allowed")
    message = "Responses are not spoken over a WebSocket here; send a POST."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "upgrade_required"}
    return RouteReply(_json.encode({"error": error}), 426)


def _model(name: str, request: RouteRequest) -> dict[str, Any]:
    found = request.snapshot.callable(name)
    assert found is not None
    created_s = found.created_us // 1_000_000
    # In the words of both APIs: clients of the other one ask here too, and each reads its own.
    return {
        "id": name, "object": "model", "created": created_s, "owned_by": found.owned_by, "type": "model",
        "display_name": name, "created_at": datetime.fromtimestamp(created_s, UTC).isoformat().replace("+00:00", "Z"),
    }  # fmt: skip


ROUTES = (
    Route("GET", "/v1/models", list_models, open_to="principals", summary="List the models you may use"),
    Route("GET", "/v1/models/{model:path}", get_model, open_to="principals", summary="Get a model"),
    Route(
        "GET", "/v1/responses", refuse_socket, open_to="everybody", summary="Refuse a WebSocket, so that a POST follows"
    ),
)


class OpenAIDialect:
    """OpenAI's endpoints and error shape."""

    name = "openai"
    request_id_header: bytes | None = None
    retry_count_header: bytes = b"x-stainless-retry-count"
    inference: tuple[InferenceEndpoint, ...] = (
        ChatCompletions(),
        Completions(),
        Embeddings(),
        Responses(),
        Compact(),
        InputTokens(),
    )
    routes: tuple[Route | WebSocketRoute, ...] = ROUTES

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        return encode_error(error, request_id)
