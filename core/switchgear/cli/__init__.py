"""The command line. One module a command or group; adding one is adding a line to `switchgear.own.COMMANDS`.

Nothing heavy is imported before a command runs, so that help and completion answer at once.
"""

import gc
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from switchgear import __version__
from switchgear.cli.refusal import refuse
from switchgear.cli.signals import Early
from switchgear.errors import BootError, SwitchgearError
from switchgear.own import COMMANDS
from switchgear.phrasing import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CONFIG = "switchgear.config"
"""Under which name a command finds what configuration it is to read."""

EARLY = "switchgear.early"
"""Under which name `serve` finds what handles signals since before it was imported."""
_SERVING = frozenset({"serve", "api", "worker"})


class Commands(click.Group):
    """The kernel's commands, those that enabled plugins declare, and those that others bring, looked for when no other fits."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the kernel's commands, and those that enabled plugins declare."""
        return sorted({*COMMANDS, *_declared(ctx)})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Remember which configuration a command will read: plugins of another one bring other commands."""
        ctx.meta[CONFIG] = _config_in(args) or ctx.params.get("path")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command of the kernel's or a declared one, or look for another one of a plugin's."""
        if cmd_name in _SERVING and not ctx.resilient_parsing:
            ctx.meta.setdefault(EARLY, Early())
            gc.disable()  # what is made by then lives as long as the process; `serve` enables it again
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), name)
            return command
        if (declared := _declared(ctx).get(cmd_name)) is not None:
            loaded: click.Command = declared.load()
            return loaded
        if ctx.resilient_parsing:
            return None
        from switchgear.cli.common import plugin_commands  # noqa: PLC0415 - imports every enabled plugin
        from switchgear.cli.declared import plugin_of  # noqa: PLC0415 - reads the configuration

        try:
            found = plugin_commands(ctx.meta.get(CONFIG))
        except BootError as error:
            ctx.fail(
                f"No such command `{cmd_name}`.{did_you_mean(cmd_name, COMMANDS)} Those of plugins are not known, because"
                f" the configuration is wrong in {len(error.failures)} places: `switchgear config check`."
            )
        if cmd_name not in found and (plugin := plugin_of(cmd_name)) is not None:
            ctx.fail(
                f"No such command `{cmd_name}`. The plugin `{plugin}` brings it: `switchgear plugins enable {plugin}`."
            )
        if cmd_name not in found:
            ctx.fail(f"No such command `{cmd_name}`.{did_you_mean(cmd_name, [*COMMANDS, *found])}")
        return found[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        from switchgear.cli.declared import summary  # noqa: PLC0415 - reads the configuration

        rows = {name: text for name, (_, text) in COMMANDS.items()}
        rows |= {name: summary(declared) for name, declared in _declared(ctx).items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))
        formatter.write_paragraph()
        formatter.write_text("Enabled plugins may bring more: `switchgear plugins list` shows which.")

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what Switchgear raises on purpose is printed without a traceback."""
        try:
            return super().invoke(ctx)
        except BootError as error:
            refuse(error.failures, as_json=ctx.meta.get("json", False))
            ctx.exit(2)
        except SwitchgearError as error:
            refuse((str(error),), as_json=ctx.meta.get("json", False))
            ctx.exit(1)
        except BrokenPipeError:
            raise  # click ends quietly: whoever read the output has seen enough
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            refuse(
                (f"{where}{error.strerror or error}. `switchgear doctor` looks for what is in the way.",),
                as_json=ctx.meta.get("json", False),
            )
            ctx.exit(1)
        finally:
            early: Early | None = ctx.meta.get(EARLY)
            if early is not None:
                early.release()
                gc.enable()

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, also where an output was closed: what is opened later must not be taken for it."""
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        return super().main(*args, **options)


def _declared(ctx: click.Context) -> "dict[str, EntryPoint]":
    """Return the commands that enabled plugins declare, without importing them."""
    from switchgear.cli.declared import declared_commands  # noqa: PLC0415 - reads the configuration

    return declared_commands(ctx.meta.get(CONFIG))


def _config_in(args: list[str]) -> Path | None:
    """Return what `--config` will say, before anybody has parsed it."""
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        if arg in ("-c", "--config"):
            return Path(following) if following else None
        if arg.startswith("--config="):
            return Path(arg.removeprefix("--config="))
        if arg.startswith("-c") and not arg.startswith("--"):
            return Path(arg.removeprefix("-c"))
    return None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="switchgear")
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration file, also of commands without such an option of their own.",
)
def main(path: Path | None) -> None:
    """Switchgear: an LLM gateway built of plugins.

    `switchgear serve` runs it with the configuration in ./plugins.toml, or with the defaults if there is no such file.
    """
