# ruff: noqa: E501 - a table, a case a line
"""What a plugin says that is hardly meant is told as a warning, by boot, `config check` and `plugins list` alike."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kernel.boot.test_refused_plugins import brings, install, offers
from support.distributions import Site
from switchgear.cli import main
from switchgear.contracts.event import EVENTS

ROUTE = "@get('/admin/v1/x')\nasync def mine() -> None: ...\n" + brings("routes", "P.mine")
LOOSE = "class Loose(msgspec.Struct):\n    a: int = 1\n"
REFERS = "kind(references=(Reference('model', 'modles'),))"
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a prefix that is misspelt": ("def swichgear_policies(self): return []", ("`swichgear_policies` is no hook", "`switchgear_policies`?")),
    "capitals": ("def switchgearPolicies(self): return []", ("`switchgearPolicies` is no hook", "`switchgear_policies`?")),
    "no prefix": ("def policies(self): return []", ("`policies` is no hook", "`switchgear_policies`?")),
    "no hook": ("", ("it has no hook, so it brings nothing",)),
    "reconfigure without live": ("def reconfigure(self, settings): ...\n" + brings("tasks"), ("it has `reconfigure`", "`live = True`")),
    "loose settings": (LOOSE + "settings_type = Loose\n" + brings("tasks"), ("its settings `Loose` lack `forbid_unknown_fields=True`",)),
    "loose settings of an offer": (
        LOOSE + offers("policies", "Policy", settings_type="P.Loose"), ("its offer `one` (`switchgear_policies`)", "`Loose` lack"),
    ),
    "a loose spec": (LOOSE + brings("resource_kinds", "kind(spec=P.Loose)"), ("`Loose` of its resource kind `things`",)),
    "a phase that is misspelt": (
        "class Odd(Policy):\n    def admitt(self, x): ...\n" + offers("policies", "P.Odd"),
        ("`admitt` is no phase", "`admit`?"),
    ),
    "half of what a provider may be besides": (
        "def ask(self, secret): ...\n" + offers("providers", "lambda config: stub(Provider, token_request=P.ask)"),
        ("it has `token_request` and lacks `token`", "no `TokenExchange`"),
    ),
    "a plugin to come after that is misspelt": ("after = ('acmee',)\n" + brings("tasks"), ("after `acmee`", "`acme`?")),
    "a route for nobody": (ROUTE, ("its route /admin/v1/x declares neither", "so nobody may use it")),
    "a reference to no kind": (brings("resource_kinds", REFERS), ("kind `modles`", "Did you mean `models`?")),
    "an event that is never announced": (
        "names = frozenset({'model.changed'})\ndef handle(self, event): ...\n" + brings("event_handlers", "self"),
        ("listens to `model.changed`", "Did you mean `models.changed`?"),
    ),
    "records that nobody keeps": (
        offers("record_sinks", "lambda: stub(RecordSink, kinds=frozenset({'visit'}))")
        + "\n" + brings("record_kinds", "RecordKind('visits', Spec)"),
        ("it wants records `visit`", "Did you mean `visits`?"),
    ),
    "an offer that nobody takes": (offers("scorers", "lambda settings: stub(Scorer)"), ("offers `one` to the scorers", "waiting for one")),
    "tables without a store": (brings("migrations", "Migrations(HERE / 'good')"), ('`requires = ("store",)`',)),
    "tables of other names": (
        'requires = ("store",)\n' + brings("migrations", "Migrations(HERE / 'tables')")
        + "\n" + offers("stores", "lambda: stub(Store)"),
        ("its tables `mine` do not begin with `acme`",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_near_miss_is_told(kernel: Any, site: Site, tmp_path: Path, case: str) -> None:
    body, parts = CASES[case]
    for folder, table in (("tables", "mine"), ("good", "acme_one")):
        tables = site.root / folder / "sqlite"
        tables.mkdir(parents=True)
        (tables / "0001_first.sql").write_text(f"CREATE TABLE {table} (id);")
    install(site, body or "pass")
    made = kernel("acme")
    made.boot()
    [told] = [it for it in made.warnings if it.startswith("plugin `acme` of acme-tools")]
    assert [] == [part for part in parts if part not in told], told
    run = partial(CliRunner().invoke, main)
    file = str(tmp_path / "plugins.toml")
    assert told in json.loads(run(["config", "check", "--json", "--config", file]).stdout)["warnings"]
    rows = json.loads(run(["plugins", "list", "--json", "--config", file]).stdout)["plugins"]
    assert [[told]] == [row["warnings"] for row in rows if row["name"] == "acme"]


@pytest.mark.parametrize(
    "body",
    [
        "async def start(self): ...",
        "defines = (OfferKind('exporters', dict),)",
        "def policies(self): return []\n" + brings("policies", "*self.policies()"),
        "def policies(self, which): return []\n" + brings("tasks"),
        "tasks = 5\n" + brings("policies"),
        f"names = frozenset({sorted(EVENTS)!r})\ndef handle(self, event): ...\n".replace("KIND", "models")
        + brings("event_handlers", "self"),
    ],
)
def test_what_is_meant_is_not_told(kernel: Any, site: Site, body: str) -> None:
    install(site, body)
    made = kernel("acme")
    made.boot()
    assert [] == [it for it in made.warnings if "`acme`" in it]


def test_a_new_plugin_with_the_name_of_a_builtin_is_warned_of(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["plugins", "new", "openai", "--directory", str(tmp_path / "new")])
    assert "already brings a plugin `openai`" in result.output
    assert "Choose another name" in result.output
