"""What OpenAI's models are, by their names (developers.openai.com/api/docs/models; the SDK's lists of model names).

A name nobody knows here is taken for a chat model that can do everything: a model resource may say otherwise.
"""

import re

from switchgear.contracts.capability import ONLY_EMBEDDINGS, ONLY_TEXT, usual
from switchgear.contracts.provider import CANONICAL, EMBEDDINGS, Traits
from switchgear.wire.chat_provider import COMPLETIONS, RESPONSES

_EMBEDDING = re.compile(r"text-embedding-|text-similarity-|text-search-")
_BASE = re.compile(r"(?:gpt-3\.5-turbo-instruct|davinci-002|babbage-002)")
_RESPONSES_ONLY = re.compile(
    r"(?:o\d+|gpt-[\d.]+)-pro\b"
    r"|gpt-[\d.]+-codex|codex-"
    r"|computer-use|o\d+(?:-mini)?-deep-research"
    r"|gpt-[\d.]+-(?:cyber|rosalind)|gpt-rosalind|gpt-daybreak|gpt-[\d.]+-\w+-law"
)
_WITHOUT_REASONING = re.compile(r"gpt-3\.5|gpt-4|chatgpt-|gpt-audio|gpt-[\d.]+-chat")
_TEXT_ONLY = re.compile(r"gpt-3\.5-turbo|gpt-4(?:-0314|-0613|-32k.*)?$|o1-mini|o3-mini")
_WITHOUT_SCHEMA = re.compile(r"gpt-3\.5-turbo|gpt-4(?!\.|o)|o1-mini|o1-preview")

_CHAT = frozenset({CANONICAL, RESPONSES})


def traits(model: str) -> Traits:
    """Say in which wires a model is spoken to and what it can do. A fine-tuned one (`ft:base:…`) is what its base is."""
    name = model.removeprefix("ft:")
    if _EMBEDDING.match(name):
        return Traits(frozenset({EMBEDDINGS}), ONLY_EMBEDDINGS)
    if _BASE.match(name):
        return Traits(frozenset({COMPLETIONS}), ONLY_TEXT)
    capabilities = usual(
        vision=not _TEXT_ONLY.match(name),
        json_schema=not _WITHOUT_SCHEMA.match(name),
        reasoning=not _WITHOUT_REASONING.match(name),
    )
    return Traits(frozenset({RESPONSES}) if _RESPONSES_ONLY.match(name) else _CHAT, capabilities)
