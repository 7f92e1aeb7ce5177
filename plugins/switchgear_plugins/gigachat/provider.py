"""Sber's GigaChat as a provider. Wire: developers.sber.ru/docs/ru/gigachat/api/reference/rest/gigachat-api."""

from urllib.parse import urlsplit

import msgspec

from switchgear.contracts.capability import ONLY_EMBEDDINGS, usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    COUNT,
    EMBEDDINGS,
    Answer,
    Call,
    DiscoveredModel,
    Head,
    ModelPage,
    ProviderConfig,
    ProviderFault,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import SecretUnavailable
from switchgear.wire.canonical import drop_others
from switchgear.wire.chat import decode_fault
from switchgear.wire.embeddings import embeddings_answer, read_embeddings
from switchgear.wire.members import BROKEN, decode_text
from switchgear_plugins.gigachat.answer import GigaChatDecoder, read_answer
from switchgear_plugins.gigachat.faults import classify
from switchgear_plugins.gigachat.request import chat_body
from switchgear_plugins.gigachat.settings import GigaChatSettings
from switchgear_plugins.gigachat.tokens import read_token, token_request
from switchgear_plugins.gigachat.wire import Body, Count, Models, Vectors

BASE_URL = "https://gigachat.devices.sberbank.ru/api/v1"
_PATHS = {CANONICAL: "/chat/completions", EMBEDDINGS: "/embeddings", COUNT: "/tokens/count"}
_SPOKEN = frozenset({"chat", "embedder", None})

_vectors_decoder = msgspec.json.Decoder(Vectors)
_counts_decoder = msgspec.json.Decoder(list[Count])
_models_decoder = msgspec.json.Decoder(Models)


class GigaChatProvider:
    """GigaChat's API. The credential has the field `auth_key`, the project's authorization key, or an `access_token`.

    One tool call an answer. Images must be uploaded to GigaChat first and be named by their file id. What is counted is the
    text of the messages and functions, without what the service puts between them.
    """

    wires = frozenset(_PATHS)
    request_id_header = "x-request-id"

    def __init__(self, config: ProviderConfig[GigaChatSettings]) -> None:
        settings = config.settings
        auth = urlsplit(settings.auth_url)
        if auth.scheme != "https" or not auth.hostname or auth.username is not None:
            raise ValueError("`auth_url` is an https address, as https://ngw.devices.sberbank.ru:9443/api/v2/oauth")
        base = (config.base_url or BASE_URL).rstrip("/")
        self._base = base
        self._urls = {wire: base + path for wire, path in _PATHS.items()}
        own = {name.lower(): value for name, value in config.headers.items()}
        self._headers = {"content-type": "application/json", "accept": "application/json", **own}
        self._settings = settings
        self._ambient = config.ambient

    def traits(self, model: str) -> Traits:
        """Say what a model is, by its name."""
        if "embedding" in model.lower():
            return Traits(frozenset({EMBEDDINGS}), ONLY_EMBEDDINGS)
        return Traits(frozenset({CANONICAL, COUNT}), usual(vision=False, reasoning="GigaChat-3" in model))

    def _authorised(self, secret: Secret | None) -> dict[str, str]:
        if secret is None:
            return dict(self._headers)
        if "access_token" not in secret:
            raise SecretUnavailable("the credential has no token; enter it again with auth_key")
        return {**self._headers, "authorization": f"Bearer {secret['access_token']}"}

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        if call.wire == EMBEDDINGS:
            body = self._embeddings_body(call, model)
        else:
            body = chat_body(call, model)
            if call.wire == COUNT:
                body = {"model": body["model"], "input": _texts(body)}
        headers = self._authorised(secret)
        if call.stream:
            headers["accept"] = "text/event-stream"
        return OutboundRequest("POST", self._urls[call.wire], headers, msgspec.json.encode(body))

    def _embeddings_body(self, call: Call, model: TargetModel) -> Body:
        wanted = read_embeddings(call)
        drop_others(call, ("input", "encoding_format"))
        return {"model": model.name_json, "input": wanted.texts()}

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        if call.wire == CANONICAL:
            return read_answer(body, head, self._ambient, call.aliases)
        try:
            if call.wire == COUNT:
                counts = decode_text(_counts_decoder, body)
                return Answer(msgspec.json.encode({"input_tokens": sum(count.tokens for count in counts)}))
            found = decode_text(_vectors_decoder, body)
        except BROKEN:
            raise decode_fault(head.status, body, head) from None
        if not found.data:
            raise ProviderFault("protocol", head.status, request_id=head.header(self.request_id_header))
        data = sorted(found.data, key=lambda vector: vector.index)
        said = [vector.usage.prompt_tokens for vector in data if vector.usage is not None]
        usage = Usage.of(sum(said)) if said else None
        return embeddings_answer(call, [vector.embedding for vector in data], usage, found.model)

    def decoder(self, call: Call, head: Head) -> GigaChatDecoder:
        """Make the decoder of one stream."""
        return GigaChatDecoder(call, head, self._ambient)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return classify(head, body)

    def token_request(self, secret: Secret) -> OutboundRequest | None:
        """Build the request for a token; None for a credential that is one."""
        if "access_token" in secret:
            return None
        return token_request(self._settings.auth_url, self._settings.scope, self._ambient, secret)

    def token(self, secret: Secret, head: Head, body: bytes) -> Secret:  # noqa: ARG002 - the contract's shape
        """Read the token."""
        return read_token(head, body)

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:  # noqa: ARG002 - one page
        """Build the request for the list of models."""
        return OutboundRequest("GET", f"{self._base}/models", self._authorised(secret))

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read the list of models, without those that only filter or classify."""
        if not 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
            raise classify(head, body)
        try:
            found = decode_text(_models_decoder, body).data
        except BROKEN:
            raise decode_fault(head.status, body, head) from None
        return ModelPage(
            tuple(DiscoveredModel(model.id, owned_by=model.owned_by) for model in found if model.type in _SPOKEN)
        )


def _texts(body: Body) -> list[str]:
    texts = [message["content"] for message in body["messages"]]
    texts += [
        msgspec.json.encode(message["function_call"]).decode()
        for message in body["messages"]
        if "function_call" in message
    ]
    texts += [msgspec.json.encode(function).decode() for function in body.get("functions", ())]
    return [text for text in texts if text]
