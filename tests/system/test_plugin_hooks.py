"""What a plugin brings beyond the way of a request is put to work by a gateway that serves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.distributions import installed
from support.gateway import Running, eventually, running
from switchgear.errors import PluginError

PLUGIN = """
    import json
    import msgspec
    from switchgear import Offer
    from switchgear.contracts.jobs import JobHandler
    from switchgear.contracts.kernel import Task
    from switchgear.contracts.policy import Policy
    from switchgear.contracts.record import RecordKind
    from switchgear.contracts.store import RecordQuery

    SEEN = {"records": [], "events": [], "beats": 0}

    class Visit(msgspec.Struct):
        id: str
        model: str
        letters: int

    class Noting(Policy):
        def __init__(self, context):
            self.context = context

        def settle(self, x):
            x.labels["Variant"] = f"v{len(x.call.model) % 2}"
            x.labels["app.name"] = "acme"
            return self.context.record("visits", x.id, x.started_us, Visit(x.id, x.call.model, len(x.call.model)))

    class Acme(switchgear.Plugin):
        api = 1
        requires = ("jobs", "store")
        kinds = frozenset()
        names = frozenset()

        def switchgear_record_sinks(self):
            return [Offer("acme", lambda: self)]

        def switchgear_job_handlers(self):
            return [JobHandler("acme.count", self.count)]

        async def count(self, run):
            return b"%d" % len(run.job.payload)

        def switchgear_record_kinds(self):
            return [RecordKind("visits", Visit, dimensions=("model",), measures=("letters",))]

        def switchgear_policies(self):
            return [Offer("noting", lambda: Noting(self.context))]

        async def start(self):
            SEEN["plugin"] = self

        async def visits(self):
            rows = await self.context.records.scan(RecordQuery("visits"))
            sums = await self.context.records.summarise(RecordQuery("visits"), ["model"], ["letters"])
            return [json.loads(row.body) for row in rows], sums

        def switchgear_tasks(self):
            return [Task("beat", 0.01, self.beat)]

        def switchgear_event_handlers(self):
            return [self]

        async def write(self, kind, rows):
            SEEN["records"] += [(kind.name, kind.type.__name__, json.loads(row.body)["model"]) for row in rows]

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


async def test_its_record_sink_gets_records_of_every_kind(served: Running, seen: dict):
    assert 200 == (await served.chat(model="echo")).status_code
    await served.usage()
    await eventually(lambda: len(seen["records"]) == 2)
    assert [("usage", "UsageRecord", "echo"), ("visits", "Visit", "echo")] == sorted(seen["records"])


async def test_its_own_records_are_kept_and_summed_up(served: Running, seen: dict):
    answer = await served.chat(model="echo")
    await served.chat(model="nobody")
    rows, sums = await seen["plugin"].visits()
    assert ["nobody", "echo"] == [row["model"] for row in rows]
    assert {"id": answer.headers["x-request-id"], "model": "echo", "letters": 4} == rows[1]
    assert [(("echo",), 1, (4,)), (("nobody",), 1, (6,))] == [(it.by, it.count, it.sums) for it in sums]


async def test_a_kind_it_does_not_declare_is_not_its_to_keep(served: Running, seen: dict):
    record = seen["plugin"].context.record
    for kind in ("usage", "vizits"):
        with pytest.raises(PluginError, match=f"plugin `acme` keeps records `{kind}`, which it does not declare"):
            record(kind, "1", 1, b"{}")
    with pytest.raises(PluginError, match="records `visits` are Visit"):
        record("visits", "1", 1, {})


async def test_usage_is_grouped_and_filtered_by_labels(served: Running):
    first = await served.chat(model="echo")
    await served.chat(model="nobody")
    await served.chat(model="nobodys")
    [record] = await served.usage(**{"model": "echo", "labels.app.name": "acme"})
    assert (first.headers["x-request-id"], {"variant": "v0", "app.name": "acme"}) == (record["id"], record["labels"])
    assert [] == await served.usage(**{"labels.app.name": "other"})
    assert 1 == len(await served.usage(**{"labels.variant": "v1"}))
    found = (await served.admin.get("/usage/summary", params={"by": "labels.variant,labels.none"})).json()["data"]
    groups = [(it["group"], it["requests"]) for it in found]
    assert [({"labels.variant": f"v{n}", "labels.none": None}, 2 - n) for n in (0, 1)] == groups


async def test_its_jobs_are_done(served: Running, seen: dict):
    jobs = seen["plugin"].context.jobs
    added = await jobs.enqueue("acme.count", b"four", key="once")
    assert added.id == (await jobs.enqueue("acme.count", b"other", key="once")).id

    async def done() -> bool:
        job = await jobs.get(added.id)
        return job is not None and (job.state, job.result) == ("done", b"4")

    await eventually(done)


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
    heard = [(name, data["id"]) for name, data in seen["events"] if data.get("id") in {"c", "p", "m"}]
    bound = [("providers.changed", "p"), ("credentials.changed", "c")]
    changed = [("credentials.changed", "c"), *bound, ("models.changed", "m")]
    assert [*changed, ("credentials.failing", "c"), ("models.deleted", "m")] == heard
    revisions = [data["revision"] for _, data in seen["events"] if "revision" in data]
    assert sorted(revisions) == revisions


SEALER = """
    import msgspec
    from switchgear import Offer

    class Source(msgspec.Struct, forbid_unknown_fields=True, tag_field="backend", tag="other"): ...

    class Other(switchgear.Plugin):
        api = 1
        source_type = Source
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
        with pytest.raises(PluginError, match="plugin `encrypted` of switchgear and plugin `other` of other both"):
            async with running(tmp_path, memory=" }\nother = { enabled = true"):
                pass
