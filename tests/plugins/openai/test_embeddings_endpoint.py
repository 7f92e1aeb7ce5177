import json
from typing import Any

import pytest
from msgspec import Raw

from switchgear.contracts.provider import EMBEDDINGS, Answer, Call
from switchgear.errors import InvalidRequest
from switchgear_plugins.openai.embeddings import Embeddings

ENDPOINT = Embeddings()


def parse(**members: Any) -> Call:
    body = {"model": "m", "input": "hi", **members}
    call = ENDPOINT.parse({name: Raw(json.dumps(value).encode()) for name, value in body.items()}, {})
    ENDPOINT.check(call)
    return call


@pytest.mark.parametrize("given", ["hi", ["hi", "ho"], [1, 2], [[1], [2, 3]]])
def test_takes_texts_and_tokens_as_they_came(given: Any) -> None:
    call = parse(input=given, encoding_format="base64", dimensions=256, user="u", odd={"a": 1}, stream=False)
    assert ("embedding", EMBEDDINGS, "m", False) == (call.operation, call.wire, call.model, call.stream)
    assert given == json.loads(bytes(call.members["input"]))
    assert call is ENDPOINT.canonical(call)


def test_an_answer_passes_as_it_came() -> None:
    body = b'{"object":"list","data":[]}'
    assert body == ENDPOINT.answer(parse(), Answer(body))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[1], []]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 7}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"user": 7}, "user"),
        ({"stream": True}, "stream"),
    ],
)
def test_what_no_provider_takes_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**members)
    assert param == caught.value.param
