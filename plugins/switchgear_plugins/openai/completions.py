"""POST /v1/completions. Wire: developers.openai.com/api/reference/resources/completions/methods/create.

A target that does not speak it is asked as a chat: the prompt becomes the user's message.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.provider import CANONICAL, Answer, Call, StreamEvent
from switchgear.errors import InvalidRequest
from switchgear.wire.chunks import Chunk, ChunkChoice, Completion, read_chunk, read_completion, usage_members
from switchgear.wire.faces.plain import PlainFace
from switchgear.wire.members import member, raw
from switchgear.wire.pieces.completions import CompletionPieces
from switchgear.wire.sse import encode_event
from switchgear_plugins.openai.frames import NULL, ChunkEncoder, check_model, read_model, wants_usage
from switchgear_plugins.openai.logprobs import TokenLogprob, read_logprobs

WIRE = "completions"
_encode = msgspec.json.Encoder().encode
_OWN = frozenset({"prompt", "suffix", "echo", "best_of", "logprobs"})
_CHAT_ONLY = frozenset({"messages", "tools", "tool_choice", "functions", "function_call", "top_logprobs", "modalities"})
"""Members of a chat that mean nothing here, and would make an answer that a completion cannot show."""
_FINISH = {"tool_calls": "stop", "function_call": "stop"}


class Completions:
    """Text completions, of a target's own or through chat."""

    path = "/v1/completions"
    wire = WIRE
    face: Face | None = PlainFace(WIRE, "prompt", "suffix", takes_instructions=True)
    pieces: AnswerFace | None = CompletionPieces()

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head. Everything else goes to the provider as it came."""
        model = read_model(members)
        return Call(
            "chat",
            WIRE,
            members,
            model=model,
            stream=member(members, "stream", bool) or False,
            usage_wanted=wants_usage(members),
            max_tokens=member(members, "max_tokens", int),
        )

    def check(self, call: Call) -> None:
        """Want a model and a prompt."""
        check_model(call)
        if call.members.get("prompt", NULL) == NULL:
            raise InvalidRequest("`prompt` is missing: say what to complete.", param="prompt", code="missing_field")

    def canonical(self, call: Call) -> Call:
        """Make a chat of it. Raises `InvalidRequest` for what a chat cannot say: tokens, several prompts, a suffix."""
        members = {"model": call.members["model"], "messages": raw([{"role": "user", "content": read_prompt(call)}])}
        made = call.translated("chat", CANONICAL, members)
        for name, value in call.members.items():
            if name in _CHAT_ONLY:
                made.drop(name)
            elif name not in _OWN and value != NULL:
                members[name] = value
        if call.member("suffix", str):
            message = "`suffix` cannot be carried: this model's provider is asked through chat. Leave it out."
            raise InvalidRequest(message, param="suffix", code="unsupported_parameter")
        if (call.member("best_of", int) or 1) > (call.member("n", int) or 1):
            made.drop("best_of")
        top = call.member("logprobs", int)
        if top is not None:
            members["logprobs"] = raw(True)
            if top:
                members["top_logprobs"] = raw(top)
        return made

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Make a text completion of a chat's answer."""
        found = read_completion(answer.body)
        before = _echo(call)
        choices = []
        for choice in found.choices:
            text = before + (choice.message.content or choice.message.refusal or "")
            tokens = read_logprobs(choice.logprobs)
            shown = _Legacy.of(tokens, len(before)) if tokens else None
            finish = _FINISH.get(choice.finish_reason or "stop", choice.finish_reason or "stop")
            choices.append({"text": text, "index": choice.index, "logprobs": shown, "finish_reason": finish})
        body: dict[str, Any] = {**_head(found), "choices": choices}
        if answer.usage is not None:
            body["usage"] = usage_members(answer.usage)
        return _encode(body)

    def encoder(self, call: Call, *, translate: bool) -> StreamEncoder:
        """Make the encoder of one stream."""
        return CompletionsEncoder(call) if translate else ChunkEncoder()


class CompletionsEncoder(ChunkEncoder):
    """Makes text completion chunks of chat chunks. One a stream."""

    def __init__(self, call: Call) -> None:
        self._usage_wanted = call.usage_wanted
        self._echo = _echo(call)
        self._lengths: dict[int, int] = {}
        self._spoken: set[int] = set()
        self._frame = b""

    def event(self, event: StreamEvent) -> bytes:
        """Frame what a chunk says; empty if it says nothing that a completion shows."""
        chunk = read_chunk(event.data)
        if not self._frame:
            self._frame = _encode(_head(chunk))[:-1]
        choices = b",".join([shown for choice in chunk.choices if (shown := self._choice(choice))])
        if event.usage is not None and self._usage_wanted:
            usage = _encode(usage_members(event.usage))
            return encode_event(b'%b,"choices":[%b],"usage":%b}' % (self._frame, choices, usage))
        if not choices:
            return b""
        return encode_event(b'%b,"choices":[%b]}' % (self._frame, choices))

    def _choice(self, choice: ChunkChoice) -> bytes:
        delta = choice.delta
        text = "" if delta is None else (delta.content or "")
        begun = self._lengths.get(choice.index)
        if text:
            self._spoken.add(choice.index)
        elif delta is not None and delta.refusal and choice.index not in self._spoken:
            text = delta.refusal  # said instead of an answer, not behind one
        if begun is None:
            begun = len(self._echo)
            text = self._echo + text
            self._lengths[choice.index] = begun
        if not text and not choice.finish_reason:
            return b""
        logprobs = b"null"
        if choice.logprobs != NULL and (tokens := read_logprobs(choice.logprobs)):
            logprobs = _encode(_Legacy.of(tokens, begun))
            self._lengths[choice.index] = begun + sum(len(token.token) for token in tokens)
        finish = b"null"
        if choice.finish_reason:
            finish = _encode(_FINISH.get(choice.finish_reason, choice.finish_reason))
        parts = (_encode(text), choice.index, logprobs, finish)
        return b'{"text":%b,"index":%d,"logprobs":%b,"finish_reason":%b}' % parts


class _Legacy(Struct):
    """The log probabilities of a text completion: parallel arrays; offsets are characters of the text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]

    @classmethod
    def of(cls, tokens: list[TokenLogprob], begun: int) -> "_Legacy":
        offsets = []
        for token in tokens:
            offsets.append(begun)
            begun += len(token.token)
        return cls(
            [token.token for token in tokens],
            [token.logprob for token in tokens],
            [{top.token: top.logprob for top in token.top_logprobs or ()} for token in tokens],
            offsets,
        )


def read_prompt(call: Call) -> str:
    """Return the one text to complete. Raises `InvalidRequest` for tokens and for several texts."""
    given = call.member("prompt", str | list[str | int | list[int]])  # type: ignore[arg-type]  # a union is a type here
    texts = [given] if isinstance(given, str) else given or []
    if not texts:
        raise InvalidRequest("`prompt` must not be empty.", param="prompt", code="invalid_value")
    if not all(isinstance(text, str) for text in texts):
        message = "A `prompt` of tokens cannot be carried: this model's provider is asked through chat. Send text."
        raise InvalidRequest(message, param="prompt", code="unsupported_value")
    if len(texts) > 1:
        message = "Several prompts cannot be carried: this model's provider is asked through chat. Send one a request."
        raise InvalidRequest(message, param="prompt", code="unsupported_value")
    return str(texts[0])


def _echo(call: Call) -> str:
    return read_prompt(call) if call.member("echo", bool) else ""


def _head(found: Chunk | Completion) -> dict[str, Any]:
    """Take what answer and chunks begin with from those of a chat."""
    return {
        "id": "cmpl-" + found.id.removeprefix("chatcmpl-"),
        "object": "text_completion",
        "created": found.created,
        "model": found.model,
    }
