from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchgear import Context, NoSettings, Offer, Plugin
from switchgear.contracts.content import WorkflowStep
from switchgear.contracts.kernel import Assets, UIPage
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.external_apis.resources import external_apis
from switchgear_plugins.external_apis.step import HttpRequestSettings, HttpRequestStep

if TYPE_CHECKING:
    import httpx
    from litestar.handlers import HTTPRouteHandler


class ExternalApisPlugin(Plugin[NoSettings]):
    """APIs that workflows may call: the kind, the step `http_request`, and a way to try them."""

    api = 1
    requires = ("store",)

    def __init__(self, settings: NoSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._http: httpx.AsyncClient | None = None

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `external-apis`."""
        return [external_apis()]

    def switchgear_workflow_steps(self) -> list[Offer[WorkflowStep]]:
        """Offer the step."""

        def make(settings: HttpRequestSettings) -> HttpRequestStep:
            return HttpRequestStep(settings, self._client)

        return [Offer("http_request", make, HttpRequestSettings, "A request to an external API")]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring the route that tries one."""
        from switchgear_plugins.external_apis.routes import handlers  # noqa: PLC0415 - Litestar takes long to import

        return handlers(self.context, self._client)

    def switchgear_assets(self) -> list[Assets]:
        """Bring the file of its tab."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its tab of the console."""
        return [UIPage("try", "Try", "try.js", kind="external-apis", panel=True)]

    def _client(self) -> "httpx.AsyncClient":
        """Return the client, made for the first request: that takes long, and starting the gateway does not need it."""
        if self._http is None:
            self._http = self.context.http(follow_redirects=False, timeout=None)
        return self._http
