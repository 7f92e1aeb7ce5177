"""Heads of requests: read as far as they are there, and checked apart."""

from typing import Any

import pytest

from switchgear.errors import InvalidRequest
from switchgear_plugins.anthropic.dialect import AnthropicDialect
from switchgear_plugins.openai.dialect import OpenAIDialect

ENDPOINTS = [*OpenAIDialect().inference, *AnthropicDialect().inference]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda it: it.path)
def test_a_head_is_read_without_what_is_missing_and_refused_when_it_is_checked(endpoint: Any) -> None:
    call = endpoint.parse({}, {})
    assert ("", False, None) == (call.model, call.stream, call.max_tokens)
    with pytest.raises(InvalidRequest) as caught:
        endpoint.check(call)
    assert ("model", "missing_field") == (caught.value.param, caught.value.code)
