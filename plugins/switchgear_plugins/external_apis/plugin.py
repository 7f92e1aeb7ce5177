from typing import TYPE_CHECKING, Any

from switchgear import Context, NoSettings, Offer, Plugin
from switchgear.contracts.content import WorkflowStep
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.external_apis.resources import external_apis
from switchgear_plugins.external_apis.step import HttpRequestSettings, HttpRequestStep

if TYPE_CHECKING:
    import httpx


class ExternalApisPlugin(Plugin[NoSettings]):
    """APIs that workflows may call: the kind, and the step `http_request`."""

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

    def _client(self) -> "httpx.AsyncClient":
        """Return the client, made for the first request: that takes long, and starting the gateway does not need it."""
        if self._http is None:
            self._http = self.context.http(follow_redirects=False, timeout=None)
        return self._http
