"""A model that is a workflow of two steps: one model drafts the answer, another one revises it. Both are calls from inside."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.credential import Secret
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.inside import CallInside
from switchgear.contracts.provider import CANONICAL, Answer, Call, ProviderConfig, StreamEvent, TargetModel, Traits
from switchgear.contracts.usage import Usage

_NOTHING = Usage()
"""The workflow consumes nothing itself: each step has a record of its own."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `settings` of a provider of this type: the models of both steps, and what the second one is told."""

    draft: str
    revise: str
    instructions: str = "Revise this draft of an answer. Reply with the answer alone."


class TwoStepWorkflow:
    """The provider. It answers under the name of its caller, whose permissions, limits and budget count for each step."""

    wires = frozenset({CANONICAL})

    def __init__(self, settings: Settings, call: Callable[[], CallInside]) -> None:
        self._settings = settings
        self._call = call

    def traits(self, model: str) -> Traits:
        return Traits(self.wires)

    async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Secret | None) -> Answer:
        assert x.principal is not None
        revised = await self._call()(
            "chat",
            await self._second(x, call),
            principal=x.principal,
            parent=x,
            model=self._settings.revise,
            labels={"step": "revise"},
        )
        return Answer(revised.body, _NOTHING)

    async def stream(
        self, x: Exchange, call: Call, model: TargetModel, secret: Secret | None
    ) -> AsyncIterator[StreamEvent]:
        assert x.principal is not None
        events = await self._call()(
            "chat",
            await self._second(x, call),
            principal=x.principal,
            parent=x,
            model=self._settings.revise,
            labels={"step": "revise"},
            stream=True,
        )
        async with events:
            async for event in events:
                yield msgspec.structs.replace(event, usage=_NOTHING)

    async def _second(self, x: Exchange, call: Call) -> dict[str, Any]:
        """Take the first step, and return what is asked in the second."""
        assert x.principal is not None
        members = {name: value for name, value in call.members.items() if name != "stream_options"}
        draft = await self._call()(
            "chat", members, principal=x.principal, parent=x, model=self._settings.draft, labels={"step": "draft"}
        )
        said = msgspec.json.decode(draft.body)["choices"][0]["message"].get("content") or ""
        asked = call.member("messages", list[Any]) or []
        told = {"role": "user", "content": f"{self._settings.instructions}\n\n{said}"}
        return {**call.members, "messages": [*asked, {"role": "assistant", "content": said}, told]}


class TwoStepWorkflowPlugin(Plugin[NoSettings]):
    """Offers the type of provider."""

    api = 1

    def switchgear_providers(self) -> list[Offer]:
        def make(config: ProviderConfig[Settings]) -> TwoStepWorkflow:
            return TwoStepWorkflow(config.settings, lambda: self.context.call)

        return [Offer("two_step_workflow", make, Settings, "Drafts with one model, revises with another")]
