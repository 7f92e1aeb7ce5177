from typing import ClassVar

from switchgear.testing.dialect_suite import DialectSuite
from switchgear_plugins.anthropic.dialect import AnthropicDialect

BODY = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "canary-system"}],
    "messages": [
        {"role": "user", "content": "canary-question"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "canary_tool", "input": {"a": "canary-argument"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "canary-result"}]},
    ],
    "tools": [{"name": "canary_tool", "description": "canary-what-for", "input_schema": {"type": "object"}}],
    "stop_sequences": ["canary-stop"],
}  # fmt: skip


class TestAnthropicDialect(DialectSuite):
    make: ClassVar = AnthropicDialect
    bodies: ClassVar = {
        "/v1/messages": BODY,
        "/v1/messages/count_tokens": {name: BODY[name] for name in ("model", "system", "messages", "tools")},
    }
