"""AWS Bedrock as a provider: Converse, ConverseStream, CountTokens, InvokeModel for embeddings, and the list of models.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html; endpoints:
docs.aws.amazon.com/general/latest/gr/bedrock.html. Model ids and ARNs are one segment of the path, percent-encoded.
"""

from urllib.parse import quote, urlsplit

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
from switchgear.errors import InvalidRequest, SecretUnavailable
from switchgear_plugins.bedrock.answer import decode_answer, decode_count
from switchgear_plugins.bedrock.embeddings import decode_embeddings, embed_body
from switchgear_plugins.bedrock.families import Family, family, foundation_model
from switchgear_plugins.bedrock.faults import REQUEST_ID, read_fault
from switchgear_plugins.bedrock.models import page_address, read_page
from switchgear_plugins.bedrock.request import converse_body, count_body
from switchgear_plugins.bedrock.settings import REGION, BedrockSettings
from switchgear_plugins.bedrock.sigv4 import Signer, canonical_query
from switchgear_plugins.bedrock.stream import ConverseDecoder

_SERVICE = "bedrock"
_DOMAINS = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
_MUST_BE_SIGNED = "x-amz-"


class _Endpoint:
    """A base address taken apart: what goes into the URL, the Host header and the canonical path."""

    __slots__ = ("host", "origin", "path")

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("`base_url` must be an address like https://bedrock-runtime.us-east-1.amazonaws.com")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port
        self.host = host if port is None or port == _DEFAULT_PORTS[parts.scheme] else f"{host}:{port}"
        self.origin = f"{parts.scheme}://{self.host}"
        self.path = parts.path.rstrip("/")


class BedrockProvider:
    """AWS Bedrock in one region.

    The credential has `access_key_id`, `secret_access_key` and, if it is temporary, `session_token`; or it has `api_key`, a
    Bedrock API key, which goes as a bearer token instead of a signature.
    """

    wires = frozenset({CANONICAL, EMBEDDINGS, COUNT})
    request_id_header = REQUEST_ID

    def __init__(self, config: ProviderConfig[BedrockSettings]) -> None:
        settings = config.settings
        if not REGION.fullmatch(settings.region):
            raise ValueError("`settings.region` must be an AWS region, as us-east-1")
        domain = _DOMAINS.get(settings.region.partition("-")[0], "amazonaws.com")
        base_url = config.base_url or f"https://bedrock-runtime.{settings.region}.{domain}"
        self._settings = settings
        self._ambient = config.ambient
        self._runtime = _Endpoint(base_url)
        # The models are listed at a host beside the runtime's, unless a proxy stands for both.
        self._control = _Endpoint(base_url.replace("://bedrock-runtime", "://bedrock", 1))
        self._signer = Signer(settings.region, _SERVICE)
        headers = {name.lower(): value for name, value in config.headers.items()}
        self._headers = {"content-type": "application/json", "accept": "application/json", **headers}
        self._stream_headers = {**self._headers, "accept": "application/vnd.amazon.eventstream"}

    def traits(self, model: str) -> Traits:
        """Say what a model is, as far as its name or `base_models` tell."""
        found = self._family(model)
        if found.embedding is not None:
            return Traits(frozenset({EMBEDDINGS}), found.capabilities)
        return Traits(frozenset({CANONICAL, COUNT} if found.counted else {CANONICAL}), found.capabilities)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the signed request."""
        found = self._family(model.name)
        if call.wire == EMBEDDINGS:
            if found.embedding is None:
                message = "This model does not make embeddings that the gateway knows how to ask for."
                raise InvalidRequest(message, param="model", code="unsupported_model")
            body = embed_body(call, found.embedding, self._settings)
            return self._request(model.name, "invoke", self._headers, body, secret)
        if call.wire == COUNT:
            # Tokens are counted for foundation models; the name of a profile is refused.
            body = count_body(call, model, found, self._settings)
            return self._request(self._foundation_model(model.name), "count-tokens", self._headers, body, secret)
        body = converse_body(call, model, found, self._settings)
        if call.stream:
            return self._request(model.name, "converse-stream", self._stream_headers, body, secret)
        return self._request(model.name, "converse", self._headers, body, secret)

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        if call.wire == EMBEDDINGS:
            return decode_embeddings(call, head, body)
        if call.wire == COUNT:
            return decode_count(head, body)
        return decode_answer(call, head, body, self._now())

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        return ConverseDecoder(call, head, self._now())

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return read_fault(head, body)

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:
        """Ask the control plane for a page of models."""
        path, query = page_address(cursor)
        return self._send("GET", self._control, path, canonical_query(query), self._headers, b"", secret)

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read a page of models."""
        return read_page(head, body)

    def _foundation_model(self, model: str) -> str:
        return foundation_model(self._settings.base_models.get(model, model))

    def _family(self, model: str) -> Family:
        return family(self._foundation_model(model))

    def _now(self) -> int:
        return self._ambient.now_us() // 1_000_000

    def _request(
        self, model: str, action: str, headers: dict[str, str], body: bytes, secret: Secret | None
    ) -> OutboundRequest:
        if model in (".", ".."):
            # These would leave the path they stand in, encoded or not.
            raise InvalidRequest("The model's name is no model id.", param="model", code="invalid_value")
        path = f"/model/{quote(model, '')}/{action}"
        return self._send("POST", self._runtime, path, "", headers, body, secret)

    def _send(
        self,
        method: str,
        endpoint: _Endpoint,
        path: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
        secret: Secret | None,
    ) -> OutboundRequest:
        path = endpoint.path + path
        url = f"{endpoint.origin}{path}?{query}" if query else f"{endpoint.origin}{path}"
        if secret is None:
            raise SecretUnavailable("a provider of type bedrock needs a credential")
        if "api_key" in secret:
            return OutboundRequest(method, url, {**headers, "authorization": f"Bearer {secret['api_key']}"}, body)
        if "access_key_id" not in secret or "secret_access_key" not in secret:
            raise SecretUnavailable(
                "the credential needs access_key_id and secret_access_key, or api_key; enter it again with them"
            )
        signed = {"host": endpoint.host, "content-type": headers["content-type"]}
        signed.update({name: value for name, value in headers.items() if name.startswith(_MUST_BE_SIGNED)})
        added = self._signer.sign(
            method,
            path,
            query,
            signed,
            body,
            access_key_id=secret["access_key_id"],
            secret_access_key=secret["secret_access_key"],
            session_token=secret.get("session_token"),
            now_us=self._ambient.now_us(),
        )
        return OutboundRequest(method, url, {**headers, **added}, body)
