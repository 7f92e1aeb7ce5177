"""Text completions through chat, recorded in golden/completions, and held to the vendor's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from openai.types import Completion

from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.errors import InvalidRequest, UpstreamFailed
from switchgear.wire.usage import read_usage
from switchgear_plugins.openai.completions import Completions

GOLDEN = Path(__file__).parent / "golden" / "completions"
WHOLE = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.endswith(".chunks"))
STREAMS = sorted(path.stem for path in GOLDEN.glob("*.sse"))
CUT = UpstreamFailed("The connection to the provider broke before the answer was complete.", code="upstream_cut")
ENDPOINT = Completions()


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def parse(request: dict[str, Any]) -> Call:
    call = ENDPOINT.parse({name: Raw(json.dumps(value).encode()) for name, value in request.items()}, {})
    ENDPOINT.check(call)
    return call


@pytest.mark.parametrize("name", WHOLE)
def test_a_request_becomes_a_chat(name: str) -> None:
    golden = case(name)
    made = ENDPOINT.canonical(parse(golden["request"]))
    assert golden["canonical"] == {name: json.loads(bytes(value)) for name, value in made.members.items()}
    assert golden["dropped"] == list(made.dropped)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_becomes_a_text_completion(name: str) -> None:
    golden = case(name)
    usage = read_usage(json.dumps(golden["completion"]["usage"]).encode())
    answer = Answer(json.dumps(golden["completion"]).encode(), usage)
    assert golden["answer"] == json.loads(ENDPOINT.answer(parse(golden["request"]), answer))
    Completion.model_validate(golden["answer"])


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_become_chunks_of_text(name: str) -> None:
    golden = case(f"{name}.chunks")
    encoder = ENDPOINT.encoder(parse(golden["request"]), translate=True)
    said = b""
    for chunk in golden["chunks"]:
        usage = read_usage(json.dumps(chunk["usage"]).encode()) if "usage" in chunk else None
        said += encoder.event(StreamEvent(json.dumps(chunk).encode(), usage=usage))
    said += encoder.error(CUT, "req-1") if golden["error"] else encoder.end()
    assert (GOLDEN / f"{name}.sse").read_bytes() == said


def test_chunks_of_a_provider_that_speaks_this_pass_as_they_came() -> None:
    encoder = ENDPOINT.encoder(parse({"model": "m", "prompt": "p", "stream": True}), translate=False)
    assert b'data: {"object":"text_completion"}\n\n' == encoder.event(StreamEvent(b'{"object":"text_completion"}'))


@pytest.mark.parametrize("prompt", ["p", ["p", "q"], [1, 2], [[1], [2]]])
def test_any_prompt_reaches_a_provider_that_speaks_this(prompt: Any) -> None:
    call = parse({"model": "m", "prompt": prompt, "stream_options": {"include_usage": True}, "max_tokens": 4})
    assert ("chat", "completions", True, 4) == (call.operation, call.wire, call.usage_wanted, call.max_tokens)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ["p", "q"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1]]}, "prompt"),
        ({"prompt": ["p", 1]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_what_a_chat_cannot_say_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    call = parse({"model": "m", "prompt": "p", **members})
    with pytest.raises(InvalidRequest) as caught:
        ENDPOINT.canonical(call)
    assert param == caught.value.param


@pytest.mark.parametrize(("members", "param"), [({"model": ""}, "model"), ({"prompt": None}, "prompt")])
def test_a_head_that_lacks_something_is_refused(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"model": "m", "prompt": "p", **members})
    assert param == caught.value.param
