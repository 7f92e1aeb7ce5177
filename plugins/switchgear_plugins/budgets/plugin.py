from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from switchgear import Offer, Plugin
from switchgear.contracts.kernel import Migrations, Task
from switchgear.contracts.policy import Policy
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.budgets.live import Budget, budgets
from switchgear_plugins.budgets.policy import BudgetsPolicy
from switchgear_plugins.budgets.seeds import Seeds
from switchgear_plugins.budgets.settings import BudgetsSettings
from switchgear_plugins.budgets.status import Standing, Standings, standing, standings
from switchgear_plugins.budgets.thresholds import EVENT, Thresholds

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

_DAY_US = 86_400_000_000
_KEPT_DAYS = 400


class BudgetsPlugin(Plugin[BudgetsSettings]):
    """Money for a while, and calls that are held to it: the kind `budgets`, the policy, and how budgets stand."""

    api = 1
    settings_type = BudgetsSettings
    requires = ("counters", "store")
    after = ("usage",)
    announces: ClassVar[Mapping[str, str]] = {
        EVENT: "a threshold of a budget is crossed; data: `id`, `whose`, `percent`, `spent_microusd`, `amount_microusd`, `mode`,"
        " `begin_us`, `end_us`"
    }

    _policy: BudgetsPolicy | None = None
    _seeds: Seeds | None = None

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `budgets`."""
        return [budgets()]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `budgets`."""
        return [Offer("budgets", self._make, summary="Hard and soft budgets")]

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the table of what was announced."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_tasks(self) -> list[Task]:
        """Forget, after a while, what was announced."""
        return [Task("budgets", 86_400.0, self._forget)]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/budgets/{id}/status."""
        from switchgear_plugins.budgets.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context, self.seeds)

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear budgets`."""
        from switchgear_plugins.budgets.commands import budgets as command  # noqa: PLC0415 - a gateway that serves has no use for it

        return [command]

    def seeds(self) -> Seeds:
        """Return what knows how much is spent."""
        if self._policy is not None:
            return self._policy.seeds
        if self._seeds is None:
            self._seeds = Seeds(self.context)
        return self._seeds

    async def standing(self, budget: Budget) -> Standing | Standings:
        """Say how a budget stands, for everybody it is for."""
        if budget.each is None:
            return await standing(self.context, self.seeds(), budget, None)
        return await standings(self.context, self.seeds(), budget, 1000)

    async def stop(self) -> None:
        """Let go of what notes the calls in flight."""
        if self._policy is not None:
            self._policy.seeds.close()

    def _make(self) -> BudgetsPolicy:
        policy = self._policy = BudgetsPolicy(self.context, self.settings.max_tokens, self.settings.picture_tokens)
        self.context.spawn("counters of budgets", policy.seeds.watch)
        self.context.spawn("thresholds of budgets", Thresholds(self.context, policy).run)
        return policy

    async def _forget(self) -> None:
        before_us = self.context.ambient.now_us() - _KEPT_DAYS * _DAY_US
        async with self.context.tables.transaction() as t:
            await t.execute("forget", before_us=before_us)
