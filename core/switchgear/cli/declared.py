"""Commands of plugins that their distributions declare, so that help and completion know them before anything is imported.

    [project.entry-points."switchgear.commands"]
    "my_plugin.greet" = "my_package.commands:greet"

The name is that of the plugin and that of the command. What help says is the first sentence of the docstring of the function that
the entry point names.
"""

import ast
import os
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from switchgear.config import load
from switchgear.errors import BootError
from switchgear.own import COMMAND_GROUP


def declared_commands(path: Path | None) -> dict[str, EntryPoint]:
    """Return the declared commands of the plugins that a configuration enables, by name; none where it cannot be read."""
    try:
        enabled = load(path, environ=os.environ, flags={}).enabled
    except BootError:
        return {}
    found = ((*entry_point.name.partition("."), entry_point) for entry_point in entry_points(group=COMMAND_GROUP))
    return {name: entry_point for plugin, _, name, entry_point in found if plugin in enabled}


def plugin_of(command: str) -> str | None:
    """Return the installed plugin that declares a command, enabled or not."""
    found = {name: plugin for plugin, _, name in (it.name.partition(".") for it in entry_points(group=COMMAND_GROUP))}
    return found.get(command)


def summary(entry_point: EntryPoint) -> str:
    """Return what help says of a command in its list, read from its source; empty where there is nothing to be read."""
    try:
        spec = find_spec(entry_point.module)
        if spec is None or spec.origin is None:
            return ""
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (ImportError, ValueError, OSError, SyntaxError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point.attr:
            first, stop, _ = " ".join((ast.get_docstring(node) or "").split()).partition(". ")
            return first + stop.strip()
    return ""
