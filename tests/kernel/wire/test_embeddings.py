import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden import call_of
from switchgear.contracts.provider import ProviderFault
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.embeddings import decode_embeddings, embeddings_answer, read_embeddings


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_reads_every_form_of_input(given_input: object, expected: list) -> None:
    assert expected == read_embeddings(call_of("embeddings", {"model": "m", "input": given_input})).input


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": "a", "dimensions": "many"}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_names_what_is_wrong(body: dict, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_embeddings(call_of("embeddings", body))
    assert param == caught.value.param


def test_tokens_are_no_texts() -> None:
    wanted = read_embeddings(call_of("embeddings", {"input": [[1]]}))
    with pytest.raises(InvalidRequest):
        wanted.texts()


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), min_size=1),
    st.booleans(),
)
def test_writes_what_a_client_reads_back(vectors: list[list[float]], as_base64: bool) -> None:
    call = call_of("embeddings", {"encoding_format": "base64" if as_base64 else "float"})
    answer = embeddings_answer(call, vectors, Usage.of(input=7))
    body = json.loads(answer.body)
    found = [item["embedding"] for item in body["data"]]
    if as_base64:
        raw = [base64.b64decode(text) for text in found]
        found = [list(struct.unpack(f"<{len(data) // 4}f", data)) for data in raw]
    assert vectors == found
    assert list(range(len(vectors))) == [item["index"] for item in body["data"]]
    assert {"prompt_tokens": 7, "total_tokens": 7} == body["usage"]
    assert Usage.of(input=7) == answer.usage
    assert answer.usage == decode_embeddings(call, answer.body, RecordedHead()).usage


@pytest.mark.parametrize(
    "data",
    [
        [{"embedding": None}, {"embedding": [1]}],
        [{"embedding": {}}, {"embedding": [1]}],
        [{"embedding": []}, {"embedding": [1]}],
        [{"embedding": [1]}],
        [],
    ],
)
def test_what_holds_too_few_vectors_is_no_answer(data: list[Any]) -> None:
    with pytest.raises(ProviderFault):
        decode_embeddings(
            call_of("embeddings", {"input": ["a", "b"]}), json.dumps({"data": data}).encode(), RecordedHead()
        )


@pytest.mark.parametrize("as_base64", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        [{"embedding": [1.0]}, {"embedding": [2.0]}],
        [{"embedding": [2.0], "index": 1}, {"embedding": "AACAPw==", "index": 0.0}],
        [{"embedding": "AACAPw==", "index": None}, {"embedding": "AAAAQA==", "index": None, "object": "x"}],
        [{"embedding": [1], "index": 0}, {"embedding": [2], "index": 0}],
    ],
)
def test_vectors_come_in_the_order_and_the_form_that_were_asked_for(data: list[Any], as_base64: bool) -> None:
    call = call_of("embeddings", {"input": ["a", "b"], **({"encoding_format": "base64"} if as_base64 else {})})
    body = json.loads(decode_embeddings(call, json.dumps({"data": data}).encode(), RecordedHead()).body)
    wanted = ["AACAPw==", "AAAAQA=="] if as_base64 else [[1.0], [2.0]]
    assert [{"object": "embedding", "index": n, "embedding": wanted[n]} for n in (0, 1)] == body["data"]
    assert ("list", "") == (body["object"], body["model"])


def test_an_answer_says_no_usage_that_nobody_said() -> None:
    assert "usage" not in json.loads(embeddings_answer(call_of("embeddings", {}), [[1.0]], None).body)
