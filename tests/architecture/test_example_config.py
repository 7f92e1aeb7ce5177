"""plugins.toml.example with every line uncommented is still a good configuration, and says nothing but the defaults."""

import re
from pathlib import Path

import msgspec
import pytest

from switchgear.config import Config, default_source, load
from switchgear.kernel import Kernel
from switchgear.settings import GatewaySettings

SETTING = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)
NO_DEFAULT = {
    "admin_key": "there is none",
    "counters": "the only one enabled",
    "edge.max_connections_per_peer": "no bound",
}


@pytest.fixture
def uncommented(tmp_path: Path) -> Config:
    file = tmp_path / "plugins.toml"
    file.write_text(SETTING.sub("", default_source()))
    return load(file, environ={"ADMIN_KEY": "k"})


def test_every_commented_line_is_a_setting_or_prose_at_the_top() -> None:
    lines = default_source().splitlines()
    prose = [number for number, line in enumerate(lines) if line.startswith("#") and not SETTING.match(line)]
    below = [lines[number] for number in prose if number > lines.index("[gateway]")]
    assert [] == [line for line in below if " = " in line or "[" in line]


def test_uncommented_it_boots(uncommented: Config) -> None:
    assert [] == uncommented.failures
    kernel = Kernel(uncommented)
    kernel.boot()
    assert [] == kernel.warnings


def test_the_gateways_settings_are_the_defaults(uncommented: Config) -> None:
    said, default = (flat(msgspec.to_builtins(one)) for one in (uncommented.gateway, GatewaySettings()))
    different = {name for name in said if said[name] != default[name]} - {"data_dir"}  # the platform's own
    assert NO_DEFAULT.keys() == different


def test_every_plugins_settings_are_the_defaults(uncommented: Config) -> None:
    kernel = Kernel(uncommented)
    kernel.boot()
    different = {
        (active.installed.name, name)
        for active in kernel.plugins
        for name, value in msgspec.structs.asdict(active.settings).items()
        if value != getattr(type(active.settings)(), name)
    }
    assert {("sqlite", "path")} == different  # None: in the data directory


def flat(table: dict, prefix: str = "") -> dict:
    found = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
