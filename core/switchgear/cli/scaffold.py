"""New plugins from the template.

The template is a project without code, and a folder for each kind with the code and its tests.
"""

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from switchgear.discovery import Discovery
from switchgear.errors import ConfigError
from switchgear.shipped import shipped

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "provider": "the provider type `plugin_name`",
        "policy": "a policy, which has a say in every call",
        "filter": "a policy whose filter changes what clients get",
        "backend": "the credential backend `plugin_name`",
        "dialect": "a dialect: routes below /plugin-name",
        "kind": "the kind of resource `plugin-names`",
        "sink": "a place where records go",
        "counters": "counters, in which limits count",
        "step": "a step of workflows",
        "page": "a page for consoles, and its files",
    }
)
"""What can be written, and what it brings."""
_NAME = re.compile(r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$")


def scaffold(name: str, kind: str, directory: Path | None = None) -> Path:
    """Write the project of a new plugin. Raises `ConfigError` when the name will not do or something is in the way."""
    if not _NAME.match(name):
        raise ConfigError(
            f"`{name}` will not do as a plugin's name. Use small letters, digits, `-` and `_`: `my_provider`."
        )
    words = re.split("[-_]", name)
    names = {
        "WHAT_IT_BRINGS": KINDS[kind],
        "plugin_name": "_".join(words),
        "plugin-name": "-".join(words),
        "PluginName": "".join(word.capitalize() for word in words),
    }
    directory = directory or Path(f"switchgear-{names['plugin-name']}")
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty. Name another place with `--directory`.")
    template = shipped("plugin-template", "contrib/plugin-template")
    for part in ("project", kind):
        _copy(template / part, directory, names)
    return directory


def warnings(name: str, discovery: Discovery) -> list[str]:
    """Return warnings for the author of a plugin of this name."""
    return [
        f"{it.distribution} {it.version} already brings a plugin `{name}`: with both installed the gateway does not start. Choose"
        " another name."
        for it in discovery
        if it.name == name
    ]


def _copy(source: Traversable, target: Path, names: dict[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.name == "__pycache__" or entry.name.endswith(".pyc"):
            continue
        path = target / _named(entry.name, names)
        if entry.is_dir():
            _copy(entry, path, names)
        else:
            path.write_text(_named(entry.read_text("utf-8"), names), "utf-8")


def _named(text: str, names: dict[str, str]) -> str:
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return text
