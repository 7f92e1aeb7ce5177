"""What commands share: the options every one has, and the way to a booted kernel."""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from switchgear.config import Config, load
from switchgear.errors import ConfigError
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel

P = ParamSpec("P")
R = TypeVar("R")


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--json`, passed on as `as_json`; refusals heed it too."""

    def remember(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
        ctx.meta["json"] = value
        return value

    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=remember,
        help="Write JSON to stdout, also for errors.",
    )(command)


def config_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--config`, passed on as `path`; one that stands before the command counts where it is not said again."""

    def said_before(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
        return value or ctx.find_root().params.get("path")

    return click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path),
        callback=said_before,
        help="The configuration file. Default: ./plugins.toml, or the defaults if there is none.",
    )(command)


def gateway_flags(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command flags that override `[gateway]` settings (`--port`), passed on as `flags` for `read_config`."""

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def collected(**options: Any) -> R:
            said = {name: options.pop(name.replace(".", "_")) for name in names}
            flags = {f"gateway.{name}": value for name, value in said.items() if value is not None}
            return command(flags=flags, **options)

        for name in reversed(names):
            flag = "--" + name.replace("_", "-").replace(".", "-")
            collected = click.option(
                flag, name.replace(".", "_"), help=f"Instead of `{name}` in [gateway] of plugins.toml."
            )(collected)
        return collected

    return decorate


def read_config(path: Path | None = None, flags: dict[str, str] | None = None) -> Config:
    """Read the configuration with this process' environment."""
    return load(path, environ=os.environ, flags=flags or {})


def booted(path: Path | None = None, flags: dict[str, str] | None = None) -> Kernel:
    """Boot a kernel up to the point before anything starts. Raises `BootError`."""
    kernel = Kernel(read_config(path, flags))
    kernel.boot()
    return kernel


def plugin_commands(path: Path | None = None) -> dict[str, click.Command]:
    """Return the commands of the plugins that a configuration enables, by name."""
    found = booted(path).registry.all(Hooks.switchgear_commands)
    return {bound.item.name: bound.item for bound in found if bound.item.name}


def require_output(what: str) -> None:
    """Raise `ConfigError` where there is no output to show something on that is shown only once."""
    if sys.stdout is None:
        raise ConfigError(f"there is no output to show {what} on, and it is shown only once: nothing was made")


def answer(data: Any) -> None:
    """Print an answer for machines."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
