from typing import Any

from switchgear import NoSettings, Plugin
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.routing.aliases import aliases
from switchgear_plugins.routing.chains import chains
from switchgear_plugins.routing.pools import pools


class RoutingPlugin(Plugin[NoSettings]):
    """Names that lead to other names: aliases, pools that spread requests, chains that say what comes after what."""

    api = 1

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `aliases`, `pools` and `chains`."""
        return [aliases(), pools(self.context.ambient), chains()]
