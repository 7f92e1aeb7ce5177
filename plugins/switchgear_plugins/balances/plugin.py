from pathlib import Path
from typing import TYPE_CHECKING

from switchgear import Offer, Plugin
from switchgear.contracts.kernel import Assets, Migrations, Task, UIPage
from switchgear.contracts.policy import Policy
from switchgear_plugins.balances.books import Books
from switchgear_plugins.balances.policy import BalancesPolicy
from switchgear_plugins.balances.settings import BalancesSettings

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_LOOK_S = 10.0


class BalancesPlugin(Plugin[BalancesSettings]):
    """Tokens that end users have to spend: accounts, calls that use them up, and the admin routes over both."""

    api = 1
    settings_type = BalancesSettings
    requires = ("store",)

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `balances`."""
        return [Offer("balances", lambda: BalancesPolicy(self.settings, self.books()), summary="Token balances")]

    def switchgear_tasks(self) -> list[Task]:
        """Give back what nobody will settle any more."""
        return [Task("balances", _LOOK_S, self._give_back)]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/balances."""
        from switchgear_plugins.balances.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.books)

    def switchgear_assets(self) -> list[Assets]:
        """Bring the file of its page."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its page of the console."""
        return [UIPage("balances", "Balances", "balances.js", group="Access", needs="balances")]

    def books(self) -> Books:
        """Return the books; there are none before the store is open."""
        return Books(self.context.tables, self.context.ambient)

    async def _give_back(self) -> None:
        await self.books().give_back()
