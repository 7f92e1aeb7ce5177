"""Where a model is, at Google: host, path and credential header.

Wire: cloud.google.com/vertex-ai/generative-ai/docs/learn/locations (regions, multi-regions, `global`),
cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/vertex-ai-express-mode-api-reference, ai.google.dev/api.
"""

import re
from urllib.parse import quote

from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable
from switchgear_plugins.vertex.settings import VertexProviderSettings

AI_STUDIO = "https://generativelanguage.googleapis.com"
GLOBAL = "https://aiplatform.googleapis.com"
_MULTI_REGIONS = frozenset({"us", "eu"})
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,62}:)?[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_MODEL = re.compile(
    r"(?:publishers/(?P<publisher>[a-z0-9][a-z0-9-]{0,62})/models/|(?P<kind>models/|tunedModels/|endpoints/))?"
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,200})"
)


def family(model: str) -> str:
    """Return the bare name of a model, without publisher and collection."""
    return model.rpartition("/")[2]


class Address:
    """Makes URLs of one provider resource. Raises ValueError, saying what to enter, for settings that exclude each other."""

    def __init__(self, settings: VertexProviderSettings, base_url: str | None) -> None:
        if settings.express and (settings.project or settings.location):
            raise ValueError("`express` has neither `project` nor `location`: leave them out, or leave out `express`")
        self.vertex = settings.express or bool(settings.project or settings.location)
        self.express = settings.express
        self._project = settings.project
        self._location = settings.location or "global"
        self._publisher = settings.publisher
        self._version = settings.api_version or ("v1" if self.vertex else "v1beta")
        self._base = base_url.rstrip("/") if base_url else self._host()

    def _host(self) -> str:
        if not self.vertex:
            return AI_STUDIO
        if self.express or self._location == "global":
            return GLOBAL
        if self._location in _MULTI_REGIONS:
            return f"https://aiplatform.{self._location}.rep.googleapis.com"
        return f"https://{self._location}-aiplatform.googleapis.com"

    def resource(self, model: str, secret: Secret | None, publisher: str | None = None) -> str:
        """Return the resource name of a model, which is its path below the version.

        Raises ValueError for a name that is none, `SecretUnavailable` if nobody says which project it is.
        """
        found = _MODEL.fullmatch(model)
        if found is None:
            raise ValueError("`provider_model` is not the name of a model: write it like gemini-2.5-flash")
        name, kind = quote(found["name"], safe="@"), found["kind"] or "models/"
        if not self.vertex:
            return f"{kind}{name}"
        where = "" if self.express else f"projects/{self.project(secret)}/locations/{self._location}/"
        if kind == "endpoints/":
            return f"{where}{kind}{name}"
        return f"{where}publishers/{found['publisher'] or publisher or self._publisher}/models/{name}"

    def url(self, resource: str, method: str) -> str:
        """Return the URL of a method of a resource."""
        return f"{self._base}/{self._version}/{resource}:{method}"

    def list_url(self, cursor: str | None) -> str:
        """Return the URL of a page of models. Vertex AI lists publishers' models in v1beta1 only, outside of any project."""
        path = f"v1beta1/publishers/{self._publisher}/models" if self.vertex else f"{self._version}/models"
        more = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
        return f"{self._base}/{path}?pageSize={100 if self.vertex else 1000}{more}"

    def project(self, secret: Secret | None) -> str:
        """Return the project: that of the settings, else that of the credential."""
        project = self._project or (secret.get("project_id") if secret is not None else None)
        if not project or not _PROJECT.fullmatch(project):
            raise SecretUnavailable("neither settings nor credential name the project; set `settings.project`")
        return project


def authorise(secret: Secret | None) -> dict[str, str]:
    """Return the header that carries the credential: an access token, or an API key."""
    if secret is None:
        return {}
    if "access_token" in secret:
        return {"authorization": f"Bearer {secret['access_token']}"}
    if "api_key" in secret:
        return {"x-goog-api-key": secret["api_key"]}
    raise SecretUnavailable("the credential has none of api_key, access_token and service_account; enter it with one")
