import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from switchgear.contracts.principal import Credentials, Grant, Principal, operator
from switchgear.contracts.resource import Resource, ResourceKind, View
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.facade import PluginResources
from switchgear.resources.writer import Terms
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.context import PluginContext
from switchgear_plugins.api_keys.plugin import ApiKeysPlugin
from switchgear_plugins.api_keys.settings import ApiKeysSettings
from switchgear_plugins.memory.store import MemoryStore


def bearing(token: str) -> Credentials:
    """Make credentials of a token as it is; not every one could come in a header."""
    credentials = Credentials({})
    credentials.token = token
    return credentials


class Team(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom keys belong to."""

    active: bool = True
    models: tuple[str, ...] = ("*",)


def _bounds(resource: Resource[Team], view: View) -> Any:
    team = resource.spec
    return SimpleNamespace(active=team.active, most=(Grant("use", "models", team.models),), part_of=None)


TEAMS = ResourceKind(name="teams", title="team", spec=Team, compile=_bounds)


class Gateway:
    """The plugin over the real resource engine and a store, as the kernel would put them together."""

    def __init__(self, store: Any, ambient: FixedAmbient, data_dir: Any) -> None:
        self.ambient = ambient
        plugin = ApiKeysPlugin(ApiKeysSettings(), PluginContext("api_keys", data_dir, ambient=ambient, store=store))
        self.engine = ResourceEngine(store, [*plugin.switchgear_resource_kinds(), TEAMS], ambient)
        plugin.context = PluginContext(
            "api_keys", data_dir, ambient=ambient, store=store, resources=PluginResources(self.engine)
        )
        self.authenticator = plugin.switchgear_authenticators()[0].factory()

    async def create(self, **body: Any) -> dict[str, Any]:
        if body.get("team_id") and await self.engine.find("teams", body["team_id"]) is None:
            await self.engine.create("teams", {"id": body["team_id"]}, Terms(operator("test")))
        written = await self.engine.create("api-keys", {"name": "n", **body}, Terms(operator("test")))
        return {**(written.view or {}), **written.once}

    async def act(self, id: str, action: str, **body: Any) -> dict[str, Any]:
        written = await self.engine.act("api-keys", id, action, body or None, Terms(operator("test")))
        return {**(written.view or {}), **written.once}

    async def patch(self, id: str, **body: Any) -> dict[str, Any]:
        written = await self.engine.patch("api-keys", id, body, Terms(operator("test")))
        return {**(written.view or {}), **written.once}

    async def who(self, token: str) -> Principal | None:
        answer = self.authenticator.authenticate(bearing(token))
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer  # type: ignore[return-value]


@pytest.fixture
async def gateway(ambient: FixedAmbient, tmp_path: Any) -> AsyncIterator[Gateway]:
    store = MemoryStore()
    await store.open()
    made = Gateway(store, ambient, tmp_path)
    await made.engine.start()
    yield made
    await store.close()
