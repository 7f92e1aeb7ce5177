import msgspec

from switchgear import Offer, Plugin
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.errors import InvalidRequest


class PluginNameSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.plugin_name] of plugins.toml, less `enabled`."""

    most_tokens: int = 4096


class PluginNamePolicy(Policy):
    """Refuses calls for longer answers than these. More phases: `switchgear.contracts.policy`."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens

    def admit(self, x: Exchange) -> None:
        """Let it pass, or not."""
        wanted = x.call.max_tokens if x.call is not None else None
        if wanted is not None and wanted > self._most_tokens:
            message = f"Answers have at most {self._most_tokens} tokens here."
            raise InvalidRequest(message, param="max_tokens", code="too_long")


class PluginNamePlugin(Plugin[PluginNameSettings]):
    """Brings the policy."""

    api = 1
    settings_type = PluginNameSettings

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer it."""
        return [Offer("plugin_name", lambda: PluginNamePolicy(self.settings.most_tokens))]
