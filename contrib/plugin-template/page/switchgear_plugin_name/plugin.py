from pathlib import Path

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets, UIPage


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings a page to the console, `/ui/plugin_name/page.js`, and the files it is made of."""

    api = 1

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files. They are open to everybody: what a page shows, it asks the admin API for."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring the page."""
        return [UIPage("plugin-name", "PluginName", "page.js")]
