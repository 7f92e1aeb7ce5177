from pathlib import Path
from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets, UIPage

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


_ASKED = ("models", "aliases", "pools", "chains", "agents")
"""Kinds whose ids answer to a chat, each with a tab to ask them."""


class ExecutionPlugin(Plugin[NoSettings]):
    """Models tried by operators: `POST /admin/v1/models/{id}/execute`, and a tab of the console."""

    api = 1

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the route."""
        from switchgear_plugins.execution.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context)

    def switchgear_assets(self) -> list[Assets]:
        """Bring the file of the tab."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring the tab."""
        return [UIPage("ask", "Ask", "ask.js", kind=kind, panel=True) for kind in _ASKED]
