"""GigaChat's own shapes (developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-chat)."""

from typing import Any

from msgspec import Raw, Struct

from switchgear.contracts.usage import Usage, believable

REASONS = {
    "stop": "stop",
    "length": "length",
    "function_call": "tool_calls",
    "blacklist": "content_filter",
}
"""Why it stopped, and what that is in the canonical form. `error` is not here: it is a failure."""


class FunctionCall(Struct):
    """A function to be called, its arguments an object and whole, also in a stream."""

    name: str
    arguments: Raw = Raw(b"{}")


class Said(Struct, gc=False):
    """A message, or what a chunk adds to one."""

    content: str | None = None
    reasoning_content: str | None = None
    function_call: FunctionCall | None = None
    functions_state_id: str | None = None


class Tokens(Struct):
    """What was consumed. `prompt_tokens` are those that were not in the cache already."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    precached_prompt_tokens: int | None = None

    def usage(self) -> Usage | None:
        """Return it in our words; None for counts that cannot be."""
        cached = self.precached_prompt_tokens or 0
        if not believable(self.prompt_tokens, cached):
            return None
        return Usage.of(self.prompt_tokens + cached, self.completion_tokens, cached_input=cached)


class Choice(Struct, gc=False):
    """One choice, of an answer or of a chunk."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None


class Reply(Struct, gc=False):
    """A whole answer or a chunk; where `status` is there instead, a failure."""

    choices: list[Choice] = []
    created: int = 0
    model: str = ""
    usage: Tokens | None = None
    status: int | None = None


class Vector(Struct):
    """The embedding of one text."""

    embedding: list[float]
    index: int = 0
    usage: Tokens | None = None


class Vectors(Struct):
    """An answer to a request for embeddings."""

    data: list[Vector]
    model: str | None = None


class Count(Struct):
    """The tokens of one text."""

    tokens: int


class Model(Struct):
    """One of its models; `type` is `chat`, `embedder` or something that is no model of language."""

    id: str
    owned_by: str | None = None
    type: str | None = None


class Models(Struct):
    """The list of its models."""

    data: list[Model]


Body = dict[str, Any]
