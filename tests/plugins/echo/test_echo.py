import json

import pytest

from switchgear.contracts.provider import ProviderConfig, ProviderFault
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.offer import NoSettings
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_suite import MODEL, NativeProviderSuite, chat_call, text_of
from switchgear_plugins.echo.provider import EchoProvider

X = make_exchange(None)


def make() -> EchoProvider:
    return EchoProvider(ProviderConfig("echo", None, {}, NoSettings()))


class TestEcho(NativeProviderSuite):
    def make(self) -> EchoProvider:
        return make()


async def test_says_a_given_size_in_given_pieces() -> None:
    call = chat_call(stream=True, echo={"size": 100, "chunks": 7})
    events = [event async for event in make().stream(X, call, MODEL, None)]
    assert 7 == sum(1 for event in events if event.content)
    assert 100 == len(text_of(events))


async def test_fails_as_told() -> None:
    with pytest.raises(ProviderFault) as caught:
        await make().complete(X, chat_call(echo={"fault": "rate_limit"}), MODEL, None)
    assert ("rate_limit", 429) == (caught.value.cause, caught.value.status)


async def test_breaks_off_after_some_pieces() -> None:
    call = chat_call(stream=True, echo={"size": 9, "chunks": 3, "fault": "cut", "fault_after": 2})
    events = make().stream(X, call, MODEL, None)
    shown = [await anext(events) for _ in range(3)]
    assert 2 == sum(1 for event in shown if event.content)
    with pytest.raises(ConnectionBroken):
        await anext(events)


async def test_refuses_directions_it_does_not_know() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await make().complete(X, chat_call(echo={"loud": True}), MODEL, None)
    assert "echo" == caught.value.param


async def test_hears_the_text_parts_of_a_message() -> None:
    call = chat_call(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    )
    answer = await make().complete(X, call, MODEL, None)
    assert "ab" == json.loads(answer.body)["choices"][0]["message"]["content"]
