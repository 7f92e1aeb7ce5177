"""Each hook collects what a plugin brings, under the plugin's name, and refuses what is not of its sort."""

import pytest

from support.distributions import Site
from switchgear.brings import ACTIVE, CONSUMERS
from switchgear.errors import BootError
from switchgear.hooks import WAITING, Hooks

BROUGHT = {
    "switchgear_providers": "Offer('one', lambda config: stub(Provider))",
    "switchgear_credential_backends": "Offer('one', lambda: stub(CredentialBackend))",
    "switchgear_knowledge_bases": "Offer('one', lambda settings: stub(KnowledgeBase))",
    "switchgear_scorers": "Offer('one', lambda settings: stub(Scorer))",
    "switchgear_parsers": "Offer('one', lambda settings: stub(Parser))",
    "switchgear_chunkers": "Offer('one', lambda settings: stub(Chunker))",
    "switchgear_workflow_steps": "Offer('one', lambda settings: stub(WorkflowStep))",
    "switchgear_stores": "Offer('one', lambda: stub(Store))",
    "switchgear_counters": "Offer('one', lambda: stub(Counters))",
    "switchgear_job_queues": "Offer('one', lambda: stub(JobQueue))",
    "switchgear_job_handlers": "JobHandler('one', work)",
    "switchgear_record_kinds": "RecordKind('one', NoSettings)",
    "switchgear_record_sinks": "Offer('one', lambda: stub(RecordSink))",
    "switchgear_authenticators": "Offer('one', lambda: stub(Authenticator))",
    "switchgear_authorizers": "Offer('one', lambda: stub(Authorizer))",
    "switchgear_dialects": "Offer('one', lambda: stub(Dialect))",
    "switchgear_policies": "Offer('one', Policy)",
    "switchgear_price_books": "Offer('one', lambda: stub(PriceBook))",
    "switchgear_resource_kinds": "ResourceKind(name='one', title='one', spec=NoSettings)",
    "switchgear_first_run": "Seed('models', {'id': 'one'})",
    "switchgear_notices": "Notice(tell)",
    "switchgear_routes": "one",
    "switchgear_tasks": "Task('one', 1.0, beat)",
    "switchgear_commands": "click.Command('one')",
    "switchgear_ui_pages": "UIPage('one', 'One', 'one.js')",
    "switchgear_assets": "Assets(HERE / 'assets')",
    "switchgear_event_handlers": "Listener()",
    "switchgear_migrations": "Migrations(HERE / 'migrations')",
    "switchgear_offers": "Offer('one', lambda settings: 1, kind='offers_of_mine')",
}
PLUGIN = """
    from pathlib import Path
    import click
    from litestar import get
    from switchgear import NoSettings, Offer
    from support.stubs import stub
    from switchgear.contracts.content import Chunker, KnowledgeBase, Parser, Scorer, WorkflowStep
    from switchgear.contracts.counters import Counters
    from switchgear.contracts.credential import CredentialBackend
    from switchgear.contracts.dialect import Dialect
    from switchgear.contracts.jobs import JobHandler, JobQueue
    from switchgear.contracts.kernel import Assets, Migrations, Notice, RecordSink, Seed, Task, UIPage
    from switchgear.contracts.policy import Policy
    from switchgear.contracts.principal import Authenticator, Authorizer
    from switchgear.contracts.provider import Provider
    from switchgear.contracts.record import RecordKind
    from switchgear.contracts.resource import ResourceKind
    from switchgear.contracts.store import Store
    from switchgear.contracts.usage import PriceBook

    HERE = Path(__file__).parent

    async def work(run): ...

    async def beat(): ...

    async def tell(serving): ...

    class Listener:
        names = frozenset()
        def handle(self, event): ...

    @get('/admin/v1/one', name='one', opt={'action': 'list', 'resource': 'one'}, sync_to_thread=False)
    def one() -> None: ...

    class P(switchgear.Plugin):
        api = 1
"""


MORE = {
    "switchgear_job_handlers": "        def switchgear_job_queues(self): return [Offer('queue', lambda: stub(JobQueue))]\n",
    "switchgear_ui_pages": "        def switchgear_assets(self): return [Assets(HERE / 'assets')]\n",
}
"""What another hook has to bring as well."""
FILES = ("assets/one.js", "migrations/sqlite/0001_one.sql")


def plugin(hook: str, returns: str) -> str:
    return f"{PLUGIN}        def {hook}(self): return [{returns}]\n"


def test_there_are_these_hooks():
    assert [hook for hook in vars(Hooks) if hook.startswith("switchgear_")] == list(BROUGHT)


@pytest.mark.parametrize("hook", BROUGHT)
def test_what_a_plugin_brings_is_collected_under_its_name(kernel, site: Site, hook: str):
    for name in FILES:
        file = site.root / name
        file.parent.mkdir(parents=True)
        file.write_text("CREATE TABLE acme (one);")
    site.add("acme", {"acme": "P"}, plugin(hook, BROUGHT[hook]) + MORE.get(hook, ""))
    made = kernel("acme")
    made.boot()
    [bound] = made.registry.all(getattr(Hooks, hook))
    assert ("acme", "acme 1.0") == (bound.plugin, f"{bound.distribution} 1.0")
    kind = "offers_of_mine" if hook == "switchgear_offers" else hook.removeprefix("switchgear_")
    assert kind in made.registry.brought_by("acme")


def test_jobs_that_no_queue_keeps_are_refused(kernel, site: Site):
    site.add("acme", {"acme": "P"}, plugin("switchgear_job_handlers", BROUGHT["switchgear_job_handlers"]))
    with pytest.raises(
        BootError, match=r"plugin `acme` of acme does jobs `one`, and no enabled plugin offers a job queue"
    ):
        kernel("acme").boot()


@pytest.mark.parametrize("hook", BROUGHT)
def test_something_else_is_refused_naming_hook_and_plugin(kernel, site: Site, hook: str):
    site.add("acme", {"acme": "P"}, plugin(hook, "42"))
    with pytest.raises(BootError, match=rf"plugin `acme` of acme 1\.0: `{hook}` returned 42"):
        kernel("acme").boot()


def test_whoever_asks_is_told_who_has_a_use_for_what_a_hook_brings():
    told = {*CONSUMERS, *ACTIVE, "offers", *(hook.removeprefix("switchgear_") for hook in WAITING)}
    assert {hook.removeprefix("switchgear_") for hook in BROUGHT} == told
