"""plugins.toml.example is the default configuration: it boots, and names every builtin with every setting."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import NODEFAULT, Struct

from switchgear.config import default_source, load
from switchgear.discovery import Discovery
from switchgear.discovery import load as import_plugin
from switchgear.kernel import Kernel
from switchgear.settings import GatewaySettings

BUILTIN = {found.name: found for found in Discovery() if found.distribution == "switchgear"}


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
    assert settings_of(import_plugin(BUILTIN[name]).settings_type) == uncommented()["plugins"][name].keys() - {
        "enabled"
    }


def test_it_names_every_setting_of_the_gateway():
    gateway = uncommented()["gateway"]
    for field in msgspec.structs.fields(GatewaySettings):
        default = field.default
        if isinstance(default, Struct):
            assert settings_of(type(default)) == gateway.pop(field.encode_name).keys()
    expected = {f.encode_name for f in msgspec.structs.fields(GatewaySettings) if not isinstance(f.default, Struct)}
    assert expected == gateway.keys()


@pytest.mark.parametrize("name", ["gateway", *BUILTIN])
def test_what_it_shows_are_the_defaults(name: str):
    found = uncommented()
    if name == "gateway":
        assert [] == list(differing(GatewaySettings, found["gateway"], name))
    else:
        assert [] == list(differing(import_plugin(BUILTIN[name]).settings_type, found["plugins"][name], name))


def differing(type_: type[Struct], table: dict, at: str) -> Iterator[tuple[str, object, object]]:
    """Yield the settings of `table` that are not the default; what has none, or None for one, may show anything."""
    for field in msgspec.structs.fields(type_):
        shown, default = table.get(field.encode_name), field.default
        if isinstance(default, Struct):
            yield from differing(type(default), shown or {}, f"{at}.{field.encode_name}")
        elif (
            default is not NODEFAULT
            and default is not None
            and msgspec.json.decode(msgspec.json.encode(default)) != shown
        ):
            yield f"{at}.{field.encode_name}", default, shown
