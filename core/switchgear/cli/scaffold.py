"""New plugins from the template, and where a plugin's tests are."""

import json
import re
from importlib.resources.abc import Traversable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from switchgear.discovery import Installed
from switchgear.errors import ConfigError, PluginError
from switchgear.shipped import shipped

KINDS = ("provider",)
_NAME = re.compile(r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$")


def scaffold(name: str, kind: str, directory: Path | None = None) -> Path:
    """Write the project of a new plugin. Raises `ConfigError` when the name will not do or something is in the way."""
    if not _NAME.match(name):
        raise ConfigError(
            f"`{name}` will not do as a plugin's name. Use small letters, digits, `-` and `_`: `my_provider`."
        )
    words = re.split("[-_]", name)
    names = {
        "plugin_name": "_".join(words),
        "plugin-name": "-".join(words),
        "PluginName": "".join(word.capitalize() for word in words),
    }
    directory = directory or Path(f"switchgear-{names['plugin-name']}")
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty. Name another place with `--directory`.")
    _copy(shipped("plugin-template", "contrib/plugin-template") / kind, directory, names)
    return directory


def tests_of(installed: Installed) -> list[Path]:
    """Return where the tests of a plugin are: in the checkout its distribution was installed from."""
    dist = installed.entry_point.dist
    origin = json.loads((dist and dist.read_text("direct_url.json")) or "{}").get("url", "")
    if origin.startswith("file:"):
        tests = Path(unquote(urlsplit(origin).path)) / "tests"
        for path in (tests / "plugins" / installed.name, tests):
            if path.is_dir():
                return [path]
    raise PluginError(
        f"{installed}: its tests are not on this machine. Install it from its source (`pip install -e DIRECTORY`), where"
        " `tests/` subclasses the suites of `switchgear.testing`."
    )


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
