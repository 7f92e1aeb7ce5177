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
from switchgear.wire.answer_writer import AnswerWriter
from switchgear.wire.canonical import ChatRequest, drop_others
from switchgear.wire.chat import decode_fault
from switchgear.wire.embeddings import embeddings_answer, read_embeddings
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.translating import TranslatingProvider
from switchgear_plugins.gigachat.faults import classify
from switchgear_plugins.gigachat.request import CARRIED, NAMES, OWN, chat_body
from switchgear_plugins.gigachat.settings import GigaChatSettings
from switchgear_plugins.gigachat.tokens import read_token, token_request
from switchgear_plugins.gigachat.wire import REASONS, Body, Choice, Count, Models, Reply, Vectors

BASE_URL = "https://gigachat.devices.sberbank.ru/api/v1"
_PATHS = {CANONICAL: "/chat/completions", EMBEDDINGS: "/embeddings", COUNT: "/tokens/count"}
_SPOKEN = frozenset({"chat", "embedder", None})

_vectors_decoder = msgspec.json.Decoder(Vectors)
_counts_decoder = msgspec.json.Decoder(list[Count])
_models_decoder = msgspec.json.Decoder(Models)


class GigaChatProvider(TranslatingProvider[GigaChatSettings]):
    """GigaChat's API. The credential has the field `auth_key`, the project's authorization key, or an `access_token`.

    One tool call an answer. Images must be uploaded to GigaChat first and be named by their file id. What is counted is the
    text of the messages and functions, without what the service puts between them.
    """

    wires = frozenset(_PATHS)
    reply = Reply
    base_url = BASE_URL
    carries = CARRIED
    own = OWN
    finish_reasons = REASONS
    tool_names = NAMES

    def __init__(self, config: ProviderConfig[GigaChatSettings]) -> None:
        super().__init__(config)
        auth = urlsplit(config.settings.auth_url)
        if auth.scheme != "https" or not auth.hostname or auth.username is not None:
            raise ValueError("`auth_url` is an https address, as https://ngw.devices.sberbank.ru:9443/api/v2/oauth")
        self.headers = {"accept": "application/json", **self.headers}

    def traits(self, model: str) -> Traits:
        """Say what a model is, by its name."""
        if "embedding" in model.lower():
            return Traits(frozenset({EMBEDDINGS}), ONLY_EMBEDDINGS)
        return Traits(frozenset({CANONICAL, COUNT}), usual(vision=False, reasoning="GigaChat-3" in model))

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries the token."""
        if secret is None:
            return {}
        if "access_token" not in secret:
            raise SecretUnavailable("the credential has no token; enter it again with auth_key")
        return {"authorization": f"Bearer {secret['access_token']}"}

    def url(self, call: Call, model: TargetModel) -> str:  # noqa: ARG002 - the base's shape
        """Return the address of a call."""
        return self.base + _PATHS[call.wire]

    def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> Body:
        """Write the body of a chat."""
        return chat_body(chat, call, model)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        if call.wire == CANONICAL:
            return super().prepare(call, model, secret)
        if call.wire == EMBEDDINGS:
            wanted = read_embeddings(call)
            drop_others(call, ("input", "encoding_format"))
            body: Body = {"model": model.name_json, "input": wanted.texts()}
        else:
            body = {"model": model.name_json, "input": _texts(self.body(call, model))}
        headers = {**self.headers, **self.authorise(secret)}
        return OutboundRequest("POST", self.url(call, model), headers, msgspec.json.encode(body))

    def read(self, reply: Reply, say: AnswerWriter) -> None:
        """Tell an answer, or a chunk: text, thoughts or a whole function call; the last has the finish reason and the usage."""
        if reply.status is not None and not reply.choices:
            return  # a failure, which says no more
        if not reply.choices and reply.usage is None:
            raise ProviderFault("protocol", 200)
        say.created, say.model = reply.created, reply.model
        say.usage(None if reply.usage is None else reply.usage.usage())
        choice = reply.choices[0] if reply.choices else Choice()
        said = choice.message or choice.delta
        if said is not None:
            say.reasoning(said.reasoning_content)
            say.text(said.content)
            if said.function_call is not None:
                say.tool_call(said.function_call.name, said.function_call.arguments, said.functions_state_id)
        if choice.finish_reason == "error":  # it made arguments that its own function's schema does not allow
            raise ProviderFault("server", 200, code="error")
        say.finish(choice.finish_reason)

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        if call.wire == CANONICAL:
            return super().decode(call, head, body)
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

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return classify(head, body)

    def token_request(self, secret: Secret) -> OutboundRequest | None:
        """Build the request for a token; None for a credential that is one."""
        if "access_token" in secret:
            return None
        return token_request(self.settings.auth_url, self.settings.scope, self.ambient, secret)

    def token(self, secret: Secret, head: Head, body: bytes) -> Secret:  # noqa: ARG002 - the contract's shape
        """Read the token."""
        return read_token(head, body)

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:  # noqa: ARG002 - one page
        """Build the request for the list of models."""
        return OutboundRequest("GET", f"{self.base}/models", {**self.headers, **self.authorise(secret)})

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
