"""Fitting a call to a target: what the model cannot do is refused or dropped before anything is sent."""

from typing import Any

import pytest
from msgspec import Raw

from switchgear.contracts.capability import usual
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.provider import CANONICAL, EMBEDDINGS, Call, TargetModel
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import InvalidRequest
from switchgear.exchange.capabilities import fit
from switchgear.exchange.meters import ExchangeMeters
from switchgear.resources.snapshot import Snapshot
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.provider_suite import chat_call
from switchgear_plugins.openai.dialect import ChatCompletions


class Other(ChatCompletions):
    """An endpoint of another wire, whose canonical form drops a member."""

    wire = "other"

    def canonical(self, call: Call) -> Call:
        members = {name: value for name, value in call.members.items() if name != "top_k"}
        if "state" in call.members:
            raise InvalidRequest("a chat has no state", param="state")
        made = call.translated("chat", CANONICAL, members)
        if "top_k" in call.members:
            made.drop("top_k")
        return made


def target(*wires: str, strict: bool = False, lacks: tuple[str, ...] = (), stream: bool = True) -> Target:
    return Target(
        model=TargetModel(id="m", name="n", name_json=Raw(b'"n"'), strict=strict),
        provider_id="p",
        wires=frozenset(wires or (CANONICAL,)),
        capabilities=usual(stream=stream),
        lacks=frozenset(lacks),
        timeouts=Timeouts(),
        meters=ExchangeMeters(Metrics()).of_target("m", "p"),
    )


def fitted(to: Target, endpoint: InferenceEndpoint | None = None, *, strict: bool = False, **members: Any) -> Call:
    stream = bool(members.pop("stream", False))
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.call = chat_call(stream=stream, **members)
    x.strict = strict
    found = fit(x, endpoint or ChatCompletions(), to)
    assert x.sent is found
    return found


TOOL = {"type": "function", "function": {"name": "f"}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


def test_the_clients_own_wire_goes_as_it_is():
    call = _other(target("other"), top_k=3)
    assert ("other", ()) == (call.wire, call.dropped)


def _other(to: Target, **members: Any) -> Call:
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    call = chat_call(**members)
    x.call = Call("chat", "other", call.members, model="m")
    return fit(x, Other(), to)


def test_another_wire_is_translated_and_says_what_was_dropped():
    found = _other(target(CANONICAL), top_k=3)
    assert (CANONICAL, ("top_k",)) == (found.wire, found.dropped)


def test_a_strict_model_refuses_instead():
    with pytest.raises(InvalidRequest) as caught:
        _other(target(CANONICAL, strict=True), top_k=3)
    assert ("top_k", "unsupported_parameter") == (caught.value.param, caught.value.code)


@pytest.mark.parametrize(
    ("lacks", "members", "param"),
    [
        ("tools", {"tools": [TOOL]}, "tools"),
        ("vision", {"messages": IMAGE}, "messages[0].content[0]"),
        ("json_schema", {"response_format": SCHEMA}, "response_format"),
    ],
)
def test_what_the_model_cannot_do_is_refused(lacks: str, members: dict[str, Any], param: str):
    assert fitted(target(), **members)
    with pytest.raises(InvalidRequest) as caught:
        fitted(target(lacks=(lacks,)), **members)
    assert (param, "unsupported_capability") == (caught.value.param, caught.value.code)


def test_nothing_is_refused_that_does_not_need_it():
    lacks = ("tools", "vision", "json_schema", "reasoning")
    text = [{"role": "user", "content": 'say "image_url"'}]
    assert () == fitted(target(lacks=lacks), messages=text, tools=[], response_format={"type": "text"}).dropped


def test_a_wish_for_reasoning_is_dropped_or_refused():
    without = target(lacks=("reasoning",))
    call = fitted(without, reasoning_effort="high", usage_wanted=True)
    assert (("reasoning_effort",), False) == (call.dropped, "reasoning_effort" in call.members)
    with pytest.raises(InvalidRequest):
        fitted(without, reasoning_effort="high", strict=True)


def test_a_model_that_does_not_stream_is_asked_for_the_whole():
    call = fitted(target(stream=False), stream=True, stream_options={"include_usage": True})
    assert (False, False, False) == (call.stream, "stream" in call.members, "stream_options" in call.members)


def test_an_operation_the_model_does_not_have_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        fitted(target(EMBEDDINGS))
    assert "unsupported_operation" == caught.value.code


def test_what_one_target_dropped_is_forgotten_at_the_next():
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.call = chat_call()
    x.call.drop("seed")
    assert () == fit(x, ChatCompletions(), target()).dropped


class Stateful(Other):
    """An endpoint of a form that says what no other can."""

    def canonical(self, call: Call) -> Call:
        raise InvalidRequest("only here", param="state")


def test_what_only_its_own_form_can_say_is_left_to_a_provider_that_speaks_it():
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.call = Call("chat", "other", chat_call(tools=[TOOL]).members, model="m")
    assert x.call is fit(x, Stateful(), target("other", lacks=("tools", "reasoning")))


def test_a_form_of_its_own_is_held_to_the_capabilities_too():
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.call = Call("chat", "other", chat_call(tools=[TOOL]).members, model="m")
    with pytest.raises(InvalidRequest):
        fit(x, Other(), target("other", lacks=("tools",)))


def test_what_a_chat_cannot_say_goes_to_a_target_that_speaks_the_clients_wire_whatever_its_model_lacks():
    to = target("other", lacks=("vision",), strict=True)
    assert ("other", ()) == ((found := _other(to, top_k=3)).wire, found.dropped)
    assert found.strict
    assert "other" == _other(to, state="s1").wire


def test_what_its_model_lacks_is_refused_in_the_clients_own_wire_too():
    with pytest.raises(InvalidRequest) as caught:
        _other(target("other", lacks=("tools",)), tools=[TOOL])
    assert "unsupported_capability" == caught.value.code
