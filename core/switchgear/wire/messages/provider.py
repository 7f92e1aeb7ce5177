"""A provider that speaks the Messages form over HTTP; a vendor's plugin adds its address, headers and quirks."""

import msgspec
from msgspec import Raw

from switchgear.ambient import Ambient
from switchgear.contracts.capability import usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    COUNT,
    Answer,
    Call,
    Head,
    ProviderFault,
    StreamDecoder,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.wire.gathered import gathered, is_stream
from switchgear.wire.messages.answer import decode_count, decode_message, decode_native
from switchgear.wire.messages.faults import REQUEST_ID, decode_fault
from switchgear.wire.messages.fit import Host, fit_host, fit_native
from switchgear.wire.messages.models import Rules, rules_of
from switchgear.wire.messages.native import NativeDecoder, message_of
from switchgear.wire.messages.request import Display, write_request
from switchgear.wire.messages.stream import ChunkDecoder
from switchgear.wire.messages.turns import Body
from switchgear.wire.other_models import OTHER_MODELS, without_other_models

MESSAGES = "messages"
MESSAGES_COUNT = "messages_count"

_encode = msgspec.json.Encoder().encode
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
_COUNTED_TOO = frozenset({"cache_control", "context_management", "mcp_servers", "speed"})
"""With the former, what the count endpoint takes. Source: docs.anthropic.com/en/api/messages-count-tokens."""
_SAME_IN_BOTH = frozenset({"max_tokens", "temperature", "top_p", "top_k", "thinking"})
"""Members whose model defaults, which are canonical, mean the same in this form."""
_SOME = Raw(b"32000")
"""A bound for a call that has none, as thinking is measured by it."""
_ONLY_HERE = frozenset({"cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed"})


class MessagesProvider:
    """Sends canonical calls translated, and calls of the form as they came but for the model's name and its defaults.

    base_url  without the version (`https://host`)
    headers   sent with every request
    display   `thinking.display` where `reasoning_effort` asks for thinking; None leaves it to the provider
    """

    wires = frozenset({MESSAGES, MESSAGES_COUNT, CANONICAL, COUNT})
    request_id_header = REQUEST_ID
    reasoning_format = MESSAGES
    """The `format` of canonical `reasoning_details` that are thinking of this provider's models."""
    host = Host()
    """What who hosts the models knows."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        ambient: Ambient,
        *,
        display: Display | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self.headers = {"content-type": "application/json", **{k.lower(): v for k, v in headers.items()}}
        self._ambient = ambient
        self._display = display

    def url_of(self, call: Call, model: TargetModel) -> str:  # noqa: ARG002 - another vendor's address names the model
        """Return the address of a call, which counts tokens if its operation is `count`."""
        return f"{self.base_url}/v1/messages" + ("/count_tokens" if call.operation == COUNT else "")

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the headers that carry the credential: `x-api-key` with its `api_key`."""
        return {} if secret is None else {"x-api-key": secret.required("api_key")}

    def amend(self, call: Call, model: TargetModel, body: Body) -> Body:  # noqa: ARG002 - the hook's shape
        """Put in or take out members of a body that is ready to be sent. `body` is the provider's own to change."""
        return body

    def asked(self, call: Call) -> dict[str, str]:  # noqa: ARG002 - another vendor's headers are its own
        """Return the headers that a client of this form asked for itself, laid over this provider's own."""
        return {}

    def rules(self, model: str) -> Rules:
        """Say what a model takes, by the provider's name for it."""
        return rules_of(model)

    def traits(self, model: str) -> Traits:
        """Say what a model is, by what its generation can do."""
        rules = self.rules(model)
        thinks = rules.thinking != "none"
        able = usual(json_schema=rules.json_schema, reasoning=thinks, prefill=rules.prefill)
        return Traits(self.wires, able)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        body = self._native(call, model) if call.wire in (MESSAGES, MESSAGES_COUNT) else self._translated(call, model)
        headers = {**self.headers, **(self.asked(call) if call.headers else {}), **self.authorise(secret)}
        return OutboundRequest("POST", self.url_of(call, model), headers, _encode(self.amend(call, model, body)))

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer, or a count."""
        if call.operation == COUNT:
            return decode_count(body, head)
        if call.wire == MESSAGES:
            whole = message_of(head, body, call.aliases) if is_stream(body) else body
            return decode_native(whole, head, call.aliases)
        if is_stream(body):
            return gathered(self.decoder(call, head), body)
        return decode_message(body, head, self._now_s(), self.reasoning_format, call.aliases)

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        if call.wire == MESSAGES:
            return NativeDecoder(head, call.aliases)
        return ChunkDecoder(call, head, self._now_s(), self.reasoning_format)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return decode_fault(head.status, body, head)

    def _now_s(self) -> int:
        return self._ambient.now_us() // 1_000_000

    def _translated(self, call: Call, model: TargetModel) -> Body:
        body = write_request(call, model, self.rules(model.name), self.reasoning_format, self._display)
        if call.operation == COUNT:
            return {name: value for name, value in body.items() if name in _COUNTED or name in _COUNTED_TOO}
        return body

    def _native(self, call: Call, model: TargetModel) -> Body:
        defaults: dict[str, Raw] = {}
        if call.operation != COUNT:
            known = _SAME_IN_BOTH | _ONLY_HERE
            defaults = {name: value for name, value in model.defaults.items() if name in known}
            if "max_completion_tokens" in model.defaults:
                defaults.setdefault("max_tokens", model.defaults["max_completion_tokens"])
        asked = call.members
        if call.bars_tools or not OTHER_MODELS.isdisjoint(asked):
            asked = without_other_models(call, asked)
        members, _ = fit_host(call, {**defaults, **asked}, self.host)
        if call.operation == COUNT and "max_tokens" not in members:
            fitted = fit_native(
                call, {**members, "max_tokens": _SOME}, self.rules(model.name), model, self.reasoning_format
            )
            del fitted["max_tokens"]
        else:
            fitted = fit_native(call, members, self.rules(model.name), model, self.reasoning_format)
        return {**fitted, "model": model.name_json}
