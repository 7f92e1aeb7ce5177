from typing import Any, Self

import msgspec
from switchgear_two_step_workflow import Settings, TwoStepWorkflow

from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer, StreamEvent
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_suite import MODEL, chat_call, text_of
from switchgear.wire.gathered import as_stream


class Calls:
    """Stands for `context.call`: says how often it was called."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    async def __call__(self, operation: str, body: Any, *, stream: bool = False, **how: Any) -> Any:
        self.made.append({"body": msgspec.json.decode(msgspec.json.encode(body)), **how})
        whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"step {len(self.made)}"}}]}
        answer = InsideAnswer("x", msgspec.json.encode(whole))
        return Events(answer) if stream else answer


class Events:
    def __init__(self, answer: InsideAnswer) -> None:
        self._answer = answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None: ...

    async def __aiter__(self) -> Any:
        async for batch in as_stream(Answer(self._answer.body), usage_wanted=False):
            for event in batch:
                yield event


def make(calls: Calls) -> TwoStepWorkflow:
    return TwoStepWorkflow(Settings(draft="small", revise="large", instructions="Better:"), lambda: calls)


async def test_the_second_step_is_shown_the_draft() -> None:
    calls, x = Calls(), make_exchange(Principal("p", "key"))
    answer = await make(calls).complete(x, chat_call(), MODEL, None)
    assert "step 2" == msgspec.json.decode(answer.body)["choices"][0]["message"]["content"]
    assert ["small", "large"] == [call["model"] for call in calls.made]
    assert [x, x] == [call["parent"] for call in calls.made]
    assert ["Say hello", "step 1", "Better:\n\nstep 1"] == [it["content"] for it in calls.made[1]["body"]["messages"]]


async def test_the_second_step_is_streamed() -> None:
    calls, x = Calls(), make_exchange(Principal("p", "key"))
    events: list[StreamEvent] = [it async for it in make(calls).stream(x, chat_call(stream=True), MODEL, None)]
    assert "step 2" == text_of(events)
    assert events[-1].last
