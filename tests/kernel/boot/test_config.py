"""plugins.toml, the environment and flags: what they say, where it was said, and everything wrong with it at once."""

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from switchgear.config import Config, load
from switchgear.config.source import line_numbers
from switchgear.errors import ConfigError
from switchgear.settings import GatewaySettings, platform_data_dir


class Address(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    weight: Annotated[int, Meta(ge=1)] = 1


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    variables: ClassVar = {"THE_URL": "url"}
    url: str
    token: str | None = None
    retries: int = 3
    ratio: float = 0.5
    strict: bool = True
    tags: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    address: Address | None = None
    addresses: list[Address] = []


PLUGIN = "[plugins.x]\nenabled = true\n"


def settings(config: Config) -> Settings:
    return config.settings("x", Settings)


def refused(config: Config) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(config)
    return list(caught.value.failures)


def test_an_empty_file_is_the_defaults(configure):
    config = configure()
    assert [] == config.failures
    assert GatewaySettings() == config.gateway
    assert ("127.0.0.1", 8080, platform_data_dir()) == (
        config.gateway.host,
        config.gateway.port,
        config.gateway.data_dir,
    )


def test_without_a_file_the_default_configuration_is_read_and_is_valid(tmp_path: Path):
    config = load(environ={}, directory=tmp_path)
    assert [] == config.failures
    assert config.source is None


def test_plugins_toml_in_the_working_directory_is_found(tmp_path: Path):
    (tmp_path / "plugins.toml").write_text("[gateway]\nport = 1\n")
    assert 1 == load(environ={}, directory=tmp_path).gateway.port


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"absent\.toml: there is no such file"):
        load(tmp_path / "absent.toml", environ={})


def test_what_is_not_toml_is_refused_with_its_line(tmp_path: Path):
    (tmp_path / "p.toml").write_text("[gateway]\nport = = 1\n")
    with pytest.raises(ConfigError, match=r"p\.toml: this is not TOML: .*line 2"):
        load(tmp_path / "p.toml", environ={})


def test_every_error_of_the_file_is_found_in_one_run_with_its_line(configure, tmp_path: Path):
    config = configure(
        """[gateway]
prot = 9000
port = 70000
log_level = "loud"

[gateway.timeouts]
totl = 5
connect = "soon"

[gatway]
x = 1

[plugins]
loose = 1

[plugins.undecided]
path = "x"
"""
    )
    at = f"{tmp_path / 'plugins.toml'}:"
    assert [
        "10: [gatway]: there is no such table. Did you mean `gateway`?",
        "14: [plugins] loose: a plugin has a table. Write `[plugins.loose]` and `enabled = true` below it.",
        "16: [plugins.undecided]: say `enabled = true` or `enabled = false`.",
        "2: [gateway] prot: there is no such setting. Did you mean `port`?",
        "3: [gateway] port: Expected `int` <= 65535. For example `port = 8080`.",
        (
            "4: [gateway] log_level: Invalid enum value 'loud'. "
            'There is `debug`, `error`, `info`, `warning`. For example `log_level = "info"`.'
        ),
        "7: [gateway.timeouts] totl: there is no such setting. Did you mean `total`?",
        "8: [gateway.timeouts] connect: Expected `float`, got `str`. For example `connect = 5.0`.",
    ] == sorted(failure.removeprefix(at) for failure in config.failures)


def test_every_error_of_a_plugins_table_is_found_in_one_run(configure, tmp_path: Path):
    config = configure(PLUGIN + "retris = 1\nratio = 'x'\n[plugins.x.address]\nweight = 0\n")
    at = f"{tmp_path / 'plugins.toml'}:"
    assert [
        "1: [plugins.x] url: is required. Add `url = …` to [plugins.x], or set THE_URL.",
        "3: [plugins.x] retris: there is no such setting. Did you mean `retries`?",
        "4: [plugins.x] ratio: Expected `float`, got `str`. For example `ratio = 0.5`.",
        "5: [plugins.x.address] url: is required. Add `url = …` to [plugins.x.address].",
        "6: [plugins.x.address] weight: Expected `int` >= 1. For example `weight = 1`.",
    ] == sorted(failure.removeprefix(at) for failure in refused(config))


def test_a_later_layer_wins_and_says_so(configure, tmp_path: Path):
    file = tmp_path / "plugins.toml"
    configure("[gateway]\nhost = 'file'\nport = 1\nlog_level = 'error'\n[gateway.timeouts]\ntotal = 1\nidle = 7\n")
    environ = {
        "HOST": "variable",
        "PORT": "2",
        "REQUEST_TIMEOUT_SECS": "2",
        "TTFT_TIMEOUT_SECS": "9.5",
        "VERIFY_SSL": "false",
        "LOG_LEVEL": "DEBUG",
        "SWITCHGEAR__GATEWAY__PORT": "3",
        "SWITCHGEAR__GATEWAY__TIMEOUTS__TOTAL": "3",
        "SWITCHGEAR__GATEWAY__EGRESS__ALLOW": '["10.0.0.0/8"]',
    }
    config = load(file, environ=environ, flags={"gateway.port": "4"})
    assert [] == config.failures
    gateway = config.gateway
    assert ("variable", 4, "debug") == (gateway.host, gateway.port, gateway.log_level)
    assert (3.0, 9.5, 7.0) == (gateway.timeouts.total, gateway.timeouts.first_byte, gateway.timeouts.idle)
    assert (False, ("10.0.0.0/8",)) == (gateway.upstream.verify_tls, gateway.egress.allow)
    origins = {".".join(path): str(origin) for path, _, origin, _ in config.rows(gateway, ("gateway",))}
    assert {
        "gateway.host": "environment HOST",
        "gateway.port": "flag --port",
        "gateway.timeouts.total": "environment SWITCHGEAR__GATEWAY__TIMEOUTS__TOTAL",
        "gateway.timeouts.idle": f"{file}:7",
        "gateway.timeouts.connect": "default",
    }.items() <= origins.items()


def test_variables_that_settings_are_read_from_are_the_gateways_own(configure):
    config = configure(
        "[gateway]\nadmin_key = { env = 'MINE', default = 'x' }\n[plugins.x]\nenabled = { env = 'SEEN' }\n"
        "[plugins.x.address]\nurl = { env = 'INNER' }\n[[plugins.x.addresses]]\nurl = { env = 'LISTED' }\n"
    )
    assert {"MINE", "INNER", "LISTED"} == config.variables


def test_an_empty_well_known_variable_says_nothing(configure):
    assert 8080 == configure("", PORT="").gateway.port


@pytest.mark.parametrize(
    ("name", "value", "failure"),
    [
        ("PORT", "many", "environment PORT: [gateway] port: Expected `int`, got `str`. For example `port = 8080`."),
        (
            "SWITCHGEAR__GATEWAY__PROT",
            "1",
            "environment SWITCHGEAR__GATEWAY__PROT: [gateway] prot: there is no such setting. Did you mean `port`?",
        ),
        (
            "SWITCHGEAR__PORT",
            "1",
            "environment SWITCHGEAR__PORT: name a section and a key, as in SWITCHGEAR__GATEWAY__PORT.",
        ),
        (
            "SWITCHGEAR__GATWAY__PORT",
            "1",
            "environment SWITCHGEAR__GATWAY__PORT: [gatway]: there is no such table. Did you mean `gateway`?",
        ),
    ],
)
def test_a_wrong_variable_is_named(configure, name: str, value: str, failure: str):
    assert [failure] == configure("", **{name: value}).failures


def test_a_plugins_settings_may_come_from_the_environment(configure):
    variables = {
        "THE_URL": "http://a",
        "SWITCHGEAR__PLUGINS__X__ENABLED": "true",
        "SWITCHGEAR__PLUGINS__X__RETRIES": "7",
        "SWITCHGEAR__PLUGINS__X__TOKEN": "12345",
        "SWITCHGEAR__PLUGINS__X__TAGS": '["a", "b"]',
        "SWITCHGEAR__PLUGINS__X__ADDRESS__URL": "u",
        "SWITCHGEAR__PLUGINS__X__HEADERS": '{"a": "b"}',
    }
    config = configure("[plugins.x]\nenabled = false\nurl = 'file'\n", **variables)
    assert ("x",) == config.enabled
    assert Settings(
        "http://a", token="12345", retries=7, tags=("a", "b"), address=Address("u"), headers={"a": "b"}
    ) == settings(config)


def test_a_plugin_with_a_hyphen_is_reached_from_the_environment(configure):
    config = configure("[plugins.my-plugin]\nenabled = false\n", SWITCHGEAR__PLUGINS__MY_PLUGIN__ENABLED="true")
    assert ("my-plugin",) == config.enabled


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_any_text_in_a_variable_reaches_a_text_setting_unchanged(text: str):
    config = load(Path(os.devnull), environ={"SWITCHGEAR__GATEWAY__HOST": text})
    assert text == config.gateway.host


@given(
    st.integers(0, 65535), st.floats(0.001, 604_800), st.booleans(), st.lists(st.ip_addresses().map(str), max_size=9)
)
def test_values_written_as_json_arrive_with_their_types(port: int, total: float, verify: bool, allow: list[str]):
    values = {"PORT": port, "TIMEOUTS__TOTAL": total, "UPSTREAM__VERIFY_TLS": verify, "EGRESS__ALLOW": allow}
    config = load(
        Path(os.devnull), environ={f"SWITCHGEAR__GATEWAY__{key}": json.dumps(value) for key, value in values.items()}
    )
    assert [] == config.failures
    gateway = config.gateway
    assert (port, total, verify) == (gateway.port, gateway.timeouts.total, gateway.upstream.verify_tls)
    assert tuple(allow) == gateway.egress.allow


@given(st.dictionaries(st.text("PORTHOS_", min_size=1, max_size=12), st.text(max_size=8), max_size=4), st.booleans())
def test_no_variable_whatever_it_says_raises_anything_but_a_failure(variables: dict[str, str], in_plugins: bool):
    section = "PLUGINS__X" if in_plugins else "GATEWAY"
    config = load(
        Path(os.devnull), environ={f"SWITCHGEAR__{section}__{key}": value for key, value in variables.items()}
    )
    assert all("SWITCHGEAR__" in failure for failure in config.failures)


class TestSecrets:
    def test_come_from_a_variable_or_a_file_next_to_plugins_toml(self, configure, tmp_path: Path):
        (tmp_path / "token").write_text("s3cret\n")
        config = configure(
            PLUGIN + 'url = {env = "WHERE"}\ntoken = {file = "token"}\nheaders = {a = {env = "WHERE"}}\n',
            WHERE="http://w",
        )
        assert Settings("http://w", token="s3cret", headers={"a": "http://w"}) == settings(config)
        rows = {
            path[-1]: (str(origin), secret)
            for path, _, origin, secret in config.rows(settings(config), ("plugins", "x"))
        }
        assert ("environment WHERE", True) == rows["url"]
        assert (str(tmp_path / "token"), True) == rows["token"]

    def test_inside_lists_of_tables_are_resolved(self, configure):
        config = configure(PLUGIN + 'url = "u"\n[[plugins.x.addresses]]\nurl = {env = "WHERE"}\n', WHERE="w")
        assert [Address("w")] == settings(config).addresses

    def test_may_have_a_default(self, configure):
        config = configure(PLUGIN + 'url = {env = "WHERE", default = "here"}\n')
        assert "here" == settings(config).url

    def test_that_are_missing_are_named(self, configure, tmp_path: Path):
        one, two = refused(configure(PLUGIN + 'url = {env = "WHERE"}\ntoken = {file = "no"}\n'))
        assert f"{tmp_path / 'plugins.toml'}:3: [plugins.x] url: the environment variable WHERE is not set." in one
        assert f":4: [plugins.x] token: the file {tmp_path / 'no'} cannot be read" in two


@pytest.mark.parametrize(
    ("when", "environ", "enabled"),
    [
        ('{env = "URL"}', {}, False),
        ('{env = "URL"}', {"URL": ""}, False),
        ('{env = "URL"}', {"URL": "x"}, True),
        ('{unless = "URL"}', {}, True),
        ('{unless = "URL"}', {"URL": "x"}, False),
        ('{env = "URL", prefix = "pg:"}', {"URL": "pg://h"}, True),
        ('{env = "URL", prefix = "pg:"}', {"URL": "lite:x"}, False),
        ('{unless = "URL", prefix = "pg:"}', {"URL": "lite:x"}, True),
        ('{unless = "URL", prefix = "pg:"}', {"URL": "pg://h"}, False),
    ],
)
def test_a_plugin_may_be_enabled_by_what_the_environment_holds(configure, when: str, environ: dict, enabled: bool):
    config = configure(f"[plugins.x]\nenabled = {when}\n", **environ)
    assert ([], ("x",) if enabled else ()) == (config.failures, config.enabled)


@pytest.mark.parametrize("when", ['"yes"', "1", "{}", '{env = "A", unless = "B"}', '{enf = "A"}'])
def test_a_wrong_condition_is_refused(configure, when: str):
    (failure,) = configure(f"[plugins.x]\nenabled = {when}\n").failures
    assert ":2: [plugins.x" in failure


class TestLineNumbers:
    def test_of_tables_keys_quoted_dotted_and_inline(self):
        text = """
            # comment
            [gateway]
            port = 1            # x = 2
            "quoted key" = 1
            a . b = 2
            inline = { x = 1 }
            [ plugins . "my.plugin" ] # note
            key = 1
            [[plugins.other.list]]
            item = 1
        """
        assert {
            ("gateway",): 3,
            ("gateway", "port"): 4,
            ("gateway", "quoted key"): 5,
            ("gateway", "a", "b"): 6,
            ("gateway", "inline"): 7,
            ("plugins", "my.plugin"): 8,
            ("plugins", "my.plugin", "key"): 9,
            ("plugins", "other", "list"): 10,
            ("plugins", "other", "list", "item"): 11,
        } == line_numbers(text)

    @given(
        st.recursive(
            st.integers() | st.booleans() | st.text("ab\n[]=#'\"", max_size=6),
            lambda inner: st.dictionaries(st.text("ab.-\" '", min_size=1, max_size=4), inner, max_size=3),
        ).filter(lambda value: isinstance(value, dict))
    )
    def test_of_any_document_are_found_for_every_value(self, table: dict):
        text = msgspec.toml.encode(table).decode()
        lines = line_numbers(text)
        rows = text.splitlines()
        for path in _leaves(tomllib.loads(text)):
            found = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
            assert found is not None
            assert 0 < found <= len(rows)


def _leaves(table: dict, at: tuple[str, ...] = ()):
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*at, key))
        else:
            yield (*at, key)


def test_a_file_without_plugins_gets_the_default_selection_and_an_empty_table_none(tmp_path: Path) -> None:
    file = tmp_path / "plugins.toml"
    file.write_text("[gateway]\nport = 9000\n")
    defaults = load(environ={}, directory=tmp_path / "elsewhere").enabled
    config = load(file, environ={})
    assert (9000, defaults, []) == (config.gateway.port, config.enabled, config.failures)
    assert len(defaults) > 3
    file.write_text("[gateway]\nport = 9000\n[plugins]\n")
    assert () == load(file, environ={}).enabled
