from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets
from switchgear_plugins.ui.files import ASSETS

if TYPE_CHECKING:
    import click


class UiPlugin(Plugin[NoSettings]):
    """The console at `/ui/`: pages for operators over the admin API alone, and those that other plugins bring."""

    api = 1

    def switchgear_assets(self) -> list[Assets]:
        """Bring the console's files."""
        return [Assets(ASSETS, front="index.html")]

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear ui`."""
        from switchgear_plugins.ui.commands import ui  # noqa: PLC0415 - a gateway that serves has no use for it

        return [ui]
