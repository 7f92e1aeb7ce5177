"""What Gemini answers, as Structs.

Wire: ai.google.dev/api/generate-content#v1beta.GenerateContentResponse and
docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse.
"""

import re

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.usage import Usage, believable
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.usage import read_counts

_ABSENT = Raw(b"")
_NAMESPACE = re.compile("^default_api[.:]")


class FunctionCall(Struct, gc=False):
    """A function the model wants called; `id` is there from Gemini 3 on."""

    name: str = ""
    args: Raw = _ABSENT
    id: str | None = None

    def called(self) -> str:
        """Return the name the client gave it: the model sometimes says the namespace it sees it in as well."""
        return _NAMESPACE.sub("", self.name)


class Blob(Struct, rename="camel", gc=False):
    """What a model made that is no text, in base64."""

    mime_type: str = ""
    data: str = ""


class Part(Struct, rename="camel", gc=False):
    """A piece of an answer: text, a picture, a thought (text with `thought`) or a function call, perhaps with a signature."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None


class Content(Struct, gc=False):
    """The parts of a turn."""

    parts: list[Part | None] | None = None

    def said(self) -> list[Part]:
        """Return the parts that are some."""
        return [part for part in self.parts or () if part is not None]


class Token(Struct, rename="camel", gc=False):
    """A token and its log probability."""

    token: str = ""
    log_probability: float = 0.0


class TopTokens(Struct, gc=False):
    """The likeliest tokens of one step, by falling probability."""

    candidates: list[Token] = []


class Logprobs(Struct, rename="camel"):
    """Log probabilities of an answer: what was chosen at each step, and what might have been."""

    chosen_candidates: list[Token] = []
    top_candidates: list[TopTokens] = []


class Page(Struct, gc=False):
    """A page that a search found."""

    uri: str = ""
    title: str = ""


class Ground(Struct, gc=False):
    """What an answer rests on."""

    web: Page | None = None


class Grounding(Struct, rename="camel", gc=False):
    """All that it rests on."""

    grounding_chunks: list[Ground] = []

    def pages(self) -> list[Page]:
        """Return the pages among it."""
        return [it.web for it in self.grounding_chunks if it.web is not None and it.web.uri]


class Candidate(Struct, rename="camel", gc=False):
    """One answer, or one piece of it."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int = 0
    logprobs_result: Logprobs | None = None
    grounding_metadata: Grounding | None = None


class _OfModality(Struct, rename="camel", gc=False):
    """Tokens of one modality."""

    modality: str = ""
    token_count: int = 0


_MODALITIES = {"AUDIO": "audio", "IMAGE": "image", "VIDEO": "video"}
"""Modalities that may have a price of their own."""


def _by_modality(details: list[_OfModality] | None, side: str) -> dict[str, int]:
    return {f"{_MODALITIES[it.modality]}_{side}": it.token_count for it in details or () if it.modality in _MODALITIES}


class UsageMetadata(Struct, rename="camel", gc=False):
    """Tokens so far. `promptTokenCount` includes the cached ones; `candidatesTokenCount` does not include thoughts."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_OfModality] | None = None
    candidates_tokens_details: list[_OfModality] | None = None

    def usage(self) -> Usage | None:
        """Return it as the kernel counts; None if a count cannot be one."""
        thought, tools = self.thoughts_token_count or 0, self.tool_use_prompt_token_count or 0
        read, made = self.prompt_token_count or 0, self.candidates_token_count or 0
        cached = self.cached_content_token_count or 0
        if not believable(read, tools, made, thought, cached):
            return None
        return Usage.of(
            read + tools,
            made + thought,
            total=(self.total_token_count or 0) if self.prompt_token_count else 0,
            cached_input=cached,
            **_by_modality(self.prompt_tokens_details, "input"),
            reasoning=thought,
            **_by_modality(self.candidates_tokens_details, "output"),
        )


class PromptFeedback(Struct, rename="camel"):
    """Why a prompt was not answered."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Response(Struct, rename="camel", gc=False):
    """An answer, or one event of its stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Raw = _ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = _ABSENT

    def usage(self) -> Usage | None:
        """Return what was consumed so far; None if that is not told."""
        found = read_counts(_usage_decoder, self.usage_metadata) if self.usage_metadata else None
        return None if found is None else found.usage()


_usage_decoder = msgspec.json.Decoder(UsageMetadata)
_response_decoder = msgspec.json.Decoder(Response)


def read_response(data: bytes) -> Response | None:
    """Decode an answer or an event; None if it is none."""
    try:
        return decode_text(_response_decoder, data)
    except BROKEN:
        return None
