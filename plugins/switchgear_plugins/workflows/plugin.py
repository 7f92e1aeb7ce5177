from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from switchgear import NoSettings, Offer, OfferKind, Plugin
from switchgear.contracts.content import WorkflowStep
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.exchange import Target
from switchgear.contracts.kernel import Assets, UIPage
from switchgear.contracts.record import RecordKind
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.workflows.conditions import ConditionalStep
from switchgear_plugins.workflows.dialect import WorkflowsDialect
from switchgear_plugins.workflows.native import FAILED, WorkflowNative
from switchgear_plugins.workflows.records import runs_kind
from switchgear_plugins.workflows.resources import workflows
from switchgear_plugins.workflows.retrieval import CragSettings, CragStep, SearchSettings, SearchStep
from switchgear_plugins.workflows.settings import WorkflowsSettings
from switchgear_plugins.workflows.steps import (
    ChatSettings,
    ChatStep,
    MapSettings,
    MapStep,
    ParallelSettings,
    ParallelStep,
)

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

STEPS = "workflow_steps"


class WorkflowsPlugin(Plugin[WorkflowsSettings]):
    """Workflows: the kind, what runs them, `POST /v1/workflows/{id}/execute`, and types of steps."""

    api = 1
    settings_type = WorkflowsSettings
    requires = ("store",)
    defines = (OfferKind(STEPS, WorkflowStep, "Types of steps of workflows"),)
    announces: ClassVar[Mapping[str, str]] = {
        FAILED: "a run of a workflow has failed; data: `id`, `workflow`, `code`, `error`"
    }

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `workflows`."""
        return [workflows(lambda: self.context.offers(STEPS), self._target)]

    def switchgear_record_kinds(self) -> list[RecordKind]:
        """Declare the records of runs."""
        return [runs_kind(self.settings.keep_days)]

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer the path."""
        return [Offer("workflows", WorkflowsDialect, summary="Workflows run by their ids")]

    def switchgear_workflow_steps(self) -> list[Offer[WorkflowStep]]:
        """Offer types of steps."""
        return [
            Offer("chat_completion", ChatStep, ChatSettings, "A model asked"),
            Offer("conditional", ConditionalStep, NoSettings, "Where to go on"),
            Offer("crag_scoring", CragStep, CragSettings, "Documents graded by how well they answer a question"),
            Offer("knowledge_base_search", SearchStep, SearchSettings, "Documents found in a knowledge base"),
            Offer("map", MapStep, MapSettings, "Steps for each item of a list"),
            Offer("parallel", ParallelStep, ParallelSettings, "Branches at the same time"),
        ]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("run", "Run", "run.js", kind="workflows", panel=True),
            UIPage("runs", "Runs", "runs.js", kind="workflows", panel=True),
            UIPage("edit", "Edit", "edit.js", kind="workflows", panel=True),
            UIPage("workflow-runs", "Workflow runs", "runs.js", group="Testing", needs="workflow-runs"),
            UIPage("workflow-templates", "Workflow templates", "templates.js", group="Resources", needs="workflows"),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring execution, testing, cloning, templates and runs."""
        from switchgear_plugins.workflows.routes import handlers  # noqa: PLC0415 - Litestar takes long to import
        from switchgear_plugins.workflows.traces import trace_handlers  # noqa: PLC0415 - likewise

        return [*handlers(self.context), *trace_handlers(self.context)]

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear workflows`."""
        from switchgear_plugins.workflows.commands import workflows as group  # noqa: PLC0415 - a gateway has no use for it

        return [group]

    def _target(self, id: str) -> Target:
        return self.context.target(id, self.native)

    @cached_property
    def native(self) -> WorkflowNative:
        """What runs them."""
        return WorkflowNative(self.context, self.settings)
