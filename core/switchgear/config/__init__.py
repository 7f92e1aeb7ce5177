"""plugins.toml, the environment and the command line, made into one configuration.

From weak to strong: defaults, the file, well-known variables (`DATABASE_URL`, where a settings type lists it in its class
variable `variables`: name to dotted field), `SWITCHGEAR__SECTION__KEY`, flags. A settings field that takes a string takes
`{env = "NAME"}` or `{file = "path"}` as well.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.config.source import DEFAULT, Layers, Origin, Path, Text, line_numbers
from switchgear.config.typed import Reader, S
from switchgear.errors import ConfigError, FileUnusable
from switchgear.phrasing import did_you_mean
from switchgear.regular import read_text
from switchgear.settings import GatewaySettings
from switchgear.shipped import shipped

__all__ = ["DEFAULT", "FILE", "Config", "Origin", "Path", "default_source", "load"]

FILE = "plugins.toml"
_PREFIX = "SWITCHGEAR__"
_MOST_BYTES = 1024 * 1024


class When(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on the environment: the variable `env` is set and begins with `prefix`; with `unless`, that it does not."""

    env: str = ""
    unless: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        if bool(self.env) == bool(self.unless):
            raise ValueError("name one variable, as `env` or as `unless`")

    def holds(self, environ: Mapping[str, str]) -> bool:
        """Say whether the plugin is enabled."""
        value = environ.get(self.env or self.unless, "")
        return bool(value and value.startswith(self.prefix)) == bool(self.env)


class Config:
    """What the operator wants. `failures` holds everything wrong with it; the kernel refuses to boot unless it is empty.

    `gateway` are the kernel's settings (defaults where they are wrong), `enabled` the selected plugins in name order,
    `source` the file read (None: the default configuration).
    """

    def __init__(self, layers: Layers, environ: Mapping[str, str], source: FilePath | None) -> None:
        self.source = source
        self._layers = layers
        self._environ = environ
        self._reader = Reader(layers, environ, source.parent if source else FilePath())
        self.failures = self._reader.failures
        for section in layers.tree.keys() - {"gateway", "plugins"}:
            hint = did_you_mean(section, ("gateway", "plugins")) or " There is [gateway] and [plugins.NAME]."
            self.failures.append(f"{layers.origin((section,))}: [{section}]: there is no such table.{hint}")
        for section in ("gateway", "plugins"):
            if not isinstance(layers.table((section,)), dict):
                self.failures.append(f"{layers.origin((section,))}: {section}: it is a table. Write `[{section}]`.")
                layers.tree[section] = {}
        self.gateway = self._reader.read(GatewaySettings, ("gateway",)) or GatewaySettings()
        self.enabled = tuple(sorted(name for name in layers.table(("plugins",)) if self._is_enabled(name)))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The plugins that are on by default and of which a file that names others says nothing."""
        usual = tomllib.loads(default_source())["plugins"]
        named = self._layers.table(("plugins",))
        return tuple(name for name, table in usual.items() if name not in named and self._is_usual(table))

    def _is_usual(self, table: Mapping[str, Any]) -> bool:
        enabled = table.get("enabled", False)
        return enabled if isinstance(enabled, bool) else msgspec.convert(enabled, When).holds(self._environ)

    def settings(self, plugin: str, type: type[S]) -> S:
        """Return the settings of an enabled plugin. Raises `ConfigError` with everything wrong in its table."""
        before = len(self.failures)
        settings = self._reader.read(type, ("plugins", plugin), reserved={"enabled"})
        if settings is None:
            failures = self.failures[before:]
            del self.failures[before:]
            raise ConfigError(*failures)
        return settings

    def origin(self, path: Path) -> Origin:
        """Return where a value was said; for a default, `DEFAULT`."""
        return self._layers.said(path) or DEFAULT

    def place(self, plugin: str) -> str:
        """Return where a plugin's table begins, for messages: `plugins.toml:12: [plugins.NAME]`."""
        return f"{self._layers.origin(('plugins', plugin))}: [plugins.{plugin}]"

    def rows(self, settings: Struct, path: Path) -> Iterator[tuple[Path, Any, Origin, bool]]:
        """Yield each value of a settings Struct with its origin and whether it came from where secrets are kept."""
        for field in msgspec.structs.fields(settings):
            at = (*path, field.encode_name)
            value = getattr(settings, field.name)
            if isinstance(value, Struct):
                yield from self.rows(value, at)
            else:
                secret = any(said[: len(at)] == at for said in self._reader.secret)
                yield at, msgspec.to_builtins(value), self.origin(at), secret

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that settings are read from by `{env = "NAME"}`: what they hold is the gateway's own."""
        return frozenset(_named(self._layers.tree))

    def _is_enabled(self, name: str) -> bool:
        path = ("plugins", name)
        table = self._layers.table(path)
        if not isinstance(table, dict):
            self._reader.fail(path, f"a plugin has a table. Write `[plugins.{name}]` and `enabled = true` below it.")
        elif "enabled" not in table:
            self.failures.append(f"{self.place(name)}: say `enabled = true` or `enabled = false`.")
        else:
            value = self._reader.value(table["enabled"], bool | When, (*path, "enabled"), " Write true or false.")
            if isinstance(value, When):
                return value.holds(self._environ)
            return value is True
        return False


def load(
    path: FilePath | None = None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str] = {},
    directory: FilePath | None = None,
) -> Config:
    """Read the configuration.

    `path` is the file; without one, plugins.toml in `directory` (default: the working directory), else the default
    configuration. A file without any `plugins` table gets the default selection; an empty `[plugins]` selects none. `flags`
    maps dotted paths to values (`{"gateway.port": "9000"}`). Raises `ConfigError` when the file cannot be read at all; anything
    else that is wrong is in `failures` of the result.
    """
    if path is None:
        here = (directory or FilePath()) / FILE
        path = here if here.exists() or here.is_symlink() else None
    elif not path.exists():
        raise ConfigError(
            f"{path}: there is no such file. Write it with `switchgear plugins enable NAME`, or leave it out."
        )
    text, name = (_text(path), str(path)) if path else (default_source(), f"{FILE}.example")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: this is not TOML: {error}.") from error
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deeply.") from None
    layers = Layers()
    layers.put_table(table, line_numbers(text), name)
    if "plugins" not in table:
        # A file that says nothing of plugins does not mean that there should be none.
        text = default_source()
        layers.put_table({"plugins": tomllib.loads(text)["plugins"]}, line_numbers(text), f"{FILE}.example")
    stray = list(_put_environment(layers, environ))
    for dotted, value in flags.items():
        flag = "--" + dotted.removeprefix("gateway.").replace("_", "-").replace(".", "-")
        layers.put(tuple(dotted.split(".")), Text(value), Origin("flag", flag))
    config = Config(layers, environ, path)
    config.failures.extend(stray)
    return config


def _text(path: FilePath) -> str:
    """Read a file that somebody may have mistaken for another: a pipe would never end, and nobody writes so much by hand."""
    if str(path) == os.devnull:
        return ""  # how one says that there is to be none
    try:
        return read_text(path, most=_MOST_BYTES)
    except FileUnusable as error:
        raise ConfigError(f"{path}: {error}. Write the settings into a file, or name another with --config.") from None


def default_source() -> str:
    """Return the text of plugins.toml.example, which is the default configuration."""
    return shipped(f"{FILE}.example", f"{FILE}.example").read_text("utf-8")


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, dict):
        if isinstance(name := value.get("env"), str) and value.keys() <= {"env", "default"}:
            yield name
        for key, item in value.items():
            if key != "enabled":  # whether a variable is set is no secret of it
                yield from _named(item)


def _put_environment(layers: Layers, environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if not name.startswith(_PREFIX):
            continue
        keys = tuple(name.removeprefix(_PREFIX).lower().split("__"))
        if len(keys) < 2 or not all(keys):  # noqa: PLR2004 - a section and a key
            yield f"environment {name}: name a section and a key, as in {_PREFIX}GATEWAY__PORT."
            continue
        if keys[0] == "plugins":
            # A variable's name has no hyphen; the table it is meant for may have one.
            known = {table.replace("-", "_").lower(): table for table in layers.table(("plugins",))}
            keys = ("plugins", known.get(keys[1], keys[1]), *keys[2:])
        layers.put(keys, Text(value), Origin("environment", name))
