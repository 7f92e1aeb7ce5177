from pathlib import Path
from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin
from switchgear.contracts.kernel import Assets, UIPage

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


class AuditPlugin(Plugin[NoSettings]):
    """Who changed what and when: `GET /admin/v1/audit`, read from the versions that the store keeps of every resource."""

    api = 1
    requires = ("store",)

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the route."""
        from switchgear_plugins.audit.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context)

    def switchgear_assets(self) -> list[Assets]:
        """Bring the file of its page."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its page of the console."""
        return [UIPage("audit", "Audit log", "changes.js", group="Operations", needs="audit")]
