"""Finds installed plugins by the names of their entry points, and imports the ones that are enabled."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.compat import ADAPTERS
from switchgear.conformance import is_async, takes
from switchgear.errors import PluginError
from switchgear.own import COMMAND_GROUP
from switchgear.phrasing import did_you_mean, raised
from switchgear.plugin import API, Plugin

GROUP = "switchgear.plugins"


@dataclass(frozen=True, slots=True)
class Installed:
    """A plugin that is installed; nothing of it is imported."""

    name: str
    entry_point: metadata.EntryPoint
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin `{self.name}` of {self.distribution} {self.version}"


class Discovery:
    """Every plugin installed in this environment, by name."""

    def __init__(self) -> None:
        self._found: dict[str, list[Installed]] = {}
        said: dict[metadata.Distribution, tuple[str, str]] = {}  # each of the two parses the whole of the metadata
        installed = metadata.entry_points()  # all groups at once: what takes long is reading them
        self.commands = installed.select(group=COMMAND_GROUP)
        """Commands that distributions declare, named `PLUGIN.COMMAND`."""
        for entry_point in installed.select(group=GROUP):
            dist = entry_point.dist
            assert dist is not None  # entry points read from distributions have one
            if dist not in said:
                told = dist.metadata
                said[dist] = told["Name"], told["Version"]
            found = Installed(entry_point.name, entry_point, *said[dist])
            self._found.setdefault(found.name, []).append(found)

    def __iter__(self) -> Iterator[Installed]:
        """Iterate over all of them in name order."""
        for name in sorted(self._found):
            yield from self._found[name]

    def find(self, name: str) -> Installed:
        """Return the one plugin of this name. Raises `PluginError` when there is none, or more than one."""
        match self._found.get(name, []):
            case [found]:
                return found
            case []:
                raise PluginError(
                    f"no installed distribution brings a plugin `{name}`.{did_you_mean(name, self._found)}"
                    " Install the one that does (`pip install …`), or set `enabled = false`."
                    " `switchgear plugins list` shows what is installed."
                )
            case several:
                dists = " and ".join(f"{found.distribution} {found.version}" for found in several)
                raise PluginError(
                    f"plugin `{name}` is brought by {dists}. Uninstall all but one (`pip uninstall {several[-1].distribution}`)."
                )


def load(found: Installed) -> type[Plugin[Any]]:
    """Import a plugin's class. Raises `PluginError` saying why it cannot be used and what to do."""
    try:
        loaded = found.entry_point.load()
    except ModuleNotFoundError as error:
        raise PluginError(f"{found}: {_missing(found, error)}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{found}: importing `{found.entry_point.value}` raised {raised(error)}."
            f" Mend it or upgrade it: `pip install --upgrade {found.distribution}`."
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        raise PluginError(
            f"{found}: `{found.entry_point.value}` is not a subclass of `switchgear.Plugin`. Derive it from that, or point"
            f' the entry point in group "{GROUP}" at the class that is.'
        )
    if wrong := list(_misdeclared(loaded)):
        raise PluginError(*(f"{found}: {text}" for text in wrong))
    return _adapted(found, loaded)


def _missing(found: Installed, error: ModuleNotFoundError) -> str:
    module = error.name or str(error)
    own = module.partition(".")[0] == found.entry_point.module.partition(".")[0]
    if own:
        return (
            f"its entry point `{found.entry_point.value}` needs the module `{module}`, which {found.distribution} does not"
            f" hold. Install it again: `pip install --force-reinstall {found.distribution}`."
        )
    dist = found.entry_point.dist
    extras = (dist.metadata.get_all("Provides-Extra") or []) if dist else []
    if extra := next((extra for extra in extras if _normal(extra) == _normal(found.name)), None):
        return f"it needs the module `{module}`. Run `pip install '{found.distribution}[{extra}]'`."
    return (
        f"it needs the module `{module}`, which is not installed and no extra of {found.distribution} is called"
        f" `{found.name}`. Install the distribution that holds `{module}`."
    )


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _misdeclared(plugin: type[Plugin[Any]]) -> Iterator[str]:
    said = [cls for cls in plugin.__mro__[: plugin.__mro__.index(Plugin)] if "api" in vars(cls)]
    if not said or type(plugin.api) is not int:
        yield f"it does not say which plugin API it was written for. Add `api = {API}` to `{plugin.__qualname__}`."
    for name in ("requires", "after"):
        value = getattr(plugin, name)
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            yield f'`{name}` is {value!r}, and must be a tuple of strings, as in `{name} = ("store",)`.'
    if not isinstance(plugin.defines, tuple):
        yield f"`defines` is {plugin.defines!r}. Make it a tuple of `OfferKind`."
    if not (isinstance(plugin.settings_type, type) and issubclass(plugin.settings_type, Struct)):
        yield "`settings_type` must be a subclass of `msgspec.Struct`."
    elif "enabled" in plugin.settings_type.__struct_encode_fields__:
        yield "its settings have a field `enabled`, which is the kernel's word. Rename it."
    else:
        try:
            msgspec.json.schema_components([plugin.settings_type])
        except (TypeError, ValueError, NameError) as error:
            yield f"its settings cannot be written in a file: {str(error).splitlines()[-1]}. Give its fields other types."
    yield from _wrong_phases(plugin)


def _wrong_phases(plugin: type[Plugin[Any]]) -> Iterator[str]:
    """Find what cannot be called as the kernel will call it."""
    for name in ("start", "stop"):
        method = getattr(plugin, name)
        if not is_async(method) or not takes(method, 1):
            yield f"`{name}` is awaited, without arguments. Write `async def {name}(self)`."
    if is_async(plugin.reconfigure) or not takes(plugin.reconfigure, 2):
        yield "`reconfigure` is called with the settings, and not awaited. Write `def reconfigure(self, settings)`."
    if type(plugin.live) is not bool:
        yield f"`live` is {plugin.live!r}, and must be True or False."
    elif plugin.live and plugin.reconfigure is Plugin.reconfigure:
        yield (
            "it says `live = True` and has no `reconfigure`, so nothing would take new settings. Write `def"
            " reconfigure(self, settings)`, or leave `live` out."
        )


def _adapted(found: Installed, plugin: type[Plugin[Any]]) -> type[Plugin[Any]]:
    if plugin.api == API:
        return plugin
    if plugin.api > API:
        raise PluginError(
            f"{found}: it was written for plugin API {plugin.api}; this switchgear speaks {API}. Run"
            f" `pip install --upgrade switchgear`, or install an older {found.distribution}."
        )
    if adapter := ADAPTERS.get(plugin.api):
        return adapter(plugin)
    raise PluginError(
        f"{found}: it was written for plugin API {plugin.api}, which this switchgear (API {API}) no longer adapts. Run"
        f" `pip install --upgrade {found.distribution}`."
    )


def modules_of(plugins: Iterable[Installed]) -> dict[str, str]:
    """Return the modules and packages of imported plugins, for naming who is on a stack: `a or b` where two share one."""
    owners: dict[str, list[str]] = {}
    for it in plugins:
        module = it.entry_point.module
        for name in {module, sys.modules[module].__package__ or module}:
            owners.setdefault(name, []).append(it.name)
    return {module: " or ".join(names) for module, names in owners.items()}
