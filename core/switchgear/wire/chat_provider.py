"""A provider with OpenAI's API over HTTP, in any of its wires; a vendor's plugin adds its address, headers and quirks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Raw, structs

from switchgear.contracts.capability import usual
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    EMBEDDINGS,
    Answer,
    Call,
    Head,
    ModelPage,
    ProviderFault,
    StreamDecoder,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.wire.chat import decode_answer, decode_fault
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.completions import CompletionsDecoder, decode_completion
from switchgear.wire.embeddings import decode_embeddings
from switchgear.wire.fit.chat import ChatGrammar, fit_chat, fit_members
from switchgear.wire.fit.marks import plain_texts
from switchgear.wire.fit.responses import fit_responses
from switchgear.wire.fit.tool_names import fit_tool_names, with_own_names
from switchgear.wire.gathered import gathered, is_stream
from switchgear.wire.members import prune, raw, splice, splice_pieces
from switchgear.wire.model_list import read_models
from switchgear.wire.other_models import OTHER_MODELS, without_other_models
from switchgear.wire.own_items import with_own_items
from switchgear.wire.responses import decode_input_tokens, decode_response
from switchgear.wire.responses_out import EitherDecoder, is_response, tell_answer, to_responses
from switchgear.wire.responses_stream import ResponsesDecoder, response_of

COMPLETIONS = "completions"
RESPONSES = "responses"

PATHS = {
    CANONICAL: "/chat/completions",
    EMBEDDINGS: "/embeddings",
    COMPLETIONS: "/completions",
    RESPONSES: "/responses",
}
"""The wires of this API and where each is spoken, under the base URL."""

COMPACT = "responses.compact"
INPUT_TOKENS = "responses.input_tokens"
BESIDE = {COMPACT: "/responses/compact", INPUT_TOKENS: "/responses/input_tokens"}
"""What is spoken beside responses by those that have it: a conversation put in short, and the tokens of a request counted."""

_MARKS = "messages.content.cache_control"
BEYOND = (
    "cache_control",
    "thinking",
    "top_k",
    "messages.cache_control",
    _MARKS,
    "messages.reasoning_content",
    "messages.reasoning_details",
    "tools.cache_control",
)
"""What other dialects' clients say in the canonical form and OpenAI's own chat completions have no place for."""

_DECODE: dict[str, Callable[[bytes, Head], Answer]] = {
    COMPLETIONS: decode_completion,
    RESPONSES: decode_response,
    COMPACT: decode_response,
    INPUT_TOKENS: decode_input_tokens,
}
_DECODERS: dict[str, Callable[[Call, Head], StreamDecoder]] = {
    CANONICAL: ChatDecoder,
    COMPLETIONS: CompletionsDecoder,
    RESPONSES: ResponsesDecoder,
}
_USAGE_ON = Raw(b'{"include_usage":true}')
_LIKE_RESPONSES = frozenset({RESPONSES, *BESIDE})
_BOUNDS = ("max_tokens", "max_completion_tokens")


_USUAL = ChatGrammar(ids=40, others=False)
_ANY = TargetModel("", "", Raw(b'""'))


class ChatProvider:
    """Forwards the members as they came, with the provider's own model name and the model's defaults.

    base_url           up to and including the version (`https://host/v1`)
    headers            sent with every request
    wires              of `PATHS`, those it speaks
    ask_usage          whether to ask for usage in streams (`stream_options.include_usage`); some servers refuse the member
    max_tokens_member  the name under which `max_tokens` goes out in chats, be it a model's default or a translated call's; what
                       a client of this wire says goes as it is
    grammar            what it reads: every chat is fitted to it
    translated_drops   paths (see `prune`) left out, and said to be, of what clients of other dialects sent
    """

    wires: frozenset[str] = frozenset({CANONICAL})
    rewrites: Mapping[str, str] = {CANONICAL: RESPONSES}
    """A chat can be asked over the Responses wire, of a model that answers there alone or better."""
    request_id_header = "x-request-id"

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        wires: Iterable[str] = (CANONICAL,),
        ask_usage: bool = True,
        max_tokens_member: str = "max_tokens",
        translated_drops: tuple[str, ...] = (),
        models_path: str = "/models",
        grammar: ChatGrammar = _USUAL,
    ) -> None:
        self.wires = frozenset(wires)
        self._base = base_url.rstrip("/")
        self._urls = {wire: self._base + PATHS[wire] for wire in self.wires}
        self._urls |= {wire: self._base + path for wire, path in BESIDE.items()}
        self._models_url = self._base + models_path
        self._headers = {"content-type": "application/json", **{k.lower(): v for k, v in headers.items()}}
        self._ask_usage = ask_usage
        self._max_tokens_member = max_tokens_member
        self._translated_drops = translated_drops
        self._grammar = grammar
        self._beside = structs.replace(
            grammar, media=True, front="never", joined="never", new_bound=False, addresses=True, searches=True
        )
        """What is read over the Responses wire: pictures in results, texts in any place, files by address, one bound."""
        self._authorised: tuple[Secret | None, dict[str, str]] | None = None

    def traits(self, model: str) -> Traits:  # noqa: ARG002 - the contract's shape
        """Say what a model is, as far as its name does not matter."""
        return Traits(self.wires, usual(embeddings=EMBEDDINGS in self.wires))

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the headers that carry the credential: `Authorization: Bearer` with its `api_key`."""
        return {} if secret is None else {"authorization": f"Bearer {secret.required('api_key')}"}

    def url(self, wire: str, model: TargetModel) -> str:  # noqa: ARG002 - some have the model in it
        """Say where a wire is spoken."""
        return self._urls[wire]

    def members(self, call: Call) -> dict[str, Raw]:
        """Return what is forwarded of a call; all of it, unless another dialect's client said what has no place here."""
        if call.wire in _LIKE_RESPONSES:
            return fit_responses(call, with_own_items(call))
        if call.origin == call.wire:
            return call.members
        kept = self._without(call, self._translated_drops) if self._translated_drops else call.members
        if call.wire == CANONICAL and "max_tokens" in kept and self._max_tokens_member != "max_tokens":
            kept = dict(kept)
            kept[self._max_tokens_member] = kept.pop("max_tokens")
        return kept

    def _unmarked(self, call: Call) -> dict[str, Raw]:
        """Return the members without what only other dialects' clients mark texts with."""
        return call.members if call.origin == call.wire else self._without(call, (_MARKS,))

    def _without(self, call: Call, paths: tuple[str, ...]) -> dict[str, Raw]:
        kept, dropped = prune(call.members, paths)
        call.drop(*dropped)
        if _MARKS in dropped:
            kept["messages"] = plain_texts(kept["messages"])
        return kept

    def prefers_responses(self, call: Call, model: TargetModel) -> bool:  # noqa: ARG002 - some models do
        """Say whether a chat is better asked over the Responses wire, of a model that is spoken to in both."""
        return False

    def asks_encrypted(self, model: TargetModel) -> bool:  # noqa: ARG002 - some models may be
        """Say whether a model may be asked, over the Responses wire, for its reasoning in a form that can come back."""
        return False

    def rewritten(self, call: Call, model: TargetModel) -> dict[str, Raw]:
        """Return the members of a chat that is asked over the Responses wire."""
        fitted = call.with_members(fit_chat(call, self._unmarked(call), self._beside, model))
        members = to_responses(fitted, encrypted=self.asks_encrypted(model))
        call.dropped, call.changed, call.aliases = fitted.dropped, fitted.changed, fitted.aliases
        return members

    def _is_rewritten(self, call: Call, model: TargetModel) -> bool:
        if call.wire != CANONICAL or RESPONSES not in model.wires:
            return False
        return CANONICAL not in model.wires or self.prefers_responses(call, model)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        if self._is_rewritten(call, model):
            members = self.rewritten(call, model)
            defaults = self.defaults(RESPONSES, members, model.defaults) if model.defaults else model.defaults
            body = _joined(call, members, {"model": model.name_json}, defaults)
            return OutboundRequest("POST", self.url(RESPONSES, model), self._headers_with(secret), body)
        members = self.members(call)
        if call.wire == CANONICAL:
            members = fit_chat(call, members, self._grammar, model)
        elif call.wire != EMBEDDINGS:
            members = fit_members(call, members, self._grammar, model)
        if call.wire in _LIKE_RESPONSES:
            members = fit_tool_names(call, members, self._grammar.names)
        if call.bars_tools or not OTHER_MODELS.isdisjoint(members):
            members = without_other_models(call, members)
        replace = {"model": model.name_json}
        if call.stream and self._ask_usage and call.wire != RESPONSES:
            replace["stream_options"] = _with_usage(call)
        defaults = self.defaults(call.wire, members, model.defaults) if model.defaults else model.defaults
        return OutboundRequest(
            "POST", self.url(call.wire, model), self._headers_with(secret), _joined(call, members, replace, defaults)
        )

    def _headers_with(self, secret: Secret | None) -> dict[str, str]:
        """Return the headers of a call, made once for each secret."""
        known = self._authorised
        if known is None or known[0] is not secret:
            known = self._authorised = secret, {**self._headers, **self.authorise(secret)}
        return known[1]

    def defaults(self, wire: str, members: dict[str, Raw], defaults: dict[str, Raw]) -> dict[str, Raw]:
        """Write a model's defaults as a wire has them, without the bound the client gave under its other name."""
        if wire == EMBEDDINGS or wire in BESIDE:
            return {}
        found = dict(defaults)
        bound = found.pop("max_tokens", None)
        if wire == RESPONSES:
            effort = found.pop("reasoning_effort", None)
            found = {name: value for name, value in found.items() if name in {"temperature", "top_p"}}
            if effort is not None:
                found["reasoning"] = raw({"effort": effort})
            name = "max_output_tokens"
        elif wire == COMPLETIONS:
            found.pop("reasoning_effort", None)
            name = "max_tokens"
        else:
            name = self._max_tokens_member
        if bound is not None and not any(other in members for other in _BOUNDS):
            found[name] = bound
        return found

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        if call.wire == CANONICAL and is_stream(body):
            return gathered(self.decoder(call, head), body)
        if call.wire == CANONICAL and RESPONSES in self.wires and is_response(body):
            return tell_answer(with_own_names(body, call.aliases), head)
        if call.wire == CANONICAL:
            return decode_answer(body, head, call)
        if call.wire == EMBEDDINGS:
            return decode_embeddings(call, body, head)
        if call.wire == RESPONSES and is_stream(body):
            body = response_of(call, head, body)
        return _DECODE[call.wire](with_own_names(body, call.aliases), head)

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        if call.wire == CANONICAL and RESPONSES in self.wires:
            return EitherDecoder(call, head)
        return _DECODERS[call.wire](call, head)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure."""
        return decode_fault(head.status, body, head)

    def response_request(self, method: str, path: str, secret: Secret | None) -> OutboundRequest:
        """Build a request about a response that is kept there (`ResponseKeeper`)."""
        address, _, version = self.url(RESPONSES, _ANY).partition("?")
        path, _, query = path.partition("?")
        asked = "&".join(filter(None, (version, query)))
        return OutboundRequest(method, f"{address}/{path}" + (f"?{asked}" if asked else ""), self._headers_with(secret))

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:  # noqa: ARG002 - one page
        """Build the request for the list of models."""
        return OutboundRequest("GET", self._models_url, {**self._headers, **self.authorise(secret)})

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read the list of models."""
        return read_models(head, body)


def _joined(
    call: Call, members: Mapping[str, Raw], replace: Mapping[str, Raw], defaults: Mapping[str, Raw]
) -> bytes | tuple[bytes | Raw, ...]:
    return (splice if type(call.members) is dict else splice_pieces)(members, replace, defaults)


def _with_usage(call: Call) -> Raw:
    options: dict[str, Any] | None = call.member("stream_options", dict[str, Raw])
    if not options:
        return _USAGE_ON
    return raw({**options, "include_usage": True})
