from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


class DiscoveryPlugin(Plugin[NoSettings]):
    """What providers say when asked: `GET /admin/v1/providers/{id}/models` and `POST /admin/v1/credentials/{id}/test`."""

    api = 1

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring both."""
        from switchgear_plugins.discovery.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context)
