"""Each hook collects what a plugin brings, under the plugin's name, and refuses what is not of its sort."""

import pytest

from support.distributions import Site
from switchgear.errors import BootError
from switchgear.hooks import Hooks

OFFER = "Offer('one', dict)"
BROUGHT = {
    "switchgear_providers": OFFER,
    "switchgear_credential_backends": OFFER,
    "switchgear_knowledge_bases": OFFER,
    "switchgear_scorers": OFFER,
    "switchgear_parsers": OFFER,
    "switchgear_chunkers": OFFER,
    "switchgear_workflow_steps": OFFER,
    "switchgear_stores": OFFER,
    "switchgear_counters": OFFER,
    "switchgear_job_queues": OFFER,
    "switchgear_job_handlers": "JobHandler('one', dict)",
    "switchgear_record_kinds": "RecordKind('one', NoSettings)",
    "switchgear_record_sinks": OFFER,
    "switchgear_authenticators": OFFER,
    "switchgear_authorizers": OFFER,
    "switchgear_dialects": OFFER,
    "switchgear_policies": OFFER,
    "switchgear_price_books": OFFER,
    "switchgear_resource_kinds": "ResourceKind(name='one', title='one', spec=NoSettings)",
    "switchgear_first_run": "Seed('models', {'id': 'one'})",
    "switchgear_routes": "one",
    "switchgear_tasks": "Task('one', 1.0, dict)",
    "switchgear_commands": "click.Command('one')",
    "switchgear_ui_pages": "UIPage('one', 'One', 'one.js')",
    "switchgear_assets": "Assets(Path('assets'))",
    "switchgear_event_handlers": "Listener()",
    "switchgear_migrations": "Migrations(Path('migrations'))",
    "switchgear_offers": "Offer('one', dict, kind='offers_of_mine')",
}
PLUGIN = """
    from pathlib import Path
    import click
    from litestar import get
    from switchgear import NoSettings, Offer
    from switchgear.contracts.kernel import Assets, Migrations, Seed, Task, UIPage
    from switchgear.contracts.jobs import JobHandler
    from switchgear.contracts.record import RecordKind
    from switchgear.contracts.resource import ResourceKind

    class Listener:
        names = frozenset()
        def handle(self, event): ...

    @get('/admin/v1/one', name='one', opt={'action': 'list', 'resource': 'one'}, sync_to_thread=False)
    def one() -> None: ...

    class P(switchgear.Plugin):
        api = 1
"""


QUEUES = {"switchgear_job_handlers": "        def switchgear_job_queues(self): return [Offer('queue', dict)]\n"}


def plugin(hook: str, returns: str) -> str:
    return f"{PLUGIN}        def {hook}(self): return [{returns}]\n"


def test_there_are_these_hooks():
    assert [hook for hook in vars(Hooks) if hook.startswith("switchgear_")] == list(BROUGHT)


@pytest.mark.parametrize("hook", BROUGHT)
def test_what_a_plugin_brings_is_collected_under_its_name(kernel, site: Site, hook: str):
    site.add("acme", {"acme": "P"}, plugin(hook, BROUGHT[hook]) + QUEUES.get(hook, ""))
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
