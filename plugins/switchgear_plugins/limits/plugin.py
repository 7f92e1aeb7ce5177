from typing import Any

from switchgear import Context, NoSettings, Offer, Plugin
from switchgear.contracts.policy import Policy
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.limits.policy import LimitsPolicy
from switchgear_plugins.limits.resources import KIND, limits


class LimitsPlugin(Plugin[NoSettings]):
    """Rate, token and concurrency limits: of API keys, teams, users, models, any label, and of all together."""

    api = 1
    requires = ("counters",)

    def __init__(self, settings: NoSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._policy: LimitsPolicy | None = None
        self._has_rules = False

    async def start(self) -> None:
        """Look out for limits that are written."""
        self.context.resources.on_change(KIND, self._changed)

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `limits`."""
        return [Offer("limits", self._make, summary="Limits of API keys and of the resources `limits`")]

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `limits`."""
        return [limits()]

    def _make(self) -> LimitsPolicy:
        self._policy = LimitsPolicy(self.context.counters)
        self._policy.has_rules = self._has_rules
        return self._policy

    def _changed(self, _id: str, _rule: Any) -> None:
        self._has_rules = True
        if self._policy is not None:
            self._policy.has_rules = True
