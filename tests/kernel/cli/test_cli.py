import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.distributions import Site
from switchgear import __version__
from switchgear.cli import COMMANDS
from switchgear.cli.common import plugin_commands
from switchgear.cli.declared import declared_commands, summary
from switchgear.config import default_source

DECLARED = (
    "apply", "budgets", "catalogue", "explain", "export", "keys", "prompts", "prove", "test", "ui", "usage", "users", "workflows",
)  # fmt: skip
"""Commands of builtin plugins that are enabled by default."""


def test_help_names_every_command_without_importing_what_they_need():
    code = "import sys; from switchgear.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert [] == [name for name in (*COMMANDS, *DECLARED) if f"\n  {name} " not in output]
    heavy = {"rich", "httpx", "litestar", "structlog", "pluggy", "tomlkit", "switchgear.kernel"}
    assert set() == heavy & set(output.split())


def test_what_builtin_plugins_declare_is_what_they_bring(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no plugins.toml is there, so the defaults count
    assert set(DECLARED) == plugin_commands().keys()
    assert [] == [name for name, entry_point in declared_commands(None).items() if not summary(entry_point)]


def test_help_names_the_commands_of_enabled_plugins_alone(run):
    shown = run("--help").output
    assert [] == [name for name in DECLARED if f"\n  {name} " in shown]
    Path("plugins.toml").write_text("[plugins.api_keys]\nenabled = true\n")
    shown = run("--help").output
    assert ("\n  keys " in shown, "\n  explain " in shown) == (True, False)
    Path("plugins.toml").write_text("[plugins.api_keys\n")
    assert 0 == run("--help").exit_code, "help helps where the configuration is wrong"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_that_says_what_the_table_says_or_more(run, name: str):
    result = run(name, "--help")
    assert 0 == result.exit_code
    assert f"Usage: main {name}" in result.output


def test_version(run):
    assert __version__ in run("version").output
    assert __version__ == json.loads(run("version", "--json").stdout)["switchgear"]


class TestConfigCheck:
    def test_says_that_all_is_well(self, run, enabled: Path):
        result = run("config", "check")
        assert 0 == result.exit_code
        assert result.output.endswith("plugins.toml is good: 1 plugins enabled (tools).\n")

    def test_says_what_the_enabled_plugins_cannot_do(self, run, enabled: Path):
        warnings = json.loads(run("config", "check", "--json").stdout)["warnings"]
        lacking, off = warnings[:3], warnings[3]
        assert ["a store", "a dialect", "an authenticator"] == [w.split(" offers ")[1].split(",")[0] for w in lacking]
        assert "plugins.toml names plugins, so those that it leaves out are off: sqlite, memory, api_keys, " in off

    def test_finds_networks_that_are_none(self, run):
        Path("plugins.toml").write_text('[gateway.egress]\nallow = ["10.0.0.0/99"]\n')
        result = run("config", "check")
        assert (2, True) == (result.exit_code, "10.0.0.0/99" in result.stderr)

    def test_says_that_no_plugin_is_enabled(self, run):
        result = run("config", "check", "--json")
        assert 0 == result.exit_code
        assert "no plugin is enabled" in json.loads(result.stdout)["warnings"][0]

    def test_prints_every_failure_with_its_place_and_exits_with_2(self, run):
        Path("plugins.toml").write_text("[gateway]\nprot = 1\n[plugins.broken]\nenabled = true\n")
        result = run("config", "check")
        assert 2 == result.exit_code
        assert "plugins.toml:2: [gateway] prot\n  there is no such setting. Did you mean `port`?\n" in result.stderr
        assert "plugins.toml:3: [plugins.broken]\n  plugin `broken` of zenith 1.0: importing" in result.stderr
        assert "Traceback" not in result.output
        result = run("config", "check", "--json")
        assert 2 == result.exit_code
        answer = json.loads(result.stdout)
        assert (False, 2) == (answer["ok"], len(answer["failures"]))

    def test_names_a_file_that_is_not_there(self, run):
        result = run("config", "check", "--config", "absent.toml")
        assert (2, True) == (result.exit_code, "absent.toml: there is no such file" in result.stderr)


class TestConfigShow:
    def test_is_toml_with_secrets_masked(self, run, enabled: Path):
        result = run("config", "show")
        shown = tomllib.loads(result.output)
        assert {
            "enabled": True,
            "url": "http://user:••••@host/",
            "api_key": "••••",
            "names": {},
        } == shown["plugins"]["tools"]

    def test_says_where_each_value_was_said(self, run, enabled: Path):
        result = run(
            "config", "show", "--origin", "--json", "--log-level", "error",
            environ={"HOST": "0.0.0.0", "SWITCHGEAR__PLUGINS__TOOLS__NAMES__A": "b", "SECRET": "s3cret"},
        )  # fmt: skip
        shown = json.loads(result.stdout)
        assert {"value": "0.0.0.0", "origin": "environment HOST"} == shown["gateway.host"]
        assert {"value": 0, "origin": "plugins.toml:3"} == shown["gateway.port"]
        assert {"value": "error", "origin": "flag --log-level"} == shown["gateway.log_level"]
        assert {"value": 30.0, "origin": "default"} == shown["gateway.drain_grace"]
        names = {"value": {"A".lower(): "b"}, "origin": "environment SWITCHGEAR__PLUGINS__TOOLS__NAMES__A"}
        assert names == shown["plugins.tools.names"]

    def test_masks_what_came_from_where_secrets_are_kept(self, run, enabled: Path):
        enabled.write_text(enabled.read_text() + 'names = {x = {env = "HIDDEN"}}\nurl = {env = "HIDDEN"}\n')
        result = run("config", "show", "--origin", environ={"HIDDEN": "s3cret"})
        assert 0 == result.exit_code, result.output
        assert "s3cret" not in result.output
        assert "# environment HIDDEN" in result.output


def test_config_schema_describes_the_gateway_and_every_plugin_that_can_be_imported(run):
    schema = json.loads(run("config", "schema").stdout)
    plugins = schema["properties"]["plugins"]["properties"]
    assert {"enabled", "url", "api_key", "names"} == plugins["tools"]["properties"].keys()
    assert ["enabled"] == plugins["tools"]["required"]
    assert "zenith 1.0" in plugins["broken"]["description"]
    port = schema["$defs"]["GatewaySettings"]["properties"]["port"]
    assert (0, 65535) == (port["minimum"], port["maximum"])


class TestPluginsList:
    def test_shows_what_enabled_plugins_bring_and_imports_no_other(self, run, enabled: Path):
        found = {row["name"]: row for row in json.loads(run("plugins", "list", "--json").stdout)["plugins"]}
        expected = {"providers": ["translate"], "commands": ["translate"]}
        assert (True, "1.2", expected) == (
            found["tools"]["enabled"],
            found["tools"]["version"],
            found["tools"]["brings"],
        )
        assert (False, "zenith", {}) == (
            found["broken"]["enabled"],
            found["broken"]["distribution"],
            found["broken"]["brings"],
        )
        table = run("plugins", "list").output
        assert "tools" in table
        assert "acme-tools 1.2" in table

    def test_works_when_the_configuration_does_not(self, run, enabled: Path):
        run("plugins", "enable", "broken")
        answer = json.loads(run("plugins", "list", "--json").stdout)
        assert ["broken", "tools"] == [row["name"] for row in answer["plugins"] if row["enabled"]]
        assert 1 == len(answer["failures"])


class TestEnableAndDisable:
    def test_keep_comments_and_everything_else(self, run):
        file = Path("plugins.toml")
        before = (
            "# top\n[plugins.tools] # beside\n# why\nenabled = false # off\nurl = 'x'\n\n[gateway]\nport = 0\n"
            "[plugins.other]\nenabled = false\n"
        )
        file.write_text(before)
        run("plugins", "enable", "tools")
        assert before.replace("enabled = false # off", "enabled = true # off") == file.read_text()
        run("plugins", "disable", "tools")
        assert before == file.read_text()

    def test_add_a_table_where_there_is_none(self, run):
        for before in (
            "[plugins]\n",
            "[gateway]\nport = 0\n[plugins]\n",
            "[plugins.other]\nenabled = false\n[gateway]\n[plugins.more]\nenabled = false",
        ):
            Path("plugins.toml").write_text(before)
            assert 0 == run("plugins", "enable", "tools").exit_code
            found = tomllib.loads(Path("plugins.toml").read_text())
            expected = tomllib.loads(before)
            expected.setdefault("plugins", {})["tools"] = {"enabled": True}
            assert expected == found

    def test_make_the_file_from_the_default_configuration(self, run):
        Path("plugins.toml").unlink()
        assert 0 == run("plugins", "enable", "tools", "--json").exit_code
        assert Path("plugins.toml").read_text().startswith(default_source().rstrip())
        assert tomllib.loads(Path("plugins.toml").read_text())["plugins"]["tools"]["enabled"]

    def test_leave_alone_a_file_with_no_room_for_a_table(self, run):
        Path("plugins.toml").write_text("plugins = {}\n")
        result = run("plugins", "enable", "tools")
        assert (2, True) == (result.exit_code, "Edit it by hand" in result.stderr)
        assert "plugins = {}\n" == Path("plugins.toml").read_text()

    def test_refuse_a_plugin_that_is_not_installed(self, run):
        before = Path("plugins.toml").read_text()
        result = run("plugins", "enable", "tolls")
        assert (2, True) == (result.exit_code, "Did you mean `tools`?" in result.stderr)
        assert before == Path("plugins.toml").read_text()


class TestPluginCommands:
    def test_of_enabled_plugins_are_commands(self, run, enabled: Path):
        assert "translated\n" == run("translate").output

    @pytest.mark.parametrize(
        "option", [["--config", "other.toml"], ["--config=other.toml"], ["-c", "other.toml"], ["-cother.toml"]]
    )
    def test_are_those_of_the_configuration_they_are_to_read(self, run, option: list[str]):
        Path("other.toml").write_text("[plugins.tools]\nenabled = true\n")
        result = run("translate", *option)
        assert "No such option" in result.stderr, "it exists, and takes no such option"

    @pytest.mark.parametrize("option", [["--config", "other.toml"], ["-cother.toml"]])
    def test_need_no_option_of_their_own_for_another_configuration(self, run, option: list[str]):
        Path("other.toml").write_text("[plugins.tools]\nenabled = true\n")
        assert "translated\n" == run(*option, "translate").output

    def test_of_disabled_plugins_are_not(self, run):
        result = run("translate")
        assert (2, True) == (result.exit_code, "No such command `translate`" in result.stderr)

    def test_of_disabled_builtins_say_which_plugin_brings_them(self, run):
        assert "`switchgear plugins enable gitops`" in run("apply").stderr

    def test_that_are_misspelt_are_guessed(self, run, enabled: Path):
        assert "Did you mean `translate`?" in run("translat").stderr
        assert "Did you mean `doctor`?" in run("docter").stderr

    def test_of_broken_plugins_do_not_break_ours(self, run):
        run("plugins", "enable", "broken")
        assert 0 == run("version").exit_code
        result = run("translate")
        assert (2, True) == (result.exit_code, "`switchgear config check`" in result.stderr)


COUNTING = """
    import click, msgspec
    from switchgear.commands import answer, config_option, gateway_flags, json_option, local

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        unit: str = "models"

    class Counting(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings
        requires = ("store",)
        def switchgear_commands(self):
            @click.command()
            @config_option
            @gateway_flags("data_dir")
            @json_option
            def count(*, path, flags, as_json):
                async def work(it):
                    me = it.plugins["counting"]
                    data, _ = await it.resources.page("providers", limit=10)
                    assert await me.context.store.revision() == await it.store.revision()
                    return {"unit": me.settings.unit, "n": len(data), "port": it.config.gateway.port}
                answer(local(path, flags, work))

            @click.command()
            def early():
                self.context.store

            return [count, early]
"""


class TestContextOfCommands:
    @pytest.fixture(autouse=True)
    def other(self, site: Site, tmp_path: Path) -> None:
        site.add("acme-counting", {"counting": "Counting"}, COUNTING)
        Path("other.toml").write_text(
            f"[gateway]\nport = 4321\ndata_dir = '{tmp_path}/elsewhere'\n[plugins]\nsqlite = {{ enabled = true }}\n"
            "counting = { enabled = true, unit = 'things' }\n"
        )

    @pytest.mark.parametrize("words", [["count", "--config", "other.toml"], ["--config", "other.toml", "count"]])
    def test_is_configuration_store_resources_and_the_started_plugin(self, run, words: list[str]):
        assert {"unit": "things", "n": 0, "port": 4321} == json.loads(run(*words).stdout)

    def test_is_not_that_of_the_plugin_that_declares_them(self, run):
        result = run("-c", "other.toml", "early")
        assert 2 == result.exit_code
        assert "a command uses that of the plugin in `it.plugins`" in result.stderr


class TestDoctor:
    def test_finds_nothing_wrong(self, run, enabled: Path):
        result = run("doctor", "--json")
        found = {check["check"]: check["ok"] for check in json.loads(result.stdout)["checks"]}
        assert 0 == result.exit_code, result.output
        expected = ("python", "clock", "data directory", "journal", "port", "config", "store")
        assert dict.fromkeys(expected, True) == found

    def test_finds_a_taken_port_an_unwritable_directory_and_a_broken_plugin(self, run, tmp_path: Path):
        import socket  # noqa: PLC0415

        run("plugins", "enable", "broken")
        (tmp_path / "file").write_text("")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            result = run("doctor", "--json", "--port", port, "--data-dir", str(tmp_path / "file"))
        assert 1 == result.exit_code, result.output
        bad = [check["check"] for check in json.loads(result.stdout)["checks"] if not check["ok"]]
        assert ["data directory", "journal", "port", "config"] == bad

    def test_names_a_missing_extra(self, run, site: Site):
        site.add("cloudy", {"cloudy": "X"}, "import a_module_nobody_has", extras=("cloudy",))
        metadata = site.root / "cloudy-1.0.dist-info" / "METADATA"
        metadata.write_text(metadata.read_text() + "Requires-Dist: nobody-has-this>=2; extra == 'cloudy'\n")
        run("plugins", "enable", "cloudy")
        result = run("doctor")
        assert "BAD extras: nobody-has-this missing, for all of `cloudy`: pip install 'cloudy[cloudy]'" in result.output

    def test_an_extra_that_a_plugin_loads_without_is_not_wrong(self, run, site: Site):
        source = """
        from switchgear import NoSettings, Plugin
        class X(Plugin[NoSettings]):
            api = 1
        """
        site.add("partly", {"partly": "X"}, source, extras=("partly",))
        metadata = site.root / "partly-1.0.dist-info" / "METADATA"
        metadata.write_text(metadata.read_text() + "Requires-Dist: nobody-has-this>=2; extra == 'partly'\n")
        run("plugins", "enable", "partly")
        assert (
            "ok  extras: nobody-has-this missing, for all of `partly`: pip install 'partly[partly]'"
            in run("doctor").output
        )

    def test_reports_a_store_that_does_not_open(self, run, site: Site):
        source = """
        from support.stubs import stub
        from switchgear.contracts.store import Store
        from switchgear.errors import StoreUnavailable
        async def away(self, migrations=()): raise StoreUnavailable("the database is away")
        class P(switchgear.Plugin):
            api = 1
            def switchgear_stores(self): return [switchgear.Offer("away", lambda: stub(Store, open=away))]
        """
        site.add("stores", {"away": "P"}, source)
        run("plugins", "enable", "away")
        assert "BAD store: the database is away" in run("doctor").output


@pytest.mark.slow
class TestNew:
    def test_writes_a_project_whose_tests_pass(self, run):
        result = run("plugins", "new", "my-own_llm", "--kind", "provider", "--json")
        made = Path(json.loads(result.stdout)["directory"])
        assert "switchgear-my-own-llm" == made.name
        project = tomllib.loads((made / "pyproject.toml").read_text())
        assert {"my_own_llm": "switchgear_my_own_llm.plugin:MyOwnLlmPlugin"} == project["project"]["entry-points"][
            "switchgear.plugins"
        ]
        assert [] == [file for file in made.rglob("*") if file.is_file() and "lugin_name" in file.read_text()]
        tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
        done = subprocess.run(tests, cwd=made, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr

    @pytest.mark.parametrize("name", ["My", "1x", "a--b", "../x", "a b", ""])
    def test_refuses_a_name_that_will_not_do(self, run, name: str):
        result = run("plugins", "new", name)
        assert (2, True) == (result.exit_code, "will not do" in result.stderr)

    def test_overwrites_nothing(self, run):
        assert 0 == run("plugins", "new", "one").exit_code
        result = run("plugins", "new", "one")
        assert (2, True) == (result.exit_code, "is not empty" in result.stderr)


@pytest.mark.slow
class TestTest:
    @pytest.fixture(autouse=True)
    def path(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        # The tests run in a process of their own.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site.root), str(Path(__file__).parents[2])]))

    def test_runs_the_tests_of_the_checkout_a_plugin_was_installed_from(self, run, site: Site, tmp_path: Path):
        project = tmp_path / "project"
        (project / "tests").mkdir(parents=True)
        (project / "tests" / "test_it.py").write_text("def test_it(): assert True\n")
        info = site.root / "acme_tools-1.2.dist-info" / "direct_url.json"
        info.write_text(json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}}))
        result = run("plugins", "test", "tools", "--json")
        found = json.loads(result.stdout)
        assert (0, "tools", 1, 0, 1) == (result.exit_code, *(found[it] for it in ("name", "passed", "failed", "total")))
        (project / "tests" / "test_it.py").write_text("def test_it(): assert False\n")
        assert 1 == run("plugins", "test", "tools", "--json").exit_code

    def test_says_what_was_not_run_where_there_are_none(self, run):
        result = run("plugins", "test", "tools")
        assert 1 == result.exit_code, result.output
        assert "not run: providers `translate`" in result.stdout
        assert "inherit `ProviderSuite` in its tests" in result.stdout


def test_switching_one_plugin_keeps_the_default_selection_on(run):
    Path("plugins.toml").write_text("[gateway]\nport = 0\n")
    assert 0 == run("plugins", "disable", "limits").exit_code
    tables = tomllib.loads(Path("plugins.toml").read_text())["plugins"]
    assert (False, True) == (tables["limits"]["enabled"], tables["echo"]["enabled"])
