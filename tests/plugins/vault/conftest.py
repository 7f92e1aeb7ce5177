from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.fake_vault import FakeVault
from switchgear_plugins.vault.plugin import VaultPlugin
from switchgear_plugins.vault.settings import VaultSettings


@pytest.fixture
async def vault() -> AsyncIterator[FakeVault]:
    fake = FakeVault()
    fake.put("secret/data/app/openai", {"api_key": "sk-canary-1", "organization": "org-canary-2"})
    async with fake:
        yield fake


@pytest.fixture
async def plugin(vault: FakeVault, plugin_context: Any) -> AsyncIterator[Callable[..., VaultPlugin]]:
    """Make the plugin over the fake, with a root token unless settings say otherwise."""
    made = []

    def make(**settings: Any) -> VaultPlugin:
        if "auth" not in settings and "token_file" not in settings:
            settings["token"] = settings.get("token", "root")
        made.append(VaultPlugin(VaultSettings(url=vault.url, **settings), plugin_context))
        return made[-1]

    yield make
    for one in made:
        await one._session.connect().aclose()
