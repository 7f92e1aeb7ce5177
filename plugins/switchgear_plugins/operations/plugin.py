from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from switchgear import Context, Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.jobs import JobHandler
from switchgear.contracts.kernel import Assets, Migrations, Task, UIPage
from switchgear_plugins.operations.book import Book
from switchgear_plugins.operations.dialect import OperationsDialect
from switchgear_plugins.operations.runner import FINISHED, JOB, Runner
from switchgear_plugins.operations.settings import OperationsSettings

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_LEASE_S = 15.0
_SWEEP_S = 10.0
_SWEEP = "operations.sweep"


class OperationsPlugin(Plugin[OperationsSettings]):
    """Calls that are answered later: `?async=true` gives an operation, which is asked for, waited for and cancelled by its id."""

    api = 1
    settings_type = OperationsSettings
    requires = ("store", "jobs")
    announces: ClassVar[Mapping[str, str]] = {
        FINISHED: "an operation has ended; data: `id`, `owner`, `status` (`completed`, `failed`, `cancelled`), `endpoint`,"
        " `model`"
    }

    def __init__(self, settings: OperationsSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._holder = context.ambient.new_id()

    def switchgear_migrations(self) -> list[Migrations]:
        """Bring the table."""
        return [Migrations(Path(__file__).parent / "migrations")]

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer the paths."""
        return [
            Offer(
                "operations",
                lambda: OperationsDialect(self.context, self.book, self.runner, self.settings),
                summary="Calls that are answered later",
            )
        ]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("operations", "Operations", "operations.js", needs="operations"),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/operations."""
        from switchgear_plugins.operations.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(lambda: self.book, lambda: self.runner)

    def switchgear_job_handlers(self) -> list[JobHandler]:
        """Do them, unless others are to."""
        if not self.settings.concurrency:
            return []
        return [
            JobHandler(
                JOB,
                lambda run: self.runner.run(run),  # noqa: PLW0108 - there is no runner yet
                concurrency=self.settings.concurrency,
                lease_s=_LEASE_S,
            )
        ]

    def switchgear_tasks(self) -> list[Task]:
        """See to what was left behind, and forget what has expired."""
        return [Task("operations_sweep", _SWEEP_S, self._sweep)]

    async def _sweep(self) -> None:
        if await self.context.store.lease(_SWEEP, self._holder, 6 * _SWEEP_S):
            await self.runner.sweep()
            await self.book.purge()

    async def stop(self) -> None:
        """Let another replica sweep at once."""
        await self.context.store.release(_SWEEP, self._holder)

    @cached_property
    def book(self) -> Book:
        """What keeps them; there is none before the store is open."""
        return Book(self.context.tables, self.settings, self.context.ambient)

    @cached_property
    def runner(self) -> Runner:
        """What runs them."""
        return Runner(self.context, self.book, self.settings)
