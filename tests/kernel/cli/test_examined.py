"""`plugins test` and `plugins doctor` say of an installed plugin what is so."""

import json
from pathlib import Path

import pytest

from support.distributions import Site
from switchgear.brings import ACTIVE, CONSUMERS
from switchgear.hooks import WAITING, Hooks

pytestmark = pytest.mark.slow

PLUGIN = """
    import msgspec
    from switchgear import Offer, OfferKind
    from switchgear.contracts.policy import Policy
    from switchgear.contracts.counters import Decision, Room
    from switchgear.errors import ApiError, RateLimited

    class Good(Policy):
        def admit(self, x): ...
        async def settle(self, x): ...
        def attempting(self, x, attempt): ...

    class Bad(Policy):
        def admit(self, x): raise RuntimeError("always")

    class Refuses(Policy):
        def admit(self, x): raise RateLimited("no", code="no")

    class Attached(Policy):
        attachable = True
        def admit(self, x): ...

    class Grade:
        def __init__(self, settings): ...
        async def score(self, query, document): return 1.0, "always"

    class Settings(msgspec.Struct):
        greeting: str = "hello"

    class Mine(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings
        defines = (OfferKind("exporters", object),)
        policies = ()
        def switchgear_policies(self): return [Offer(it.__name__.lower(), it) for it in self.policies]
        def switchgear_scorers(self): return [Offer("grade", Grade)]

    class GoodPlugin(Mine): policies = (Good, Attached)
    class BadPlugin(Mine): policies = (Bad,)
    class NeedsStore(Mine):
        requires = ("store",)
        def switchgear_policies(self): return [Offer("keeps", lambda: self.context.store)]
    class Nothing(switchgear.Plugin): api = 1
    class Csv(switchgear.Plugin):
        api = 1
        def switchgear_offers(self): return [Offer("csv", Grade, kind="exporters")]
"""


@pytest.fixture
def plugins(site: Site) -> Site:
    names = {
        "good": "GoodPlugin", "bad": "BadPlugin", "needs": "NeedsStore", "nothing": "Nothing", "csv": "Csv",
    }  # fmt: skip
    site.add("acme", names, PLUGIN)
    return site


@pytest.fixture(autouse=True)
def path(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site.root))  # what is run in a process of its own finds the site so


class TestTest:
    def test_runs_the_suites_that_need_nothing_of_the_author(self, run, plugins: Site):
        result = run("plugins", "test", "good", "--json")
        found = json.loads(result.stdout)
        assert (0, "good", 0) == (result.exit_code, found["name"], found["failed"]), found["output"]
        assert found["passed"] == found["total"] > 10
        [row] = found["suites"]
        assert ("PolicySuite", "TestGood") == (row["suite"], row["test"])

    def test_a_plugin_that_breaks_its_contract_fails(self, run, plugins: Site):
        result = run("plugins", "test", "bad")
        assert 1 == result.exit_code
        assert "TestBad" in result.stdout
        assert "always" in result.stdout, "what went wrong is shown"

    def test_says_what_was_not_run_and_why(self, run, plugins: Site):
        result = run("plugins", "test", "needs", "--json")
        [row] = json.loads(result.stdout)["not_run"]
        assert (1, "policies", "keeps") == (result.exit_code, row["kind"], row["offer"])
        assert "asked for a store" in row["why"]
        assert "inherit `PolicySuite`" in row["why"]

    def test_a_plugin_that_cannot_be_imported_is_named(self, run, plugins: Site):
        result = run("plugins", "test", "broken")
        assert (2, True) == (result.exit_code, "plugin `broken` of zenith" in result.stderr)


class TestDoctor:
    def test_says_what_is_brought_and_who_takes_it(self, run, plugins: Site):
        found = json.loads(run("plugins", "doctor", "good", "--json").stdout)
        assert (False, ["exporters"], {"greeting": "str"}) == (found["enabled"], found["defines"], found["settings"])
        brings = {(it["kind"], it["name"]): it["consumer"] for it in found["brings"]}
        assert {("policies", "good"), ("policies", "attached"), ("scorers", "grade")} == brings.keys()
        assert brings["scorers", "grade"] is None
        assert any("offers `grade`" in it and "it is waiting for one" in it for it in found["warnings"])
        assert any("forbid_unknown_fields" in it for it in found["warnings"])
        assert any("plugins enable good" in it for it in found["warnings"])
        good, attached = found["policies"]
        assert ["admit", "attempting", "settle"] == good["phases"]
        assert {"admit", "settle"} == good["us"].keys()
        assert all(us > 0 for us in good["us"].values())
        assert {"attempting"} == good["not_measured"].keys()
        assert {"every phase": "it runs only where it is attached"} == attached["not_measured"]

    def test_what_cannot_be_measured_says_why(self, run, plugins: Site):
        [bad] = json.loads(run("plugins", "doctor", "bad", "--json").stdout)["policies"]
        assert {} == bad["us"]
        assert "always" in bad["not_measured"]["admit"]

    def test_names_the_plugin_that_takes_what_is_offered(self, run, plugins: Site):
        Path("plugins.toml").write_text("[plugins]\ngood = { enabled = true }\ncsv = { enabled = true }\n")
        [row] = json.loads(run("plugins", "doctor", "csv", "--json").stdout)["brings"]
        assert ("exporters", "csv", "plugin `good`") == (row["kind"], row["name"], row["consumer"])
        assert "consumed by plugin `good`" in run("plugins", "doctor", "csv").stdout

    def test_knows_who_has_a_use_for_what_each_hook_brings(self):
        hooks = {hook for hook in vars(Hooks) if hook.startswith("switchgear_")} - {*WAITING, "switchgear_offers"}
        assert {hook.removeprefix("switchgear_") for hook in hooks} == {*ACTIVE, *CONSUMERS}

    def test_says_that_a_plugin_brings_nothing(self, run, plugins: Site):
        assert "so it brings nothing" in run("plugins", "doctor", "nothing").stdout

    def test_is_written_for_people_too(self, run, plugins: Site):
        said = run("plugins", "doctor", "good").stdout
        assert "policy good: 3 steps of a request" in said
        assert "µs a call, measured here over an empty exchange" in said
        assert "consumed by nothing" in said
