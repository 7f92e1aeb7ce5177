"""Google's models as a provider: Gemini on Vertex AI and at AI Studio, and Claude on Vertex AI.

Wire: ai.google.dev/api, docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference. The modules beside this
one name the pages they are written from.
"""

import msgspec
from msgspec import Struct

from switchgear.contracts.capability import ONLY_EMBEDDINGS, usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    COUNT,
    EMBEDDINGS,
    Answer,
    Call,
    Head,
    ModelPage,
    ProviderConfig,
    ProviderFault,
    StreamDecoder,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.wire.gathered import gathered, is_stream
from switchgear.wire.members import BROKEN
from switchgear.wire.messages.provider import MESSAGES, MESSAGES_COUNT
from switchgear_plugins.vertex.address import Address, authorise, family
from switchgear_plugins.vertex.answer import decode_chat
from switchgear_plugins.vertex.claude import ClaudeOnVertex, EitherDecoder, is_claude, speaks_messages
from switchgear_plugins.vertex.embeddings import decode_embeddings, embedding_body, embedding_method, embeds
from switchgear_plugins.vertex.faults import read_fault
from switchgear_plugins.vertex.models import read_models
from switchgear_plugins.vertex.request import chat_body, count_body
from switchgear_plugins.vertex.service_account import Exchange, read_token, service_account
from switchgear_plugins.vertex.settings import VertexProviderSettings
from switchgear_plugins.vertex.stream import GeminiDecoder
from switchgear_plugins.vertex.thinking import thinks

_ANY_PROJECT = Secret({"project_id": "any-project"})
"""For looking at a model's name only."""


class _Count(Struct, rename="camel"):
    total_tokens: int


_count_decoder = msgspec.json.Decoder(_Count)


class VertexProvider:
    """Google's models. The credential has `api_key`, `access_token` (perhaps with `project_id`), or a service account's key:
    `service_account` with the whole JSON, or its `client_email` and `private_key`.

    Google names requests in the details of its errors, not in a header.
    """

    wires = frozenset({CANONICAL, EMBEDDINGS, COUNT, MESSAGES, MESSAGES_COUNT})
    request_id_header = "x-request-id"

    def __init__(self, config: ProviderConfig[VertexProviderSettings]) -> None:
        self._address = Address(config.settings, config.base_url)
        self._settings = config.settings
        self._ambient = config.ambient
        self._headers = {name.lower(): value for name, value in config.headers.items()}
        self._exchange = Exchange(config.settings.token_uri)
        self._claude = ClaudeOnVertex(self._address, self._headers, config.ambient)

    def traits(self, model: str) -> Traits:
        """Say what a model is, by its name. Express mode has no embeddings. Raises ValueError for one that cannot be here."""
        self._address.resource(model, _ANY_PROJECT)
        if is_claude(model):
            if not self._address.vertex or self._address.express:
                raise ValueError("Claude is on Vertex AI only: set `settings.project` or `settings.location`")
            return self._claude.traits(family(model))
        if embeds(model):
            return Traits(frozenset() if self._address.express else frozenset({EMBEDDINGS}), ONLY_EMBEDDINGS)
        return Traits(frozenset({CANONICAL, COUNT}), usual(reasoning=thinks(model)))

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        if is_claude(model.name):
            return self._claude.prepare(call, model, secret)
        resource = self._address.resource(model.name, secret)
        if call.wire == EMBEDDINGS:
            method = embedding_method(model.name, vertex=self._address.vertex)
            body = embedding_body(call, method, resource)
        elif call.wire == COUNT:
            method, body = "countTokens", count_body(call, model, None if self._address.vertex else resource)
        else:
            method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
            body = chat_body(call, model, self._settings)
        headers = {"content-type": "application/json", **self._headers, **authorise(secret)}
        return OutboundRequest("POST", self._address.url(resource, method), headers, body)

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        if call.wire == EMBEDDINGS:
            return decode_embeddings(call, head, body)
        if call.wire == COUNT and b"input_tokens" not in body:
            return _decode_count(head, body)
        if call.wire == CANONICAL and is_stream(body):
            return gathered(self.decoder(call, head), body)
        if call.wire != CANONICAL or speaks_messages(body):
            return self._claude.decode(call, head, body)
        return decode_chat(head, body, self._ambient, call.aliases)

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        messages = self._claude.decoder(call, head)
        if call.wire == MESSAGES:
            return messages
        return EitherDecoder(GeminiDecoder(call, head, self._ambient), messages)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify a failure."""
        return self._claude.fault(call, head, body)

    def token_request(self, secret: Secret) -> OutboundRequest | None:
        """Trade a service account's key for an access token; keys and tokens are used as they are."""
        if "access_token" in secret or "api_key" in secret:
            return None
        account = service_account(secret)
        if account is None:
            return None
        return self._exchange.request(account, self._ambient.now_us() // 1_000_000)

    def token(self, secret: Secret, head: Head, body: bytes) -> Secret:
        """Read the access token."""
        return read_token(service_account(secret), head, body, self._ambient.now_us())

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:
        """Ask for a page of models."""
        return OutboundRequest("GET", self._address.list_url(cursor), {**self._headers, **authorise(secret)})

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read a page of models."""
        return read_models(head, body)


def _decode_count(head: Head, body: bytes) -> Answer:
    try:
        found = _count_decoder.decode(body)
    except BROKEN:
        raise read_fault(head, body) from None
    return Answer(msgspec.json.encode({"input_tokens": found.total_tokens}))
