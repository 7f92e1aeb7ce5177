from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.policy import Policy
from switchgear_plugins.limits.policy import LimitsPolicy


class LimitsPlugin(Plugin[NoSettings]):
    """Rate and concurrency limits of API keys."""

    api = 1
    requires = ("counters",)

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `limits`."""
        return [Offer("limits", lambda: LimitsPolicy(self.context.counters), summary="Limits of API keys")]
