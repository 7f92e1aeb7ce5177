"""A provider that speaks the canonical chat form over HTTP; a vendor's plugin adds its address, headers and quirks."""

from msgspec import Raw

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    Capabilities,
    Head,
    ProviderFault,
    StreamDecoder,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.chat import ChatDecoder, decode_answer, decode_fault
from switchgear.wire.members import raw, splice

_USAGE_ON = Raw(b'{"include_usage":true}')


class ChatProvider:
    """Forwards the members as they came, with the provider's own model name and the model's defaults.

    base_url     up to and including the version (`https://host/v1`)
    headers      sent with every request
    ask_usage    whether to ask for usage in streams (`stream_options.include_usage`); some servers refuse the member
    """

    wires = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init__(self, base_url: str, headers: dict[str, str], *, ask_usage: bool = True) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"content-type": "application/json", **{k.lower(): v for k, v in headers.items()}}
        self._ask_usage = ask_usage

    def traits(self, model: str) -> Traits:  # noqa: ARG002 - the contract's shape
        """Say what a model is, as far as its name does not matter."""
        return Traits(self.wires, Capabilities())

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the headers that carry the credential: `Authorization: Bearer` with its `api_key`."""
        if secret is None:
            return {}
        if "api_key" not in secret:
            raise SecretUnavailable("the credential has no value named api_key; enter it again with one")
        return {"authorization": f"Bearer {secret['api_key']}"}

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        replace = {"model": model.name_json}
        if call.stream and self._ask_usage:
            replace["stream_options"] = _with_usage(call)
        defaults = model.defaults
        if "max_tokens" in defaults and "max_completion_tokens" in call.members:
            defaults = {name: value for name, value in defaults.items() if name != "max_tokens"}
        headers = {**self._headers, **self.authorise(secret)}
        return OutboundRequest("POST", self._url, headers, splice(call.members, replace, defaults))

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:  # noqa: ARG002 - the contract's shape
        """Read a whole completion."""
        return decode_answer(body, head)

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        return ChatDecoder(call, head)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return decode_fault(head.status, body, head)


def _with_usage(call: Call) -> Raw:
    options = call.member("stream_options", dict[str, Raw])
    if not options:
        return _USAGE_ON
    return raw({**options, "include_usage": True})
