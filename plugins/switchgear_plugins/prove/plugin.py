from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin

if TYPE_CHECKING:
    import click


class ProvePlugin(Plugin[NoSettings]):
    """Promises that anybody can test on their own machine: `switchgear prove`."""

    api = 1

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear prove`."""
        from switchgear_plugins.prove.commands import prove  # noqa: PLC0415 - a gateway that serves has no use for it

        return [prove]
