"""What is known of the models on Bedrock, by their names.

Facts: docs.aws.amazon.com/bedrock/latest/userguide: conversation-inference-supported-models-features,
claude-messages-adaptive-thinking, claude-messages-extended-thinking, structured-output, prompt-caching, count-tokens;
docs.aws.amazon.com/nova/latest/nova2-userguide/using-converse-api. A model resource may say otherwise.
"""

import re
from typing import Literal, TypeAlias

from msgspec import Struct

from switchgear.contracts.capability import ONLY_EMBEDDINGS, ONLY_TEXT, TOOLS, USUAL, VISION, usual
from switchgear.wire.messages.models import Rules, rules_of

Reasoning: TypeAlias = Literal["adaptive", "budget", "reasoning_config", "effort_member", "effort_object"]
Embedding: TypeAlias = Literal["titan_v1", "titan_v2", "cohere_v3", "cohere_v4"]

# An inference profile of a geography is named after the model it leads to: `us.`, `eu.`, `us-gov.`, `global.`
_GEOGRAPHY = re.compile(r"(?:[a-z]{2}|us-gov|apac|amer|global)\.(?=[a-z0-9]+\.)")
_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?!\d)")
_OLD_CLAUDE = re.compile(r"claude-(?:v\d|instant)")
_NEWEST = (99, 0)
# CountTokens knows foundation models only, and none of those that are reached through profiles alone.
_COUNTED = re.compile(
    r"anthropic\.claude-(?:3-5-(?:haiku|sonnet)|3-7-sonnet|(?:opus|sonnet)-4-2025|(?:haiku|sonnet)-4-5)"
)


class Family(Struct, frozen=True):
    """What one model takes.

    reasoning  how it is told how hard to think, None if it cannot be
    thinks     thinks unless told not to, and can be told
    top_k      the path of its own member for `top_k`
    caches     knows cache points; a model that does not refuses them
    rules      what a model of Claude's generations takes, None for others
    sampling   takes temperature, top_p and stop sequences
    counted    CountTokens knows it
    embedding  how it embeds, None for a model that talks
    """

    capabilities: frozenset[str] = usual(reasoning=False)
    reasoning: Reasoning | None = None
    thinks: Literal["no", "optional", "always"] = "no"
    top_k: tuple[str, ...] = ()
    caches: bool = False
    rules: Rules | None = None
    sampling: bool = True
    counted: bool = False
    embedding: Embedding | None = None


def foundation_model(name: str) -> str:
    """Return the id of the foundation model in a model id, a profile id or an ARN; other names come back as they are."""
    if name.startswith("arn:"):
        name = name.rpartition("/")[2]
    return _GEOGRAPHY.sub("", name, count=1)


_TALKS = usual(reasoning=False)
_TOOLS = ONLY_TEXT | {TOOLS}
_TEXT_ONLY = _TALKS - {VISION}

_KNOWN: tuple[tuple[str, Family], ...] = (
    (r"amazon\.titan-embed-text-v1|amazon\.titan-embed-g1-text", Family(ONLY_EMBEDDINGS, embedding="titan_v1")),
    (r"amazon\.titan-embed-text-v2", Family(ONLY_EMBEDDINGS, embedding="titan_v2")),
    (r"cohere\.embed-v4", Family(ONLY_EMBEDDINGS, embedding="cohere_v4")),
    (r"cohere\.embed-", Family(ONLY_EMBEDDINGS, embedding="cohere_v3")),
    (
        r"amazon\.nova-2-(?:lite|pro|premier)",
        Family(
            usual(json_schema=False),
            reasoning="reasoning_config",
            top_k=("inferenceConfig", "topK"),
            caches=True,
        ),
    ),
    (r"amazon\.nova-micro", Family(_TOOLS, top_k=("inferenceConfig", "topK"), caches=True)),
    (
        r"amazon\.nova-(?:lite|pro|premier)",
        Family(_TOOLS | {VISION}, top_k=("inferenceConfig", "topK"), caches=True),
    ),
    (r"amazon\.titan-", Family(ONLY_TEXT)),
    (r"openai\.gpt-oss", Family(usual(vision=False), reasoning="effort_member")),
    (r"openai\.", Family(USUAL, reasoning="effort_object", sampling=False)),
    (r"moonshot(?:ai)?\.", Family(usual(vision=False), reasoning="effort_member")),
    (r"deepseek\.r1", Family(ONLY_TEXT)),
    (r"deepseek\.", Family(_TEXT_ONLY)),
    (r"qwen\..*-vl", Family(_TALKS)),
    (r"qwen\.", Family(_TEXT_ONLY)),
    (r"meta\.llama(?:2|3-(?:8|70)b)", Family(ONLY_TEXT)),
    (r"meta\.llama(?:4|3-2-(?:11|90)b)", Family(_TOOLS | {VISION})),
    (r"meta\.", Family(_TOOLS)),
    (r"mistral\.(?:mistral-7b|mixtral)", Family(ONLY_TEXT)),
    (r"cohere\.command-r", Family(_TOOLS)),
    (r"cohere\.", Family(ONLY_TEXT)),
    (r"ai21\.jamba-1-5", Family(_TOOLS)),
    (r"ai21\.", Family(ONLY_TEXT)),
)
_MATCHERS = tuple((re.compile(pattern), family) for pattern, family in _KNOWN)
_UNKNOWN = Family(caches=True)
"""A name that says nothing (an ARN): what the wire can say is sent, but for reasoning, which each family says its own way."""


def family(name: str) -> Family:
    """Say what the model of this name takes; `name` as `foundation_model` returns it."""
    if name.startswith("anthropic.claude"):
        return _claude(name)
    for pattern, known in _MATCHERS:
        if pattern.match(name):
            return known
    return _UNKNOWN


def _claude(name: str) -> Family:
    found = _CLAUDE_VERSION.search(name)
    version = (2, 0) if _OLD_CLAUDE.search(name) else (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    adaptive = version >= (4, 6)
    reasoning: Reasoning | None = "adaptive" if adaptive else "budget" if version >= (3, 7) else None
    thinks: Literal["no", "optional", "always"] = "no"
    if version >= (5, 0):
        off = "haiku" in name or (version == (5, 0) and ("opus" in name or "sonnet" in name))
        thinks = "optional" if off else "always"
    return Family(
        usual(
            tools=version >= (3, 0),
            vision=version >= (3, 0) and "3-5-haiku" not in name,
            json_schema=version >= (4, 5),
            reasoning=reasoning is not None,
            prefill=not adaptive,
        ),
        reasoning=reasoning,
        thinks=thinks,
        top_k=("top_k",),
        rules=rules_of(name),
        caches=version >= (3, 5),
        counted=_COUNTED.match(name) is not None,
    )
