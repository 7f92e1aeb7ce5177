from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.content import StepRun, WorkflowStep


class PluginNameSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one step."""

    prefix: str = ""


class PluginNameStep:
    """Puts a text before `text`."""

    def __init__(self, settings: PluginNameSettings) -> None:
        self._settings = settings

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:
        """Yield events; the last holds the output."""
        yield {"output": {"text": self._settings.prefix + str(inputs.get("text", ""))}}


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the step, which workflows may have (`"type": "plugin_name"`)."""

    api = 1

    def switchgear_workflow_steps(self) -> list[Offer[WorkflowStep]]:
        """Offer it."""
        return [Offer("plugin_name", PluginNameStep, PluginNameSettings)]
