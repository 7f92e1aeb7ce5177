from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from plugins.api_keys.conftest import Gateway
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.authority_suite import AuthenticatorSuite
from switchgear.testing.kind_suite import ResourceKindSuite
from switchgear_plugins.api_keys.resources import api_keys
from switchgear_plugins.memory.store import MemoryStore

OWN = "existing-secret-of-another-proxy"


class TestApiKeyAuthenticator(AuthenticatorSuite):
    good: ClassVar = {}
    bad: ClassVar = ({"authorization": f"Bearer suspended-{OWN}"}, {"x-api-key": f"revoked-{OWN}"})

    async def make(self) -> Any:
        store = MemoryStore()
        await store.open()
        with TemporaryDirectory() as directory:
            gateway = Gateway(store, FixedAmbient(), Path(directory))
            await gateway.engine.start()
            made = [await gateway.create(key=f"{word}{OWN}") for word in ("", "suspended-", "revoked-")]
        await gateway.act(made[1]["id"], "suspend")
        await gateway.act(made[2]["id"], "revoke")
        generated = await gateway.create()
        type(self).good = {
            made[0]["id"]: {"authorization": f"Bearer {OWN}"},
            generated["id"]: {"x-api-key": generated["key"]},
        }
        return gateway.authenticator


class TestApiKeys(ResourceKindSuite):
    kind: ClassVar = api_keys(FixedAmbient())
    examples: ClassVar = (
        {"name": "k", "team_id": "red", "limits": {"requests_per_minute": 5}, "tags": ["a"], "metadata": {"a": "b"}},
        {"name": "own", "key": OWN, "permissions": {"models": []}},
    )
    secret_values: ClassVar = (OWN,)
    inputs: ClassVar = {"rotate": {}}
