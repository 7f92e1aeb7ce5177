"""Every hook. A plugin implements one by having a method of its name; all are optional.

Hooks are called once, while booting, after every plugin was constructed and before any is started. They are plain functions
without I/O that return what the plugin brings; they are never on the way of a request. Results of all plugins are collected
in plugin order. What an offer's factory is called with stands in each hook's docstring; `settings` is always the offer's
`settings_type`, validated. Besides, each is called once while booting, to see what it makes (`switchgear.factories`).
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import pluggy

from switchgear.contracts.content import Chunker, KnowledgeBase, Parser, Scorer, WorkflowStep
from switchgear.contracts.counters import Counters
from switchgear.contracts.credential import CredentialBackend
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.event import EventHandler
from switchgear.contracts.jobs import JobHandler, JobQueue
from switchgear.contracts.kernel import Assets, Migrations, Notice, RecordSink, Seed, Task, UIPage
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Authenticator, Authorizer
from switchgear.contracts.provider import NativeProvider, Provider
from switchgear.contracts.record import RecordKind
from switchgear.contracts.resource import ResourceKind
from switchgear.contracts.store import Store
from switchgear.contracts.usage import PriceBook
from switchgear.offer import Offer

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler

PROJECT = "switchgear"
WAITING = (
    "switchgear_knowledge_bases", "switchgear_scorers", "switchgear_parsers", "switchgear_chunkers",
    "switchgear_workflow_steps",
)  # fmt: skip
"""Hooks that the kernel has no use for itself: what they bring is for a plugin that says so (`OfferKind("scorers", …)`)."""
hookspec = pluggy.HookspecMarker(PROJECT)


class Hooks:
    """The hookspecs."""

    @hookspec
    def switchgear_providers(self) -> Iterable[Offer[Provider | NativeProvider]]:  # type: ignore[empty-body]
        """Bring provider types. Factory: `(config: ProviderConfig[settings])`, once for each `providers` resource of the type."""

    @hookspec
    def switchgear_credential_backends(self) -> Iterable[Offer[CredentialBackend]]:  # type: ignore[empty-body]
        """Bring places where secrets are held. Factory: `()`, once."""

    @hookspec
    def switchgear_knowledge_bases(self) -> Iterable[Offer[KnowledgeBase]]:  # type: ignore[empty-body]
        """Bring knowledge base types. Factory: `(settings)`, once for each resource."""

    @hookspec
    def switchgear_scorers(self) -> Iterable[Offer[Scorer]]:  # type: ignore[empty-body]
        """Bring ways to grade retrieved documents. Factory: `(settings)`."""

    @hookspec
    def switchgear_parsers(self) -> Iterable[Offer[Parser]]:  # type: ignore[empty-body]
        """Bring document parsers. Factory: `(settings)`."""

    @hookspec
    def switchgear_chunkers(self) -> Iterable[Offer[Chunker]]:  # type: ignore[empty-body]
        """Bring ways to cut text. Factory: `(settings)`."""

    @hookspec
    def switchgear_workflow_steps(self) -> Iterable[Offer[WorkflowStep]]:  # type: ignore[empty-body]
        """Bring workflow step types. Factory: `(settings)`."""

    @hookspec
    def switchgear_stores(self) -> Iterable[Offer[Store]]:  # type: ignore[empty-body]
        """Bring a store. Factory: `()`, once, before anything starts. One store is active; two enabled are a clash."""

    @hookspec
    def switchgear_counters(self) -> Iterable[Offer[Counters]]:  # type: ignore[empty-body]
        """Bring counters. Factory: `()`, once. One is active: `[gateway] counters`, or the only one enabled."""

    @hookspec
    def switchgear_job_queues(self) -> Iterable[Offer[JobQueue]]:  # type: ignore[empty-body]
        """Bring job queues. Factory: `()`, once, when the store is open. One is active: `[gateway] jobs`, or the only one."""

    @hookspec
    def switchgear_job_handlers(self) -> Iterable[JobHandler]:  # type: ignore[empty-body]
        """Say what is done with background jobs, by their kind. They run while the gateway serves."""

    @hookspec
    def switchgear_record_kinds(self) -> Iterable[RecordKind]:  # type: ignore[empty-body]
        """Declare kinds of record that the plugin keeps with `context.record`."""

    @hookspec
    def switchgear_record_sinks(self) -> Iterable[Offer[RecordSink]]:  # type: ignore[empty-body]
        """Bring places where records go besides the store. Factory: `()`, once, after the plugin's `start`."""

    @hookspec
    def switchgear_authenticators(self) -> Iterable[Offer[Authenticator]]:  # type: ignore[empty-body]
        """Bring ways to identify who asks. Factory: `()`, once; asked in plugin order."""

    @hookspec
    def switchgear_authorizers(self) -> Iterable[Offer[Authorizer]]:  # type: ignore[empty-body]
        """Bring opinions on who may do what. Factory: `()`, once; asked in plugin order, and the first opinion counts."""

    @hookspec
    def switchgear_dialects(self) -> Iterable[Offer[Dialect]]:  # type: ignore[empty-body]
        """Bring inbound wire formats. Factory: `()`, once."""

    @hookspec
    def switchgear_policies(self) -> Iterable[Offer[Policy]]:  # type: ignore[empty-body]
        """Bring policies. Factory: `()`, once, after the plugin's `start`."""

    @hookspec
    def switchgear_price_books(self) -> Iterable[Offer[PriceBook]]:  # type: ignore[empty-body]
        """Bring what models cost. Factory: `()`, once, after the plugin's `start`; asked in plugin order."""

    @hookspec
    def switchgear_resource_kinds(self) -> Iterable[ResourceKind[Any, Any]]:  # type: ignore[empty-body]
        """Declare kinds of resource."""

    @hookspec
    def switchgear_first_run(self) -> Iterable[Seed]:  # type: ignore[empty-body]
        """Bring resources to create when the gateway starts over an empty store."""

    @hookspec
    def switchgear_notices(self) -> Iterable[Notice]:  # type: ignore[empty-body]
        """Bring what is told to whoever starts the gateway from the command line."""

    @hookspec
    def switchgear_routes(self) -> "Iterable[HTTPRouteHandler]":  # type: ignore[empty-body]
        """Bring admin routes below /admin/v1 as Litestar handlers; each declares `action` and `resource` in its `opt`."""

    @hookspec
    def switchgear_tasks(self) -> Iterable[Task]:  # type: ignore[empty-body]
        """Bring periodic work, which runs while the gateway serves."""

    @hookspec
    def switchgear_commands(self) -> "Iterable[click.Command]":  # type: ignore[empty-body]
        """Bring commands of the command line; `switchgear.commands` has what they are made with."""

    @hookspec
    def switchgear_ui_pages(self) -> Iterable[UIPage]:  # type: ignore[empty-body]
        """Bring pages of the admin UI, which GET /admin/v1/pages lists. Their modules are among the plugin's assets."""

    @hookspec
    def switchgear_assets(self) -> Iterable[Assets]:  # type: ignore[empty-body]
        """Bring files that anybody may read, below /ui/PLUGIN/."""

    @hookspec
    def switchgear_event_handlers(self) -> Iterable[EventHandler]:  # type: ignore[empty-body]
        """Bring listeners."""

    @hookspec
    def switchgear_migrations(self) -> Iterable[Migrations]:  # type: ignore[empty-body]
        """Bring the SQL of the plugin's own tables."""

    @hookspec
    def switchgear_offers(self) -> Iterable[Offer[Any]]:  # type: ignore[empty-body]
        """Bring what other plugins defined a kind of offer for (`Plugin.defines`), with its `kind`. Factory: `(settings)`."""


class _Lazy(dict[str, Any]):
    """What is imported where a plugin brings it: both take long."""

    def __missing__(self, name: str) -> Any:
        module = {"click": "", "HTTPRouteHandler": "litestar.handlers"}[name]
        return getattr(import_module(module), name) if module else import_module(name)


@lru_cache(maxsize=64)
def brought_to(hook: str) -> tuple[Any, Any]:
    """Return what a hook collects, and of offers what their factories make, None of anything else: as the hook is annotated."""
    [item] = get_args(get_type_hints(vars(Hooks)[hook], localns=_Lazy())["return"])
    origin = get_origin(item) or item
    return origin, get_args(item)[0] if origin is Offer else None
