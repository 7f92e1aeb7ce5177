"""A page that counts the models, and the files it is made of."""

from pathlib import Path

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets, UIPage


class PagePlugin(Plugin[NoSettings]):
    """Brings both."""

    api = 1

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring the page."""
        return [UIPage("models", "Models at a glance", "page.js", group="Resources")]
