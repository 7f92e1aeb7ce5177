from typing import TYPE_CHECKING

from switchgear import Offer, Plugin
from switchgear.contracts.policy import Policy
from switchgear.contracts.record import RecordKind
from switchgear_plugins.usage.policy import UsagePolicy
from switchgear_plugins.usage.record import usage_kind
from switchgear_plugins.usage.settings import UsageSettings

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_DAY_S = 86_400


class UsagePlugin(Plugin[UsageSettings]):
    """A record of every call: what it was, consumed and cost, and how it ended; and the admin routes over these records."""

    api = 1
    settings_type = UsageSettings

    def switchgear_record_kinds(self) -> list[RecordKind]:
        """Declare the records `usage`."""
        days = self.settings.keep_days
        return [usage_kind(None if days is None else days * _DAY_S)]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `usage`."""
        return [Offer("usage", lambda: UsagePolicy(self.context), summary="A record of every call")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/usage and /admin/v1/usage/summary."""
        from switchgear_plugins.usage.routes import usage_handlers  # noqa: PLC0415 - Litestar takes long to import

        return usage_handlers(self.context)
