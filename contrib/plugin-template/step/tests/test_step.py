from typing import Any

from switchgear_plugin_name.plugin import PluginNameSettings, PluginNameStep

RUN: Any = None  # it has nothing called


async def test_the_last_event_holds_the_output() -> None:
    events = [event async for event in PluginNameStep(PluginNameSettings(prefix="Re: ")).run({"text": "tea"}, RUN)]
    assert {"output": {"text": "Re: tea"}} == events[-1]
