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

    async def start(self) -> None:
        """Make the client."""
        self._http = self.context.http(follow_redirects=False, timeout=None)

    def _client(self) -> "httpx.AsyncClient":
        assert self._http is not None
        return self._http
