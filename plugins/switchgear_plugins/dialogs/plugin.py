from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from switchgear import Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.kernel import Assets, Migrations, Task, UIPage
from switchgear_plugins.dialogs.dialect import DialogsDialect
from switchgear_plugins.dialogs.settings import DialogsSettings
from switchgear_plugins.dialogs.shelf import Shelf
from switchgear_plugins.dialogs.turns import Turns

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_PURGE_S = 3600


class DialogsPlugin(Plugin[DialogsSettings]):
    """Conversations that the gateway keeps: a client says what is new, and the model is told what went before."""

    api = 1
    settings_type = DialogsSettings
    requires = ("store",)

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the tables."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer /v1/dialogs."""
        return [
            Offer(
                "dialogs",
                lambda: DialogsDialect(self.shelf, self.turns, self.settings.message_bytes),
                summary="Conversations that are kept",
            )
        ]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("dialogs", "Dialogs", "dialogs.js", needs=""),
            UIPage("talk", "Talk", "talk.js", kind="agents", panel=True),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/dialogs."""
        from switchgear_plugins.dialogs.routes import dialog_handlers  # noqa: PLC0415 - Litestar takes long to import

        return dialog_handlers(lambda: self.shelf)

    def switchgear_tasks(self) -> list[Task]:
        """Forget old ones."""
        return [Task("purge_dialogs", _PURGE_S, self._purge)]

    async def stop(self) -> None:
        """Wait for answers that are being kept."""
        if "turns" in self.__dict__:
            await self.turns.workers.stop()

    async def _purge(self) -> None:
        await self.shelf.purge()

    @cached_property
    def shelf(self) -> Shelf:
        """What keeps them; there is none before the store is open."""
        return Shelf(self.context.tables, self.settings, self.context.ambient)

    @cached_property
    def turns(self) -> Turns:
        """What makes answers."""
        return Turns(self.context, self.shelf, self.settings)
