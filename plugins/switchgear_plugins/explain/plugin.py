from typing import TYPE_CHECKING

from switchgear import NoSettings, Plugin

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler


class ExplainPlugin(Plugin[NoSettings]):
    """What would become of a request: `POST /admin/v1/explain`, `switchgear explain`, and how keys stand."""

    api = 1

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/explain, and what is left to a key."""
        from switchgear_plugins.explain.routes import explain_handler  # noqa: PLC0415 - Litestar takes long to import
        from switchgear_plugins.explain.standing import standing_handler  # noqa: PLC0415 - likewise

        return [explain_handler(self.context), standing_handler(self.context)]

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear explain`."""
        from switchgear_plugins.explain.commands import explain  # noqa: PLC0415 - a gateway that serves has no use for it

        return [explain]
