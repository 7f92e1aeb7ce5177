import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from kernel.resources.conftest import MakeEngine
from kernel.resources.toys import ALIASES, KINDS, MODELS, ToySealer, compile_alias
from switchgear.contracts.credential import MASK
from switchgear.contracts.principal import Scope, operator
from switchgear.contracts.resource import Observed, RelatedWrite, ResourceKind
from switchgear.errors import Conflict, InvalidRequest, NotFound, PluginError, PreconditionFailed, ValidationFailed
from switchgear.resources import PluginResources, ResourceEngine, Terms

ME = Terms(operator("tester"))
SECRET = "sk-canary-1234567890-wxyz"


async def with_credential(engine: ResourceEngine, id: str = "main") -> None:
    await engine.create("credentials", {"id": id, "source": {"backend": "sealed", "values": {"api_key": SECRET}}}, ME)


def model(id: str = "gpt", **more: Any) -> dict[str, Any]:
    return {"id": id, "credential_id": "main", "upstream": "gpt-4o", **more}


async def refused(write: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as caught:
        await write
    return dict(caught.value.errors)


async def test_a_write_is_live_before_it_returns(engine: ResourceEngine) -> None:
    await with_credential(engine)
    written = await engine.create("models", model(), ME)
    assert engine.snapshot.live("models", "gpt").spec.upstream == "gpt-4o"
    assert engine.snapshot.callable("gpt") is engine.snapshot.live("models", "gpt")
    assert written.version == 1
    await engine.patch("models", "gpt", {"upstream": "gpt-5"}, ME)
    assert engine.snapshot.callable("gpt").spec.upstream == "gpt-5"
    await engine.delete("models", "gpt", ME)
    assert engine.snapshot.callable("gpt") is None
    assert "gpt" not in engine.snapshot.all("models")


async def test_every_bad_field_is_named_at_once(engine: ResourceEngine) -> None:
    body = {
        "id": "../etc",
        "upstream": 5,
        "weigth": 2,
        "price": {"input": "x", "otput": 1},
        "tags": ["ok", 3],
        "headers": {"a/b": None},
        "enabled": "yes",
    }
    errors = await refused(engine.create("models", body, ME))
    assert set(errors) == {
        "/id",
        "/credential_id",
        "/upstream",
        "/weigth",
        "/price/input",
        "/price/otput",
        "/tags/1",
        "/headers/a~1b",
        "/enabled",
    }
    assert "weight" in errors["/weigth"]
    assert "output" in errors["/price/otput"]
    assert errors["/credential_id"] == "is required"


async def test_an_unknown_tag_is_named_with_what_there_is(engine: ResourceEngine) -> None:
    errors = await refused(engine.create("credentials", {"id": "x", "source": {"backend": "vualt"}}, ME))
    assert errors == {"/source/backend": "there is no `vualt`; did you mean `vault`?"}
    errors = await refused(engine.create("credentials", {"id": "x", "source": {"backend": "vault", "pth": "a"}}, ME))
    assert set(errors) == {"/source/path", "/source/pth"}


@pytest.mark.parametrize(
    "id", ["", ".", "..", "a..b", "a/b", "a b", "-a", "x" * 51, "é", "a\n", None, 7, "a%2fb", "\0"]
)
async def test_an_id_that_could_be_a_path_is_refused(engine: ResourceEngine, id: Any) -> None:
    body = {"id": id, "source": {"backend": "vault", "path": "p"}}
    assert "/id" in await refused(engine.create("credentials", body, ME))


async def test_what_no_database_keeps_is_refused_by_name(engine: ResourceEngine) -> None:
    body = {"id": "x", "source": {"backend": "vault", "path": "a\0b"}, "note": "\ud800"}
    assert set(await refused(engine.create("credentials", body, ME))) == {"/source/path", "/note"}
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    assert await refused(engine.create("credentials", {"id": "x", "note": deep}, ME))
    assert "/note" in await refused(engine.create("credentials", {"id": "x", "note": float("nan")}, ME))
    assert "/note" in await refused(engine.create("credentials", {"id": "x", "note": 2**63}, ME))
    assert await refused(engine.create("credentials", {"id": "x", "note": {"$sealed": "stolen"}}, ME))


async def test_validate_and_compile_refuse_a_write_and_nothing_changes(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await engine.create("models", model(), ME)
    before = engine.snapshot
    errors = await refused(engine.patch("models", "gpt", {"weight": -1, "tags": ["bad"]}, ME))
    assert errors == {"/weight": "must not be negative", "/tags": "must not hold `bad`"}
    assert await refused(engine.patch("models", "gpt", {"upstream": "uncompilable"}, ME)) == {
        "": "no plugin brings `uncompilable`"
    }
    assert engine.snapshot is before
    assert (await engine.get("models", "gpt"))["version"] == 1


async def test_a_reference_must_exist_and_what_is_used_stays(engine: ResourceEngine) -> None:
    assert await refused(engine.create("models", model(), ME)) == {"/credential_id": "there is no credential `main`"}
    await with_credential(engine)
    await engine.create("models", model("a"), ME)
    await engine.create("models", model("b"), ME)
    with pytest.raises(Conflict, match=r"credentials/main is in use by models/a, models/b"):
        await engine.delete("credentials", "main", ME)
    assert await refused(engine.create("tickets", {"model_id": "nope"}, ME)) == {
        "/model_id": "there is no model `nope`"
    }


async def test_callable_names_are_one_namespace(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await engine.create("models", model("gpt"), ME)
    await engine.create("aliases", {"id": "best", "target": "gpt"}, ME)
    with pytest.raises(Conflict, match="models/gpt"):
        await engine.create("aliases", {"id": "gpt", "target": "best"}, ME)
    assert engine.snapshot.callable("best") is engine.snapshot.live("models", "gpt")
    assert await refused(engine.create("aliases", {"id": "x", "target": "nope"}, ME)) == {
        "/target": "nothing callable is named `nope`; create it first, or for PROVIDER/MODEL the provider"
    }
    with pytest.raises(Conflict, match="aliases/best"):
        await engine.delete("models", "gpt", ME)


async def test_a_circle_of_references_is_refused(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await engine.create("models", model("gpt"), ME)
    await engine.create("aliases", {"id": "a", "target": "gpt"}, ME)
    await engine.create("aliases", {"id": "b", "target": "a"}, ME)
    errors = await refused(engine.patch("aliases", "a", {"target": "b"}, ME))
    assert "lead back to itself" in str(errors)
    assert engine.snapshot.callable("a") is engine.snapshot.live("models", "gpt")


async def test_a_change_reaches_everything_that_names_it_and_nothing_else(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await with_credential(engine, "other")
    await engine.create("models", model("gpt"), ME)
    await engine.create("models", model("bystander", credential_id="other"), ME)
    await engine.create("aliases", {"id": "best", "target": "gpt"}, ME)
    before = engine.snapshot
    await engine.patch("credentials", "main", {"note": "rotated"}, ME)
    after = engine.snapshot
    assert after.callable("best").credential.spec.note == "rotated"
    assert before.callable("best").credential.spec.note == ""
    assert after.live("models", "bystander") is before.live("models", "bystander")


async def test_a_change_that_would_break_another_resource_is_refused(make_engine: MakeEngine) -> None:
    engine = await make_engine()
    await with_credential(engine)
    await engine.create("models", model("gpt"), ME)
    await engine.create("aliases", {"id": "best", "target": "gpt"}, ME)
    picky = await make_engine((*KINDS[:2], picky_aliases(), KINDS[3]))
    errors = await refused(picky.patch("models", "gpt", {"weight": 7}, ME))
    assert errors == {"": "it would break aliases/best: cannot follow a weight of 7"}


def picky_aliases() -> Any:
    def compile(resource: Any, view: Any) -> Any:
        live = compile_alias(resource, view)
        if live.spec.weight == 7:
            raise ValueError("cannot follow a weight of 7")
        return live

    return replace(ALIASES, compile=compile)


async def test_what_no_longer_compiles_is_absent_listed_and_can_be_mended(make_engine: MakeEngine) -> None:
    lenient = await make_engine((KINDS[0], replace(MODELS, compile=lambda resource, view: resource), *KINDS[2:]))
    await with_credential(lenient)
    await lenient.create("models", model("gone", upstream="uncompilable"), ME)
    await lenient.create("models", model("fine"), ME)
    await lenient.create("aliases", {"id": "best", "target": "gone"}, ME)

    engine = await make_engine()
    assert engine.snapshot.callable("gone") is None
    assert engine.snapshot.callable("best") is None
    assert {key: why.reason for key, why in engine.broken.items()} == {
        ("models", "gone"): "no plugin brings `uncompilable`",
        ("aliases", "best"): "its target gone is not usable",
    }
    assert engine.snapshot.callable("fine") is not None
    assert (await engine.get("models", "gone"))["upstream"] == "uncompilable"
    await engine.patch("models", "gone", {"upstream": "there-again"}, ME)
    assert engine.broken == {}
    assert engine.snapshot.callable("best").spec.upstream == "there-again"


async def test_a_stored_spec_that_no_plugin_reads_any_more_is_broken_not_fatal(make_engine: MakeEngine) -> None:
    engine = await make_engine()
    await with_credential(engine)
    await engine.create("models", model(), ME)
    other = msgspec.defstruct("Other", [("credential_id", str), ("region", str)], forbid_unknown_fields=True)
    newer = await make_engine(
        (
            KINDS[0],
            replace(MODELS, spec=other, validate=lambda new, view, by: (), compile=lambda it, view: it),
            *KINDS[2:],
        )
    )
    assert set(newer.broken) == {("models", "gpt")}
    assert (await newer.get("models", "gpt"))["upstream"] == "gpt-4o"
    await newer.replace("models", "gpt", {"credential_id": "main", "region": "eu"}, ME)
    assert newer.broken == {}


async def test_stale_versions_are_refused_and_racing_writes_all_land(make_engine: MakeEngine) -> None:
    first, second = await make_engine(), await make_engine()
    await with_credential(first)
    await first.create("models", model(), ME)
    with pytest.raises(PreconditionFailed):
        await second.patch("models", "gpt", {"weight": 2}, Terms(operator("x"), expect={9}))
    await asyncio.gather(
        *(
            engine.patch("models", "gpt", {"headers": {f"h{index}-{number}": "x"}}, ME)
            for index, engine in enumerate((first, second))
            for number in range(3)
        )
    )
    assert len((await first.get("models", "gpt"))["headers"]) == 6


async def test_two_hundred_racing_creates_make_one(make_engine: MakeEngine) -> None:
    engines = [await make_engine() for _ in range(4)]
    body = {"id": "one", "source": {"backend": "vault", "path": "p"}}
    results = await asyncio.gather(
        *(engines[number % 4].create("credentials", body, ME) for number in range(200)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert {type(result) for result in results if isinstance(result, Exception)} == {Conflict}


async def test_secrets_are_masked_kept_and_replaced(engine: ResourceEngine) -> None:
    await with_credential(engine)
    shown = await engine.get("credentials", "main")
    assert shown["source"]["values"]["api_key"] == f"{MASK}wxyz"
    await engine.replace("credentials", "main", {**shown, "note": "edited"}, ME)
    assert live_key(engine) == SECRET
    await engine.replace("credentials", "main", {"source": {"backend": "sealed"}}, ME)
    assert live_key(engine) == SECRET
    await engine.patch("credentials", "main", {"source": {"values": {"org": "acme"}}}, ME)
    assert live_key(engine) == SECRET
    assert (await engine.get("credentials", "main"))["source"]["values"]["org"] == MASK
    await engine.patch("credentials", "main", {"source": {"values": {"api_key": "sk-new"}}}, ME)
    assert live_key(engine) == "sk-new"
    await engine.restore("credentials", "main", 1, ME)
    assert live_key(engine) == SECRET


def live_key(engine: ResourceEngine) -> str:
    return str(engine.snapshot.live("credentials", "main").spec.source.values["api_key"])


async def test_a_mask_of_nothing_is_refused(engine: ResourceEngine) -> None:
    body = {"id": "x", "source": {"backend": "sealed", "values": {"api_key": f"{MASK}wxyz"}}}
    assert set(await refused(engine.create("credentials", body, ME))) == {"/source/values/api_key"}
    await with_credential(engine)
    errors = await refused(engine.patch("credentials", "main", {"source": {"values": {"api_key": f"{MASK}abcd"}}}, ME))
    assert set(errors) == {"/source/values/api_key"}


async def test_an_optional_secret_goes_with_null_and_stays_when_left_out(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await engine.create("models", model(token="t-0123456789-last"), ME)
    await engine.replace("models", "gpt", {"credential_id": "main", "upstream": "other"}, ME)
    assert engine.snapshot.live("models", "gpt").spec.token == "t-0123456789-last"
    await engine.replace("models", "gpt", {"credential_id": "main", "upstream": "other", "token": None}, ME)
    assert engine.snapshot.live("models", "gpt").spec.token is None


async def test_without_a_sealer_a_secret_is_refused_and_the_rest_works(make_engine: MakeEngine) -> None:
    engine = await make_engine(sealer=None)
    errors = await refused(
        engine.create("credentials", {"id": "x", "source": {"backend": "sealed", "values": {"k": "v"}}}, ME)
    )
    assert "a credential backend that can seal" in errors["/source/values/k"]
    await engine.create("credentials", {"id": "x", "source": {"backend": "vault", "path": "p"}}, ME)


async def test_another_master_key_breaks_what_it_cannot_open_and_reseal_mends(make_engine: MakeEngine) -> None:
    await with_credential(await make_engine(sealer=ToySealer(b"one")))
    assert set((await make_engine(sealer=ToySealer(b"two"))).broken) == {("credentials", "main")}
    both = await make_engine(sealer=ToySealer(b"one", b"two"))
    assert await both.reseal(operator("tester")) == 1
    assert await both.reseal(operator("tester")) == 0
    assert live_key(both) == SECRET


async def test_versions_read_back_and_restore_even_after_deletion(engine: ResourceEngine) -> None:
    await with_credential(engine)
    await engine.patch("credentials", "main", {"note": "two"}, Terms(operator("ann")))
    await engine.delete("credentials", "main", ME)
    with pytest.raises(NotFound):
        await engine.get("credentials", "main")
    versions = await engine.versions("credentials", "main")
    assert [(it["version"], it["deleted"], it["actor"]) for it in versions] == [
        (3, True, "tester"),
        (2, False, "ann"),
        (1, False, "tester"),
    ]
    assert (await engine.version("credentials", "main", 1))["note"] == ""
    written = await engine.restore("credentials", "main", 2, ME)
    assert written.view is not None
    assert (written.version, written.view["note"]) == (4, "two")
    assert live_key(engine) == SECRET
    with pytest.raises(Conflict):
        await engine.restore("credentials", "main", 3, ME)
    with pytest.raises(NotFound):
        await engine.restore("credentials", "main", 99, ME)


async def test_the_same_again_is_no_new_version(engine: ResourceEngine) -> None:
    await with_credential(engine)
    assert (await engine.replace("credentials", "main", await engine.get("credentials", "main"), ME)).version == 1
    assert (await engine.patch("credentials", "main", {"source": {"values": {"api_key": SECRET}}}, ME)).version == 1
    await engine.create("models", model(tags=["a"]), ME)
    assert (await engine.replace("models", "gpt", model(tags=["a"]), ME)).version == 1


async def test_a_generated_key_is_shown_once_and_its_hash_never(engine: ResourceEngine) -> None:
    written = await engine.create("tickets", {"name": "ci"}, ME)
    assert written.id.startswith("ticket_")
    assert written.once["key"].startswith("tk_")
    assert written.view is not None
    assert {"hash", "key"}.isdisjoint(written.view)
    replaced = await engine.replace("tickets", written.id, {**written.view, "name": "cd"}, ME)
    assert replaced.once == {}
    errors = await refused(engine.patch("tickets", written.id, {"status": "active", "prefix": "no"}, ME))
    assert set(errors) == {"/prefix"}


async def test_actions_run_and_check_their_input(engine: ResourceEngine) -> None:
    id = (await engine.create("tickets", {}, ME)).id
    assert (await engine.act("tickets", id, "regenerate", {"reason": "lost"}, ME)).once["key"]
    assert set(await refused(engine.act("tickets", id, "regenerate", {"raeson": "lost"}, ME))) == {"/reason", "/raeson"}
    assert (await engine.act("tickets", id, "suspend", None, ME)).version == 3
    assert (await engine.act("tickets", id, "suspend", None, ME)).version == 3
    assert await refused(engine.act("tickets", id, "suspend", {"x": 1}, ME))
    assert await refused(engine.act("tickets", id, "regenerate", {"reason": "x"}, ME)) == {
        "": "only an active ticket has a key to replace"
    }
    with pytest.raises(NotFound, match="suspend"):
        await engine.act("tickets", id, "supend", None, ME)


async def test_lists_page_filter_and_search(engine: ResourceEngine) -> None:
    await with_credential(engine)
    for number in range(7):
        await engine.create("models", model(f"m{number}", weight=number % 2, enabled=number != 3), ME)
    seen: list[str] = []
    cursor = None
    while True:
        page = await engine.page("models", cursor=cursor, limit=3)
        seen += [it["id"] for it in page.data]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [f"m{number}" for number in range(7)]
    odd = await engine.page("models", equals={"weight": "1", "enabled": "true"}, limit=500)
    assert [it["id"] for it in odd.data] == ["m1", "m5"]
    assert [it["id"] for it in (await engine.page("models", word="M4")).data] == ["m4"]
    assert (await engine.page("models", equals={"weight": "1"}, limit=2)).next_cursor
    for bad in ("token", "nope", "hash"):
        with pytest.raises(InvalidRequest):
            await engine.page("models", equals={bad: "x"})
    for cursor in ("x", "====", "é", "bW9kZWxzLw", "Y3JlZGVudGlhbHMvYQ", "\0"):
        with pytest.raises(InvalidRequest):
            await engine.page("models", cursor=cursor)


async def test_file_owned_resources_are_read_only(engine: ResourceEngine) -> None:
    body = {"id": "x", "source": {"backend": "vault", "path": "p"}}
    await engine.create("credentials", body, ME, owner="file:team/creds.toml")
    for write in (
        engine.patch("credentials", "x", {"note": "n"}, ME),
        engine.delete("credentials", "x", ME),
        engine.restore("credentials", "x", 1, ME),
    ):
        with pytest.raises(Conflict, match=r"team/creds\.toml"):
            await write


async def test_plugins_read_and_write_through_their_face(engine: ResourceEngine) -> None:
    face = PluginResources(engine)
    heard: list[Any] = []
    face.on_change("credentials", lambda name, live: heard.append((name, live and live.spec.note)))
    await face.create(
        "credentials", "c", {"source": {"backend": "sealed", "values": {"k": SECRET}}}, by=operator("plugin:x")
    )
    await face.update("credentials", "c", {"note": "hi"}, by=operator("plugin:x"))
    resource = await face.get("credentials", "c")
    assert resource is not None
    assert SECRET not in repr(resource)
    await face.delete("credentials", "c", by=operator("plugin:x"))
    assert await face.get("credentials", "c") is None
    assert heard == [("c", ""), ("c", "hi"), ("c", None)]
    created = await face.create("tickets", None, {}, by=operator("plugin:x"))
    assert created["key"].startswith("tk_")


def test_wrong_declarations_are_reported_together() -> None:
    clash = msgspec.defstruct("Clash", [("version", int), ("x", int)])
    with pytest.raises(PluginError) as caught:
        ResourceEngine(None, [replace(MODELS, spec=clash, name="Bad Name"), MODELS, MODELS], None)  # type: ignore[arg-type]
    assert len(caught.value.failures) == 3
    with pytest.raises(PluginError, match="its `scope` has `team`, which is no field of Model"):
        ResourceEngine(None, [replace(MODELS, scope=("team",))], None)  # type: ignore[arg-type]
    seen = Observed(type=msgspec.defstruct("Seen", [("owner", str, "")]), read=lambda ids: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(PluginError, match="Seen must name `owner` otherwise"):
        ResourceEngine(None, [replace(MODELS, observed=seen)], None)  # type: ignore[arg-type]


async def test_what_somebody_is_bounded_to_is_all_there_is(engine: ResourceEngine) -> None:
    for id, name in (("a", "red"), ("b", "blue"), ("c", "red")):
        await engine.create("credentials", {"id": id, "source": {"backend": "vault", "path": "p"}, "note": name}, ME)
    await engine.patch("credentials", "c", {"note": "blue"}, ME)
    bounded = ResourceEngine(engine._store, [replace(it, scope=("note",)) if it.name == "credentials" else it for it in KINDS],
                             engine.ambient, engine.vault.sealer)  # fmt: skip
    await bounded.start()
    red = Scope(allowed=True, filter={"note": ("red",)})
    terms = Terms(operator("red"), scope=red)
    assert ["a"] == [it["id"] for it in (await bounded.page("credentials", scope=red)).data]
    assert [1] == [it["version"] for it in await bounded.versions("credentials", "a", scope=red)]
    for id in ("b", "c", "none"):
        for attempt in (
            bounded.get("credentials", id, red),
            bounded.versions("credentials", id, scope=red),
            bounded.version("credentials", id, 1, red),
            bounded.restore("credentials", id, 1, terms),
            bounded.patch("credentials", id, {"note": "red"}, terms),
            bounded.delete("credentials", id, terms),
        ):
            with pytest.raises(NotFound):
                await attempt
    await engine.delete("credentials", "c", ME)
    assert [1] == [it["version"] for it in await bounded.versions("credentials", "c", scope=red)], "it was theirs once"
    with pytest.raises(NotFound):
        await bounded.restore("credentials", "c", 2, terms)
    await bounded.restore("credentials", "c", 1, terms)
    assert "red" == (await bounded.get("credentials", "c", red))["note"]
    unbounded = await bounded.page("models", scope=red)
    assert [] == unbounded.data, "a kind without a scope has nothing for who is bounded"


class Counter(Struct, frozen=True, forbid_unknown_fields=True):
    count: int = 0


class Visit(Struct, frozen=True, forbid_unknown_fields=True):
    counter_id: str
    weight: int = 1


def count_up(spec: Mapping[str, Any]) -> list[RelatedWrite]:
    one = RelatedWrite("counters", str(spec.get("counter_id")), lambda found: {**found, "count": found["count"] + 1})
    return [one] * int(spec["weight"])


COUNTED = (
    ResourceKind(name="counters", title="counter", spec=Counter),
    ResourceKind(name="visits", title="visit", spec=Visit, also=count_up),
)


async def test_racing_creates_that_change_the_same_resource_all_land(
    make_engine: MakeEngine, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store.read

    async def read_and_let_others_write(kind: str, id: str) -> Any:
        found = await read(kind, id)
        await asyncio.sleep(0)
        return found

    monkeypatch.setattr(store, "read", read_and_let_others_write)
    one, other = await make_engine(COUNTED), await make_engine(COUNTED)
    await one.create("counters", {"id": "c"}, ME)
    visits = [
        engine.create("visits", {"id": f"v{i}", "counter_id": "c"}, ME) for i, engine in enumerate([one, other] * 3)
    ]
    assert 6 == len(await asyncio.gather(*visits))
    found = await one.find("counters", "c")
    assert found is not None
    assert {"count": 6} == msgspec.json.decode(found.spec)


async def test_several_changes_of_one_write_to_a_resource_are_laid_over_each_other(make_engine: MakeEngine) -> None:
    engine = await make_engine(COUNTED)
    await engine.create("counters", {"id": "c"}, ME)
    await engine.create("visits", {"id": "v", "counter_id": "c", "weight": 3}, ME)
    found = await engine.find("counters", "c")
    assert found is not None
    assert ({"count": 3}, 2) == (msgspec.json.decode(found.spec), found.version)
