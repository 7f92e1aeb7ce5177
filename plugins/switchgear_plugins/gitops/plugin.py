from typing import TYPE_CHECKING

from switchgear import Plugin
from switchgear_plugins.gitops.settings import GitopsSettings

if TYPE_CHECKING:
    import click


class GitopsPlugin(Plugin[GitopsSettings]):
    """Resources in files under version control: the commands `apply` and `export`."""

    api = 1
    settings_type = GitopsSettings

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear apply` and `switchgear export`."""
        from switchgear_plugins.gitops.commands import apply, export  # noqa: PLC0415 - a gateway that serves has no use for them

        return [apply, export]
