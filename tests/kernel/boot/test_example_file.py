"""plugins.toml.example is the default configuration: it boots, and names every builtin with every setting."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from msgspec import NODEFAULT, Struct

from switchgear.config import default_source, load
from switchgear.discovery import Discovery
from switchgear.discovery import load as import_plugin
from switchgear.kernel import Kernel
from switchgear.settings import GatewaySettings

BUILTIN = {
    found.name: import_plugin(found).settings_type for found in Discovery() if found.distribution == "switchgear"
}


def uncommented() -> dict:
    """Return what the file says when every `# key = value` line of it counts."""
    text = re.sub(r"^# (?=[a-z_]+ = )", "", default_source(), flags=re.MULTILINE)
    return tomllib.loads(text)


def settings_of(type: type[Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(type)}


def test_it_boots(tmp_path: Path):
    kernel = Kernel(load(environ={"SWITCHGEAR__GATEWAY__DATA_DIR": str(tmp_path)}, directory=tmp_path))
    kernel.boot()
    assert [] == kernel.warnings


def test_it_names_every_builtin_and_nothing_else():
    assert BUILTIN.keys() == uncommented()["plugins"].keys()


@pytest.mark.parametrize("name", BUILTIN)
def test_it_names_every_setting_of_a_builtin(name: str):
    assert settings_of(BUILTIN[name]) == uncommented()["plugins"][name].keys() - {"enabled"}


def test_it_names_every_setting_of_the_gateway():
    gateway = uncommented()["gateway"]
    for field in msgspec.structs.fields(GatewaySettings):
        default = field.default
        if isinstance(default, Struct):
            assert settings_of(type(default)) == gateway.pop(field.encode_name).keys()
    expected = {f.encode_name for f in msgspec.structs.fields(GatewaySettings) if not isinstance(f.default, Struct)}
    assert expected == gateway.keys()


def test_what_it_shows_are_the_defaults():
    def shown(type_: type[Struct], table: dict, at: str):
        for field in msgspec.structs.fields(type_):
            value = table.get(field.encode_name)
            if isinstance(field.default, Struct):
                yield from shown(type(field.default), value or {}, f"{at}.{field.encode_name}")
            elif field.default not in {NODEFAULT, None} and value is not None:
                yield f"{at}.{field.encode_name}", msgspec.to_builtins(field.default), value

    found = uncommented()
    rows = list(shown(GatewaySettings, found["gateway"], "gateway"))
    for name, type_ in BUILTIN.items():
        rows += shown(type_, found["plugins"][name], name)
    assert [] == [row for row in rows if list(row[1:2]) != list(row[2:3]) and list(row[1]) != row[2]]
