"""`GET /admin/v1/providers/{id}/models` and `POST /admin/v1/credentials/{id}/test`."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from switchgear import Context
from switchgear_plugins.discovery.models import FoundModel, list_models
from switchgear_plugins.discovery.trial import CredentialTest, try_credential


class FoundModels(Struct, frozen=True):
    """What a provider has now."""

    data: list[FoundModel]


def handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/providers/{id:str}/models",
        opt={"action": "discover", "resource": "providers"},
        summary="The models a provider says it has",
        tags=["providers"],
    )
    async def provider_models(id: FromPath[str]) -> FoundModels:
        return FoundModels(await list_models(context.providers.get(id), context.resources))

    @post(
        "/admin/v1/credentials/{id:str}/test",
        opt={"action": "test", "resource": "credentials"},
        status_code=200,
        summary="Fetch a credential's secret and make the cheapest call that needs it",
        tags=["credentials"],
    )
    async def test_credential(id: FromPath[str]) -> CredentialTest:
        return await try_credential(context.providers, id, context.ambient)

    return [provider_models, test_credential]
