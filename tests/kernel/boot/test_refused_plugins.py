# ruff: noqa: E501 - tables, a case a line
"""Plugins that cannot work are refused while booting, and by `config check` in the same words: who, which offer, what to do."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.distributions import Site
from switchgear.cli import main
from switchgear.errors import BootError
from switchgear.hooks import Hooks

PRELUDE = """
import asyncio
from functools import partial
from pathlib import Path

import click
import msgspec
from litestar import get, post
from litestar.params import FromPath
from support.stubs import Source, stub
from switchgear import NoSettings, Offer, OfferKind
from switchgear.contracts.counters import Counters
from switchgear.contracts.credential import CredentialBackend
from switchgear.contracts.content import Scorer
from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.event import Event
from switchgear.contracts.jobs import JobHandler, JobQueue
from switchgear.contracts.kernel import Assets, Migrations, RecordSink, Seed, Task, UIPage
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Authenticator, Authorizer
from switchgear.contracts.provider import NativeProvider, Provider, Traits
from switchgear.contracts.record import RecordKind
from switchgear.contracts.resource import Reference, ResourceAction, ResourceKind, Shared
from switchgear.contracts.store import Store
from switchgear.contracts.usage import PriceBook

HERE = Path(__file__).parent
OPT = {"action": "read", "resource": "thing"}

async def handle(request): ...

class Spec(msgspec.Struct, forbid_unknown_fields=True):
    token: str = ""
    model: str | None = None
    port: int = 1
    nested: dict[str, Source] = {}
    many: list[str] = []

def kind(name="things", **options):
    return ResourceKind(name=name, title="thing", **({"spec": Spec} | options))

def dialect(*routes, **members):
    return stub(Dialect, **({"name": "acme", "routes": routes} | members))

"""


def offers(hook: str, factory: str, **options: str) -> str:
    more = "".join(f", {name}={value}" for name, value in options.items())
    return f"def switchgear_{hook}(self): return [Offer('one', {factory}{more})]"


def brings(hook: str, *items: str) -> str:
    return f"def switchgear_{hook}(self): return [{', '.join(items)}]"


ONE = "plugin `acme` of acme-tools"
OFFER = "its offer `one` (`switchgear_{}`)"

FACTORIES = {
    "raises where others may wait": (offers("job_queues", "lambda: 1/0"), "job_queues", ("raised ZeroDivisionError",)),
    "lacks a module": (
        offers("stores", "lambda: __import__('a_module_nobody_has')"), "stores",
        ("needs the module `a_module_nobody_has`", "pip install 'acme-tools[acme]'"),
    ),
    "exits": (offers("policies", "lambda: __import__('sys').exit(1)"), "policies", ("raised SystemExit", "Mend or disable")),
    "makes a coroutine": (offers("policies", "lambda: handle(1)"), "policies", ("makes a `coroutine`", "a `Policy`")),
    "raises": (offers("policies", "lambda: 1/0"), "policies", ("raised ZeroDivisionError", "Mend or disable")),
    "raises another": (offers("dialects", "lambda: {}['x']"), "dialects", ("raised KeyError", "Mend or disable")),
    "raises on any settings": (offers("providers", "lambda config: 1/0"), "providers", ("raised ZeroDivisionError",)),
    "takes too many": (offers("policies", "lambda a: Policy()"), "policies", ("takes (a)", "called with ()", "Let it")),
    "takes too few": (offers("providers", "lambda: None"), "providers", ("takes ()", "(config: ProviderConfig)")),
    "takes no settings": (offers("scorers", "lambda: None"), "scorers", ("takes ()", "called with (settings)")),
    "is async": (offers("dialects", "handle"), "dialects", ("no plain function", "Make it a `def`")),
    "makes anything": (offers("dialects", "object"), "dialects", ("makes an `object`, which is no `Dialect`", "`inference`")),
    "makes nothing": (offers("policies", "lambda: None"), "policies", ("returned None", "return a `Policy`")),
    "makes the class": (offers("authorizers", "lambda: Route"), "authorizers", ("the class `Route` itself", "an instance")),
    "makes no policy": (offers("policies", "lambda: stub(Authorizer)"), "policies", ("must be a `Policy`",)),
    "makes another provider": (
        offers("providers", "lambda config: stub(Provider, prepare=None)"), "providers", ("`prepare`", "must be a method"),
    ),
}  # fmt: skip
CONTRACTS = {
    "a dialect without inference": (
        "class Bare:\n    name = 'x'; request_id_header = None; retry_count_header = b''; routes = ()\n"
        "    def error(self, error, request_id): ...\n" + offers("dialects", "P.Bare"),
        "dialects", ("it has no `inference`", "switchgear.contracts.dialect"),
    ),
    "a dialect whose routes are no routes": (
        offers("dialects", "lambda: dialect('/x')"), "dialects", ("`routes[0]` is '/x'", "Route | WebSocketRoute"),
    ),
    "a dialect whose endpoint lacks a method": (
        offers("dialects", "lambda: dialect(inference=(dialect(),))"), "dialects", ("`inference[0]` has no", "`canonical`"),
    ),
    "a dialect with a header of text": (
        offers("dialects", "lambda: dialect(request_id_header='x-id')"), "dialects", ("`request_id_header` is 'x-id'", "bytes"),
    ),
    "a provider that inherits the Protocol": (
        "class Lazy(Provider):\n    def __init__(self, config): ...\n    wires = frozenset(); request_id_header = ''\n"
        + offers("providers", "P.Lazy"),
        "providers", ("it has no `decode`", "`prepare`", "`traits`"),
    ),
    "a provider whose method takes less": (
        offers("providers", "lambda config: stub(Provider, prepare=lambda self, call: None)"),
        "providers", ("`prepare` takes (call)", "called with (call, model, secret)"),
    ),
    "a provider whose method is async": (
        "async def prepare(self, call, model, secret): ...\n"
        + offers("providers", "lambda config: stub(Provider, prepare=P.prepare)"),
        "providers", ("`prepare` is not awaited", "a plain `def`"),
    ),
    "a native provider whose method is not": (
        "def complete(self, x, call, model, secret): ...\n"
        + offers("providers", "lambda config: stub(NativeProvider, complete=P.complete)"),
        "providers", ("`complete` is awaited", "an `async def`"),
    ),
    "a native provider that streams nothing": (
        "async def stream(self, x, call, model, secret): ...\n"
        + offers("providers", "lambda config: stub(NativeProvider, stream=P.stream)"),
        "providers", ("`stream` must `yield`",),
    ),
    "a provider whose wires are a word": (
        offers("providers", "lambda config: stub(Provider, wires='chat')"), "providers", ("`wires` is 'chat'", "frozenset[str]"),
    ),
    "a provider with other wires in its traits": (
        offers("providers", "lambda config: stub(Provider, traits=lambda self, model: Traits(frozenset({'messages'})))"),
        "providers", ("has `messages` in its `traits`", "`wires` lack"),
    ),
    "a provider whose traits are none": (
        offers("providers", "lambda config: stub(Provider, traits=lambda self, model: {})"),
        "providers", ("`traits(…)` is {}", "must be a `Traits`"),
    ),
    "a provider of required settings": (
        "class Needs(msgspec.Struct, forbid_unknown_fields=True):\n    region: str\n    tries: int\n"
        + offers("providers", "lambda config: object()", settings_type="P.Needs"),
        "providers", ("which is no `Provider | NativeProvider`",),
    ),
    "a class that refuses every example": (
        "class Picky:\n    def __init__(self, config): raise ValueError('no')\n    def prepare(self, call): ...\n"
        + offers("providers", "P.Picky"),
        "providers", ("its class `Picky`", "`prepare` takes (call)"),
    ),
    "a sink without kinds": (
        "class Sink:\n    async def write(self, kind, rows): ...\n" + offers("record_sinks", "P.Sink"),
        "record_sinks", ("it has no `kinds`", "switchgear.contracts.kernel"),
    ),
    "a sink whose kinds are a word": (
        offers("record_sinks", "lambda: stub(RecordSink, kinds='usage')"), "record_sinks", ("`kinds` is 'usage'",),
    ),
    "a sink that is not awaited": (
        "def write(self, kind, rows): ...\n" + offers("record_sinks", "lambda: stub(RecordSink, write=P.write)"),
        "record_sinks", ("`write` is awaited", "`async def`"),
    ),
    "a policy with a wrong mode": (
        "class Odd(Policy):\n    on_error = 'refuse'\n" + offers("policies", "P.Odd"), "policies", ("'refuse'", "'deny', 'allow'"),
    ),
    "a policy whose phase takes more": (
        "class Odd(Policy):\n    def admit(self, x, y): ...\n" + offers("policies", "P.Odd"), "policies", ("`admit` takes (x, y)",),
    ),
    "a policy whose filter is asked for in vain": (
        "class Odd(Policy):\n    async def reads(self, x): ...\n" + offers("policies", "P.Odd"), "policies", ("`reads` is not awaited",),
    ),
    "a policy that yields": (
        "class Odd(Policy):\n    def reserve(self, x): yield 1\n" + offers("policies", "P.Odd"), "policies", ("`reserve` must `return`",),
    ),
    "counters whose sorts are a list of numbers": (
        offers("counters", "lambda: stub(Counters, sorts=frozenset({1}))"), "counters", ("`sorts[0]` is 1", "`str`"),
    ),
    "a store without anything": (offers("stores", "dict"), "stores", ("it has no", "`write`", "switchgear.contracts.store")),
    "an authenticator that needs more": (
        offers("authenticators", "lambda: stub(Authenticator, authenticate=lambda self: None)"),
        "authenticators", ("`authenticate` takes ()", "(credentials)"),
    ),
    "a price book that waits": (
        "async def price(self, type, model, at_us, host): ...\n" + offers("price_books", "lambda: stub(PriceBook, price=P.price)"),
        "price_books", ("`price` is not awaited",),
    ),
    "a backend whose source has no tag": (
        offers("credential_backends", "lambda: stub(CredentialBackend, source_type=NoSettings)"),
        "credential_backends", ('tag_field="backend", tag="one"',),
    ),
    "a backend whose secret names nothing": (
        offers("credential_backends", "lambda: stub(CredentialBackend, secret_fields=('values.*',))"),
        "credential_backends", ("`values.*` among its `secret_fields`", "`Source` has nothing there"),
    ),
    "a backend whose source is no Struct": (
        offers("credential_backends", "lambda: stub(CredentialBackend, source_type=dict)"),
        "credential_backends", ("`source_type` is `dict`", "type[Struct]"),
    ),
    "a scorer that nobody takes": (
        "def score(self, query, document): ...\n" + offers("scorers", "lambda settings: stub(Scorer, score=P.score)"),
        "scorers", ("`score` is awaited",),
    ),
    "an offer to another plugin": (
        "defines = (OfferKind('exporters', Scorer),)\n" + offers("offers", "lambda settings: 5", kind="'exporters'"),
        "offers", ("makes 5, which is no `Scorer`",),
    ),
}  # fmt: skip
ITEMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "an offer without a name": ("def switchgear_policies(self): return [Offer(' ', Policy)]", "policies", ("`name` is empty",)),
    "secrets that are a word": (brings("resource_kinds", "kind(secrets='token')"), "resource_kinds", ("`secrets` is 'token'", "tuple[str, ...]")),
    "a factory that is a number": (offers("policies", "5"), "policies", ("called `one`", "`factory` is 5", "a function")),
    "a name that is a number": (brings("policies", "Offer(5, Policy)"), "policies", ("`name` is 5", "`str`")),
    "settings that are a dict": (offers("policies", "Policy", settings_type="dict"), "policies", ("`settings_type` is `dict`",)),
    "a kind whose spec is a dict": (brings("resource_kinds", "kind(spec=dict)"), "resource_kinds", ("`spec` is `dict`", "Struct")),
    "a kind whose references are names": (
        brings("resource_kinds", "kind(references=('model',))"), "resource_kinds", ("`references[0]` is 'model'", "`Reference`"),
    ),
    "a kind whose compile takes less": (
        brings("resource_kinds", "kind(compile=lambda resource: resource)"), "resource_kinds", ("`compile` takes (resource)",),
    ),
    "a kind whose validate is async": (
        "async def check(self, view, by): ...\n" + brings("resource_kinds", "kind(validate=self.check)"),
        "resource_kinds", ("`validate`",),
    ),
    "a task that is not awaited": (
        "def beat(self) -> None: ...\n" + brings("tasks", "Task('beat', 1.0, self.beat)"), "tasks", ("`run` is awaited",),
    ),
    "a task with words for seconds": (brings("tasks", "Task('beat', True, handle)"), "tasks", ("`every_s` is True", "`float`")),
    "a job that takes nothing": (
        "async def work(self): ...\n" + brings("job_handlers", "JobHandler('work', self.work)"), "job_handlers", ("`run` takes ()",),
    ),
    "assets at a word": (brings("assets", "Assets('assets')"), "assets", ("`directory` is 'assets'", "`Path`")),
    "a listener without names": (
        "def handle(self, event): ...\n" + brings("event_handlers", "self"), "event_handlers", ("it has no `names`",),
    ),
    "a listener that takes nothing": (
        "names = frozenset()\ndef handle(self): ...\n" + brings("event_handlers", "self"), "event_handlers", ("`handle` takes ()",),
    ),
    "a seed without a body": (brings("first_run", "Seed('models', None)"), "first_run", ("`body` is None", "dict[str, Any]")),
}  # fmt: skip
KINDS = {
    "a bad name": ("kind('My Things')", ("`My Things`", "lower case with hyphens")),
    "a name of the gateway's": ("kind('models')", ("`models` (`switchgear_resource_kinds`) is one of the gateway's own", "Rename it")),
    "a secret that names nothing": ("kind(secrets=('tokne',))", ("`secrets` has `tokne`", "did you mean `token`?", "Name a field")),
    "a nested secret that names nothing": ("kind(secrets=('nested.*.key',))", ("`secrets` has `nested.*.key`",)),
    "a secret that is no text": ("kind(secrets=('port',))", ("`secrets` has `port`", "no string")),
    "a secret among a list without `*`": ("kind(secrets=('many.token',))", ("`secrets` has `many.token`",)),
    "a hidden field that names nothing": ("kind(hidden=('hash',))", ("`hidden` has `hash`", "`Spec` has nothing there")),
    "a reference that names nothing": (
        "kind(references=(Reference('modle', 'models'),))", ("`references` has `modle`", "did you mean `model`?"),
    ),
    "a reference that is no text": ("kind(references=(Reference('port', 'models'),))", ("`references` has `port`", "no string")),
    "a scope that names nothing": ("kind(scope=('team',))", ("`scope` has `team`", "no field of Spec")),
    "names that are shared": ("kind(shared=Shared(field='many', merge=lambda name, live: None))", ("`shared`", "Leave them out")),
    "a prefix that no id can have": ("kind(id_prefix='_x')", ("`id_prefix`", "a letter or digit first")),
    "an action of the gateway's": (
        "kind(actions=(ResourceAction(name='restore', summary='', apply=lambda r, i, by: r),))", ("an action cannot be named `restore`",),
    ),
}  # fmt: skip
DOORS = {
    "a route of the kernel's kind": (
        "@get('/admin/v1/models', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine"),
        ("GET /admin/v1/models", "the gateway itself (the resource kind `models`)", "Mend or disable"),
    ),
    "a route of the kernel's": (
        "@post('/admin/v1/config/reload', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine"),
        ("POST /admin/v1/config/reload", "the gateway itself"),
    ),
    "a route on health": (
        "@get('/health', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine"),
        ("GET /health (`switchgear_routes`) is not below /admin/v1", "would not be served", "Move it there"),
    ),
    "a route of the data plane": (
        "@get('/v1/extra', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine"),
        ("GET /v1/extra (`switchgear_routes`) is not below /admin/v1", "a `Route` of a dialect"),
    ),
    "a route that is there twice": (
        "@get('/admin/v1/x', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine", "P.mine"),
        ("answers GET /admin/v1/x twice",),
    ),
    "a route that Litestar cannot serve": (
        "@get('/admin/v1/x', opt=OPT)\nasync def mine(what) -> None: ...\n" + brings("routes", "P.mine"),
        ("its route /admin/v1/x (`switchgear_routes`) cannot be served", "Mend its handler"),
    ),
    "a route of its own kind": (
        "@get('/admin/v1/things/{id:str}', opt=OPT)\nasync def mine(id: FromPath[str]) -> None: ...\n"
        + brings("routes", "P.mine") + "\n" + brings("resource_kinds", "kind()"),
        ("both answer GET /admin/v1/things/{}", "(its resource kind `things`)"),
    ),
    "a path without a slash": (
        offers("dialects", "lambda: dialect(Route('GET', 'x/y', handle, open_to='everybody'))"), ("`x/y` is no path",),
    ),
    "a path of the gateway's": (
        offers("dialects", "lambda: dialect(Route('GET', '/admin/x', handle, open_to='everybody'))"),
        ("/admin/x is the gateway's own", "Choose another"),
    ),
    "a query that is not async": (
        "def query(self, request): ...\n"
        + offers("dialects", "lambda: dialect(Route('GET', '/x', self.query, open_to='everybody'))"),
        ("`routes[0].handler` is awaited", "an `async def`"),
    ),
    "a query that takes nothing": (
        "async def query(self): ...\n"
        + offers("dialects", "lambda: dialect(Route('GET', '/x', self.query, open_to='everybody'))"),
        ("`routes[0].handler` takes ()", "(RouteRequest)"),
    ),
    "a WebSocket that takes only the request": (
        offers("dialects", "lambda: dialect(WebSocketRoute('/x', handle, open_to='everybody'))"),
        ("`routes[0].handler` takes (request)", "(RouteRequest, Socket)"),
    ),
    "a path that is there twice": (
        offers("dialects", "lambda: dialect(*[Route('GET', '/x', handle, open_to='everybody')] * 2)"), ("both answer GET /x",),
    ),
    "a header that frames": (
        offers("dialects", "lambda: dialect(request_id_header=b'content-length')"), ("`request_id_header`", "frames no answer"),
    ),
    "a header in capitals": (offers("dialects", "lambda: dialect(retry_count_header=b'X-Retry')"), ("b'X-Retry'", "lower-case")),
    "a command of the gateway's": (
        brings("commands", "click.Command('serve')"), ("the command `serve`", "the gateway's own", "Rename it"),
    ),
    "a command without a name": (brings("commands", "click.Command(None)"), ("a command without a name", "Name it")),
    "a seed of an unknown kind": (
        brings("first_run", "Seed('modles', {'id': 'x'})"), ("`modles`", "did you mean `models`?", "Enable one that does"),
    ),
    "a seed with a misspelt field": (
        brings("first_run", "Seed('things', {'id': 'x', 'tokne': ''})") + "\n" + brings("resource_kinds", "kind()"),
        ("/tokne: there is no such field", "Mend its body"),
    ),
    "a seed without an id": (
        brings("first_run", "Seed('things', {})") + "\n" + brings("resource_kinds", "kind()"), ("it has no `id`",),
    ),
    "assets that are not there": (brings("assets", "Assets(HERE / 'nowhere')"), ("which is no directory", "Is it packaged?")),
    "a page that is not there": (
        brings("ui_pages", "UIPage('p', 'P', 'p.js')") + "\n" + brings("assets", "Assets(HERE)"),
        ("its page `p` (`switchgear_ui_pages`) has the module p.js", "Put it there"),
    ),
    "migrations that are not there": (brings("migrations", "Migrations(HERE / 'nowhere')"), ("which is no directory", "packaged?")),
    "migrations that are none": (brings("migrations", "Migrations(HERE)"), ("where there are none", "0001_what_it_does.sql")),
    "a metric of the gateway's": (
        "def __init__(self, settings, context):\n    context.metrics.counter('requests', 'Mine.')",
        ("the metric `requests`", "the gateway's own", "Rename it"),
    ),
    "a metric with a bad name": (
        "def __init__(self, settings, context):\n    context.metrics.counter('my-metric', 'Mine.')", ("'my-metric' is no name",),
    ),
    "a policy that counts in what nobody knows": (
        "class Odd(Policy):\n    sorts = frozenset({'grams'})\n    def reserve(self, x): return ()\n" + offers("policies", "P.Odd")
        + "\n" + brings("counters", "Offer('c', lambda: stub(Counters, sorts=frozenset({'slots'})))"),
        ("the policy `one`", "of the sort `grams`", "know `slots`", "Enable counters that know it"),
    ),
    "a hook that is a list": ("switchgear_policies = [Offer('one', Policy)]", ("`switchgear_policies` is no method", "Write `def")),
    "kinds of offer that are one": ("defines = OfferKind('exporters', dict)", ("`defines` is OfferKind", "Make it a tuple")),
    "a spec that is no JSON": (
        "class Odd(msgspec.Struct, forbid_unknown_fields=True):\n    a: Path\n" + brings("resource_kinds", "kind(spec=P.Odd)"),
        ("`Odd` cannot be written as JSON", "Give its fields other types"),
    ),
    "a record that is no JSON": (
        "class Odd(msgspec.Struct, forbid_unknown_fields=True):\n    a: Path\n" + brings("record_kinds", "RecordKind('visits', P.Odd)"),
        ("its record kind `visits`", "`Odd` cannot be written as JSON"),
    ),
    "a metric of two sorts": (
        "def __init__(self, settings, context):\n    context.metrics.counter('a', 'b')\n    context.metrics.gauge('a', 'b')",
        ("metric a is a counter already",),
    ),
    "live without reconfigure": ("live = True", ("`live = True`", "`reconfigure`", "or leave `live` out")),
    "reconfigure that is async": (
        "live = True\nasync def reconfigure(self, settings): ...", ("`reconfigure`", "Write `def reconfigure(self, settings)`"),
    ),
    "a start that is not async": ("def start(self): ...", ("`start` is awaited", "Write `async def start(self)`")),
    "a stop that takes more": ("async def stop(self, why): ...", ("`stop` is awaited", "Write `async def stop(self)`")),
}  # fmt: skip


def install(site: Site, body: str, *, distribution: str = "acme-tools", name: str = "acme") -> None:
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    site.add(distribution, {name: "P"}, f"{PRELUDE}\nclass P(switchgear.Plugin):\n    api = 1\n{indented}\n")


@pytest.fixture
def refused(kernel: Any, tmp_path: Path) -> Any:
    """Boot with plugins, and return why that is refused, once `config check` has said the same."""

    def refuse(*enabled: str) -> list[str]:
        made = kernel(*enabled)
        with pytest.raises(BootError) as caught:
            made.boot()
        said = CliRunner().invoke(main, ["config", "check", "--json", "--config", str(tmp_path / "plugins.toml")])
        assert (2, list(caught.value.failures)) == (said.exit_code, json.loads(said.output)["failures"])
        return list(caught.value.failures)

    return refuse


def says(failure: str, *parts: str) -> None:
    assert [] == [part for part in parts if part not in failure], failure
    assert "Traceback" not in failure


@pytest.mark.parametrize("case", {**FACTORIES, **CONTRACTS})
def test_a_factory_or_what_it_makes_is_refused(refused: Any, site: Site, case: str) -> None:
    body, hook, parts = {**FACTORIES, **CONTRACTS}[case]
    install(site, body)
    (failure,) = refused("acme")
    says(failure, ONE, OFFER.format(hook), *parts)


@pytest.mark.parametrize("case", ITEMS)
def test_what_a_hook_brings_is_refused(refused: Any, site: Site, case: str) -> None:
    body, hook, parts = ITEMS[case]
    install(site, body)
    (failure,) = refused("acme")
    says(failure, ONE, f"`switchgear_{hook}` brings", *parts, "Mend it as `")


@pytest.mark.parametrize("case", KINDS)
def test_a_kind_of_resource_is_refused(refused: Any, site: Site, case: str) -> None:
    made, parts = KINDS[case]
    install(site, brings("resource_kinds", made))
    (failure,) = refused("acme")
    says(failure, ONE, "resource kind `", *parts)


@pytest.mark.parametrize("case", DOORS)
def test_a_door_is_refused(refused: Any, site: Site, case: str) -> None:
    body, parts = DOORS[case]
    install(site, body)
    (failure,) = refused("acme")
    says(failure, ONE, *parts)


CLASHES = {
    "a path": (offers("dialects", "lambda: dialect(Route('GET', '/x', handle, open_to='everybody'), name=__name__)"), "GET /x"),
    "overlapping paths": (
        offers("dialects", "lambda: dialect(Route('GET', '/x/' + ('{a}' if __name__ == 'zenith' else 'y'), handle, open_to='everybody'))"),
        "which overlap",
    ),
    "an admin route": (
        "@get('/admin/v1/x', opt=OPT)\nasync def mine() -> None: ...\n" + brings("routes", "P.mine"), "GET /admin/v1/x",
    ),
    "a resource kind": (brings("resource_kinds", "kind()"), "`things`"),
    "a record kind": (brings("record_kinds", "RecordKind('visits', Spec)"), "`visits`"),
    "a command": (brings("commands", "click.Command('greet')"), "`greet`"),
    "an offer": (offers("policies", "Policy"), "`one`"),
    "a metric": ("def __init__(self, settings, context):\n    context.metrics.gauge('mine', 'Mine.')", "the metric `mine`"),
    "a measured metric": (
        "def __init__(self, settings, context):\n    context.metrics.observe_with('mine', 'Mine.', lambda: 1.0)", "the metric `mine`",
    ),
    "a table": (brings("migrations", "Migrations(HERE / 'tables')"), "the table `mine`"),
    "a job": (
        brings("job_handlers", "JobHandler('work', handle)")
        + "\ndef switchgear_job_queues(self): return [Offer('q', lambda: stub(JobQueue))] if __name__ == 'zenith' else []",
        "`work`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLASHES)
def test_two_plugins_at_one_door_are_both_named(refused: Any, site: Site, case: str) -> None:
    body, what = CLASHES[case]
    tables = site.root / "tables" / "sqlite"
    tables.mkdir(parents=True)
    (tables / "0001_mine.sql").write_text("CREATE TABLE mine (id);")
    body = body.replace("'one'", "__name__") if case == "a path" else body
    install(site, body)
    install(site, body, distribution="zenith", name="zenith")
    failures = [failure for failure in refused("acme", "zenith") if what in failure]
    says(failures[0], "plugin `acme`", "plugin `zenith`")


def test_several_faults_are_told_together(refused: Any, site: Site) -> None:
    install(site, FACTORIES["raises"][0] + "\n" + DOORS["assets that are not there"][0] + "\n" + brings("tasks", "5"))
    install(site, brings("resource_kinds", "kind(secrets=('tokne',))"), distribution="zenith", name="zenith")
    told = refused("acme", "zenith")
    assert 4 == len(told)
    says(
        "\n".join(told),
        "`switchgear_tasks` returned 5",
        "ZeroDivisionError",
        "no directory",
        "plugin `zenith`",
        "`tokne`",
    )


def test_what_needs_a_started_plugin_is_left_for_later(kernel: Any, site: Site) -> None:
    body = "requires = ('counters',)\npool = None\nasync def start(self): self.pool = stub(Authorizer)\n"
    body += offers("counters", "lambda: stub(Counters)") + "\n" + offers("policies", "partial(self.make)") + "\n"
    body += (
        "def make(self): return self.context.counters and Policy()\n"
        + offers("authorizers", "lambda: self.pool")
        + "\n"
    )
    body += offers("authenticators", "lambda: stub(Authenticator, x=self.pool.x)")
    install(site, body)
    made = kernel("acme")
    made.boot()
    assert [] == [it for it in made.warnings if "acme" in it]


def test_what_fails_before_a_plugin_starts_is_told(kernel: Any, site: Site) -> None:
    install(site, "async def start(self): ...\n" + offers("policies", "lambda: 1/0"))
    made = kernel("acme")
    made.boot()
    [warning] = [it for it in made.warnings if "acme" in it]
    says(warning, ONE, OFFER.format("policies"), "tried before the plugin starts, raised ZeroDivisionError")


async def test_a_factory_runs_in_an_event_loop_and_leaves_no_directory(kernel: Any, site: Site, tmp_path: Path) -> None:
    body = (
        "def make(self):\n    asyncio.get_running_loop().call_soon(print)\n    asyncio.create_task(asyncio.sleep(60))\n"
    )
    body += "    self.path = self.context.data_dir\n    return Policy()\n" + offers("policies", "self.make")
    install(site, body)
    made = kernel("acme")
    await asyncio.to_thread(made.boot)
    assert not (tmp_path / "data").exists()
    made.make_all(Hooks.switchgear_policies)
    assert (tmp_path / "data" / "acme").is_dir()
