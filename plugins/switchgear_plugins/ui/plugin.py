from pathlib import Path

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets


class UiPlugin(Plugin[NoSettings]):
    """The console at `/ui/`: pages for operators over the admin API alone, and those that other plugins bring."""

    api = 1

    def switchgear_assets(self) -> list[Assets]:
        """Bring the console's files."""
        return [Assets(Path(__file__).parent / "assets", front="index.html")]
