from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


class ExecutionPlugin(Plugin[NoSettings]):
    """Models tried by operators: `POST /admin/v1/models/{id}/execute`."""

    api = 1

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the route."""
        from switchgear_plugins.execution.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context)
