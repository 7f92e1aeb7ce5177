"""What a plugin brings beyond the way of a request is put to work by a gateway that serves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.distributions import installed
from support.gateway import Running, eventually, running
from switchgear.errors import PluginError

PLUGIN = """
    import json
    from switchgear import Offer
    from switchgear.contracts.kernel import Task

    SEEN = {"records": [], "events": [], "beats": 0}

    class Acme(switchgear.Plugin):
        api = 1
        kinds = frozenset()
        names = frozenset()

        def switchgear_record_sinks(self):
            return [Offer("acme", lambda: self)]

        def switchgear_tasks(self):
            return [Task("beat", 0.01, self.beat)]

        def switchgear_event_handlers(self):
            return [self]

        async def write(self, kind, rows):
            SEEN["records"] += [(kind.name, json.loads(row.body)["model"]) for row in rows]

        async def beat(self):
            SEEN["beats"] += 1

        def handle(self, event):
            SEEN["events"].append((event.name, event.data))
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("acme", {"acme": "Acme"}, PLUGIN)
        async with running(tmp_path, memory=" }\nacme = { enabled = true") as run:
            yield run


@pytest.fixture
def seen(served: Running) -> dict:
    import acme  # noqa: PLC0415 - exists while the test's site does

    return acme.SEEN


async def test_its_record_sink_gets_usage(served: Running, seen: dict):
    assert 200 == (await served.chat(model="echo")).status_code
    await served.usage()
    await eventually(lambda: seen["records"])
    assert [("usage", "echo")] == seen["records"]


async def test_its_task_runs(seen: dict):
    await eventually(lambda: seen["beats"] > 2)


async def test_its_listener_hears_what_changed_and_which_credential_fails(served: Running, seen: dict):
    source = {"backend": "env", "variables": {"api_key": "SURELY_NOT_SET_API_KEY"}}
    await served.create("credentials", id="c", type="openai", source=source)
    await served.create("providers", id="p", type="openai", base_url="http://127.0.0.1:9", credential_id="c")
    await served.create("models", id="m", provider_id="p", provider_model="any")
    assert 200 != (await served.chat()).status_code
    await served.admin.delete("/models/m")
    await eventually(lambda: seen["events"] and seen["events"][-1][0] == "models.deleted")
    heard = [(name, data["id"]) for name, data in seen["events"] if data["id"] in {"c", "p", "m"}]
    bound = [("providers.changed", "p"), ("credentials.changed", "c")]
    changed = [("credentials.changed", "c"), *bound, ("models.changed", "m")]
    assert [*changed, ("credentials.failing", "c"), ("models.deleted", "m")] == heard
    revisions = [data["revision"] for _, data in seen["events"] if "revision" in data]
    assert sorted(revisions) == revisions


SEALER = """
    from switchgear import NoSettings, Offer

    class Other(switchgear.Plugin):
        api = 1
        source_type = NoSettings
        secret_fields = ()

        def switchgear_credential_backends(self):
            return [Offer("other", lambda: self)]

        async def fetch(self, credential_id, source): ...
        def seal(self, plaintext, *, context): ...
        def unseal(self, sealed, *, context): ...
        def is_current(self, sealed): ...
"""


async def test_a_second_sealer_is_refused_rather_than_ignored(tmp_path: Path):
    with installed(tmp_path / "site") as site:
        site.add("other", {"other": "Other"}, SEALER)
        with pytest.raises(PluginError, match="several credential backends can seal: `encrypted`, `other`"):
            async with running(tmp_path, memory=" }\nother = { enabled = true"):
                pass
