from typing import ClassVar

from switchgear.testing.dialect_suite import DialectSuite
from switchgear_plugins.openai.dialect import OpenAIDialect

MESSAGES = [
    {"role": "system", "content": "canary-system"},
    {"role": "user", "content": [{"type": "text", "text": "canary-part"}]},
]


class TestOpenAIDialect(DialectSuite):
    make: ClassVar = OpenAIDialect
    whole: ClassVar = frozenset({"/v1/responses/compact"})
    opaque: ClassVar = whole
    text_alone: ClassVar = frozenset({"/v1/completions"})
    bodies: ClassVar = {
        "/v1/chat/completions": {"model": "m", "messages": MESSAGES, "temperature": 0.5},
        "/v1/completions": {"model": "m", "prompt": "canary-prompt", "max_tokens": 5},
        "/v1/embeddings": {"model": "m", "input": ["canary-one", "canary-two"]},
        "/v1/responses": {"model": "m", "instructions": "canary-system", "input": "canary-question"},
        "/v1/responses/compact": {"model": "m", "input": "canary-question"},
        "/v1/responses/input_tokens": {"model": "m", "input": [{"role": "user", "content": "canary-question"}]},
    }
