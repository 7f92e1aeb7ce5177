"""What the model says: the same words for the same request and seed, counted in tokens."""

import base64
import random
import re
import struct
import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from switchgear.testing.upstream.script import Script, ToolCall

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll")
_TOKEN = re.compile(r"\S+\s*|\s+")


class Ask(Struct, frozen=True):
    """The members of a request that change the answer; the rest is ignored, as a lenient server would."""

    model: str = ""
    stream: bool = False
    n: Annotated[int, Meta(le=128)] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: dict[str, Any] | None = None
    logprobs: bool | int | None = None
    messages: Any = None
    prompt: Any = None
    input: Any = None
    encoding_format: str | None = None
    dimensions: int | None = None

    @property
    def cap(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return bool((self.stream_options or {}).get("include_usage"))


class Delta(Struct, frozen=True):
    """One content chunk: the members it sets, how many tokens it is, and its words if it is text."""

    members: dict[str, Any]
    tokens: int
    words: tuple[str, ...] = ()


class Choice(Struct, frozen=True):
    """One whole alternative of an answer, as the deltas that make it up."""

    deltas: tuple[Delta, ...]
    finish: str
    reasoning_tokens: int

    @property
    def tokens(self) -> int:
        return sum(delta.tokens for delta in self.deltas)

    def text(self, member: str) -> str:
        return "".join(delta.members.get(member) or "" for delta in self.deltas)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word for delta in self.deltas for word in delta.words)

    def message(self) -> dict[str, Any]:
        """Return the assistant message that the deltas add up to."""
        calls: dict[int, dict[str, Any]] = {}
        for delta in self.deltas:
            for piece in delta.members.get("tool_calls", ()):
                function = piece["function"]
                call = calls.setdefault(
                    piece["index"],
                    {"id": piece.get("id"), "type": "function", "function": {"name": "", "arguments": ""}},
                )
                call["function"]["name"] += function.get("name", "")
                call["function"]["arguments"] += function["arguments"]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text("content") or (None if calls or self.text("refusal") else ""),
            "refusal": self.text("refusal") or None,
            "annotations": [],
        }
        if reasoning := self.text("reasoning_content"):
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = list(calls.values())
        return message


def prompt_tokens(ask: Ask) -> int:
    """Count the prompt: one per message and one per word of every text in it, at least one."""
    count = 0
    for message in ask.messages if isinstance(ask.messages, list) else ():
        count += 1
        if isinstance(message, dict):
            count += _words(message.get("content"))
    return max(1, count + _words(ask.prompt) + _words(ask.input))


def _words(value: Any) -> int:
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(_words(item) for item in value)
    if isinstance(value, dict):
        return _words(value.get("text"))
    return 1 if isinstance(value, int) else 0  # a list of token ids


def choices(script: Script, ask: Ask, seed: int, body: bytes) -> list[Choice]:
    """Return the `n` alternatives of the answer. The words depend on the seed and the request alone."""
    source = random.Random(seed ^ zlib.crc32(body))  # noqa: S311 - a replay must be predictable
    return [_choice(script, ask, source, index) for index in range(ask.n or 1)]


def _choice(script: Script, ask: Ask, source: random.Random, index: int) -> Choice:
    left = ask.cap if ask.cap is not None else 1 << 62
    deltas: list[Delta] = []

    def take(tokens: int) -> int:
        nonlocal left
        taken = min(tokens, left)
        left -= taken
        return taken

    def text(member: str, words: list[str]) -> None:
        size = max(1, script.tokens_per_chunk)
        for at in range(0, len(words), size):
            group = words[at : at + size]
            group = group[: take(len(group))]
            if group:
                deltas.append(Delta({member: "".join(group)}, len(group), tuple(group)))

    text("reasoning_content", _TOKEN.findall(script.reasoning))
    reasoning_tokens = sum(delta.tokens for delta in deltas)
    if script.refusal is not None:
        text("refusal", _TOKEN.findall(script.refusal))
    elif script.content is not None:
        text("content", _TOKEN.findall(script.content))
    elif not script.tool_calls:
        text("content", [source.choice(_WORDS) + " " for _ in range(script.chunks * script.tokens_per_chunk)])
    for position, call in enumerate(script.tool_calls):
        if left > 0:
            deltas.extend(_call_deltas(script, call, position, f"call_{source.getrandbits(64):016x}{index}", take))
    finish = "length" if left <= 0 else "tool_calls" if script.tool_calls else "stop"
    return Choice(tuple(deltas), script.finish_reason or finish, reasoning_tokens)


def _call_deltas(script: Script, call: ToolCall, position: int, call_id: str, take: Any) -> list[Delta]:
    head = {
        "index": position,
        "id": call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    deltas = [Delta({"tool_calls": [head]}, 0)]
    nulls = {"id": None, "type": None} if script.null_ids else {}
    for at in range(0, len(call.arguments), script.tool_piece):
        if take(1):
            piece = call.arguments[at : at + script.tool_piece]
            deltas.append(Delta({"tool_calls": [{"index": position, **nulls, "function": {"arguments": piece}}]}, 1))
    return deltas


def logprobs(words: tuple[str, ...]) -> dict[str, Any]:
    """Return OpenAI's logprobs object of these tokens."""
    tokens = [{"token": word, "logprob": -0.25, "bytes": list(word.encode()), "top_logprobs": []} for word in words]
    return {"content": tokens, "refusal": None}


def usage(script: Script, prompt: int, completion: int, reasoning: int) -> Any:
    """Return the usage object the upstream reports, true unless the script has its own."""
    if script.usage is not None:
        return script.usage
    written = {"cache_write_tokens": script.cache_write_tokens} if script.cache_write_tokens else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens, "audio_tokens": 0, **written},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def embeddings(script: Script, ask: Ask, seed: int) -> dict[str, Any]:
    """Return an embeddings list: unit-range vectors that depend on seed and text alone."""
    texts = ask.input if isinstance(ask.input, list) and not _is_tokens(ask.input) else [ask.input]
    data = []
    for index, text in enumerate(texts):
        source = random.Random(seed ^ zlib.crc32(msgspec.json.encode(text)))  # noqa: S311 - likewise
        vector = [source.uniform(-1, 1) for _ in range(ask.dimensions or 8)]
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append(
            {
                "object": "embedding",
                "index": index,
                "embedding": packed if ask.encoding_format == "base64" else vector,
            }
        )
    prompt = prompt_tokens(ask)
    reported = {"prompt_tokens": prompt, "total_tokens": prompt} if script.usage is None else script.usage
    return {"object": "list", "data": data, "model": script.model or ask.model, "usage": reported}


def _is_tokens(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, int) for item in value)
