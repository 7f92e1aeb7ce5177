from typing import Any

from switchgear import NoSettings, Plugin
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.agents.agents import agents


class AgentsPlugin(Plugin[NoSettings]):
    """Agents: names that lead to a model and tell it first what it is to do."""

    api = 1

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `agents`."""
        return [agents()]
