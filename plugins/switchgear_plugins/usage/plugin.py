from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from switchgear import Offer, Plugin
from switchgear.contracts.kernel import Task
from switchgear.contracts.policy import Policy
from switchgear.contracts.record import RecordKind
from switchgear_plugins.usage.anomalies import EVENT, LOOK_S, Watch, anomaly_kind
from switchgear_plugins.usage.policy import UsagePolicy
from switchgear_plugins.usage.record import attempt_kind, usage_kind
from switchgear_plugins.usage.settings import UsageSettings

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

_DAY_S = 86_400


class UsagePlugin(Plugin[UsageSettings]):
    """A record of every call: what it was, consumed and cost, and how it ended; and the admin routes over these records."""

    api = 1
    settings_type = UsageSettings
    announces: ClassVar[Mapping[str, str]] = {
        EVENT: "spending is other than usual; data: `by`, `value`, `spent_microusd`, `usual_microusd`, `score`, `mean_microusd`"
    }

    _watch: Watch | None = None

    def switchgear_record_kinds(self) -> list[RecordKind]:
        """Declare the records `usage`, `usage_attempts` and `usage_anomalies`."""
        days = self.settings.keep_days
        keep_s = None if days is None else days * _DAY_S
        return [usage_kind(keep_s), attempt_kind(keep_s), anomaly_kind(keep_s)]

    def switchgear_tasks(self) -> list[Task]:
        """Look for spending that is other than usual."""
        return [Task("anomalies", LOOK_S, self._look)]

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear usage`."""
        from switchgear_plugins.usage.commands import usage  # noqa: PLC0415 - a gateway that serves has no use for it

        return [usage]

    async def _look(self) -> None:
        if self._watch is None:
            self._watch = Watch(self.context, self.settings.anomalies)
        await self._watch.look()

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `usage`."""
        return [Offer("usage", lambda: UsagePolicy(self.context), summary="A record of every call")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/usage and what is below it."""
        from switchgear_plugins.usage.routes import usage_handlers  # noqa: PLC0415 - Litestar takes long to import

        return usage_handlers(self.context)
