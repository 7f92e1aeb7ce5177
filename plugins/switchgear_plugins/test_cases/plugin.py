from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from switchgear import Plugin
from switchgear.contracts.jobs import JobHandler, JobRun
from switchgear.contracts.kernel import Assets, UIPage
from switchgear.contracts.record import RecordKind
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.test_cases.cases import cases
from switchgear_plugins.test_cases.results import record_kinds
from switchgear_plugins.test_cases.runner import RunAsked, Runner
from switchgear_plugins.test_cases.settings import TestCasesSettings

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

_DAY_S = 86_400.0
_LEASE_S = 9.0
"""A run that was stopped knows it within a third of this."""
_RUNS = 2
"""Runs at once in this process."""


class TestCasesPlugin(Plugin[TestCasesSettings]):
    """Test cases: calls, and what has to be so of their answers; run over the admin API and by `switchgear test run`."""

    api = 1
    settings_type = TestCasesSettings
    requires = ("store", "jobs")

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `test-cases`."""
        return [cases()]

    def switchgear_record_kinds(self) -> list[RecordKind]:
        """Declare the records of runs and results."""
        return record_kinds(self.settings.keep_days)

    def switchgear_job_handlers(self) -> list[JobHandler]:
        """Run cases in the background."""
        return [JobHandler("test_cases.run", self._run, concurrency=_RUNS, lease_s=_LEASE_S)]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("results", "Results", "history.js", kind="test-cases", panel=True),
            UIPage("edit", "Edit", "edit.js", kind="test-cases", panel=True),
            UIPage("test-runs", "Test runs", "runs.js", group="Testing", needs="test-cases"),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/test-runs, and the history of each case."""
        from switchgear_plugins.test_cases.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context, self._runner, self.settings.keep_days * _DAY_S)

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear test`."""
        from switchgear_plugins.test_cases.commands import test  # noqa: PLC0415 - a gateway that serves has no use for it

        return [test]

    def _runner(self) -> Runner:
        return Runner(self.context, self.settings)

    async def _run(self, run: JobRun) -> bytes:
        async def done(count: int, total: int) -> None:
            await run.report(msgspec.json.encode({"done": count, "total": total}))

        job = run.job
        asked = msgspec.json.decode(job.payload, type=RunAsked)
        results = await self._runner().run(job.id, job.created_us, asked, done)
        return msgspec.json.encode({"passed": all(it.status == "passed" for it in results)})
