"""Names that lead to other names, through a whole gateway with two upstreams, made over the admin API while it runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from support.process import switchgear


@pytest.fixture
async def other() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream(seed=1) as up:
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, other: FaultUpstream) -> AsyncIterator[Running]:
    """Two providers: `p` with the model `m`, `q` with the model `n`."""
    async with running(tmp_path, upstream, gateway='model_prefix = "corp"') as run:
        await run.add_second(other)
        yield run


async def answered_by(gateway: Running, model: str, **members: Any) -> str:
    answer = await gateway.chat(model=model, **members)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-switchgear-model"])


async def refused(gateway: Running, kind: str, **body: Any) -> dict[str, str]:
    """Create in vain; return what is wrong by pointer."""
    answer = await gateway.admin.post(f"/{kind}", json=body)
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


async def test_an_alias_answers_under_a_name_with_dots_and_slashes(gateway: Running, upstream: FaultUpstream) -> None:
    made = await gateway.admin.post(
        "/aliases", json={"id": "acme/gpt-4o.1", "target": "m", "config": {"temperature": 0.3}}
    )
    assert 201 == made.status_code
    assert "m" == await answered_by(gateway, "acme/gpt-4o.1")
    [entry] = await upstream.ledger.settled()
    assert b'"temperature":0.3' in entry.body
    listed = (await gateway.http.get("/v1/models", headers=gateway.auth)).json()["data"]
    assert ["acme/gpt-4o.1", "echo", "m", "n"] == [model["id"] for model in listed]
    one = await gateway.http.get("/v1/models/acme/gpt-4o.1", headers=gateway.auth)
    assert ("acme/gpt-4o.1", "p") == (one.json()["id"], one.json()["owned_by"])


async def test_every_admin_route_takes_an_id_with_slashes(gateway: Running) -> None:
    made = await gateway.admin.post("/aliases", json={"id": "acme/gpt", "target": "m"})
    assert "/admin/v1/aliases/acme%2Fgpt" == made.headers["location"]
    path = "/aliases/acme%2Fgpt"
    assert "acme/gpt" == (await gateway.admin.get(path)).json()["id"]
    assert "n" == (await gateway.patch(path, target="n"))["target"]
    assert "n" == await answered_by(gateway, "acme/gpt")
    replaced = await gateway.admin.put(path.replace("%2F", "%2f"), json={"target": "m", "tags": ["x"]})
    assert 200 == replaced.status_code
    assert [3, 2, 1] == [it["version"] for it in (await gateway.admin.get(f"{path}/versions")).json()["data"]]
    assert "n" == (await gateway.admin.get(f"{path}/versions/2")).json()["target"]
    assert "n" == (await gateway.act(f"{path}/restore", version=2))["target"]
    await gateway.create("aliases", id="acme/gpu", target="m")
    first = (await gateway.admin.get("/aliases", params={"limit": "1"})).json()
    following = (await gateway.admin.get("/aliases", params={"limit": "1", "cursor": first["next_cursor"]})).json()
    assert ["acme/gpt", "acme/gpu"] == [first["data"][0]["id"], following["data"][0]["id"]]
    assert 204 == (await gateway.admin.delete(path)).status_code
    assert 404 == (await gateway.admin.get(path)).status_code
    assert 404 == (await gateway.chat(model="acme/gpt")).status_code


async def test_other_ids_are_refused(gateway: Running) -> None:
    for id in ("a//b", "/a", "a/", "a/../b", "a/..", "a b", "a/" + "x" * 50, "%2F"):
        assert ["/id"] == list(await refused(gateway, "aliases", id=id, target="m")), id


async def test_slashes_are_for_aliases_alone(gateway: Running) -> None:
    target = {"model": "m"}
    assert ["/id"] == list(await refused(gateway, "pools", id="a/b", targets=[target]))
    assert 404 == (await gateway.admin.get("/models/a%2Fb")).status_code


async def test_a_pool_splits_and_follows_live_changes(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.create("pools", id="fast", targets=[{"model": "m"}, {"model": "n"}], strategy="round_robin")
    found = Counter([await answered_by(gateway, "fast") for _ in range(10)])
    assert {"m": 5, "n": 5} == found
    await gateway.patch("/pools/fast", targets=[{"model": "m", "weight": 0}, {"model": "n"}])
    assert "n" == await answered_by(gateway, "fast")
    other.default = Script(status=500)
    assert "m" == await answered_by(gateway, "fast")
    await gateway.patch("/pools/fast", fallback=False)
    assert 502 == (await gateway.chat(model="fast")).status_code
    assert len(upstream.ledger) == 6


async def test_a_pool_keeps_a_session_at_one_target(gateway: Running) -> None:
    await gateway.create("pools", id="s", targets=[{"model": "m"}, {"model": "n"}], sticky="session")
    homes = {}
    for user in range(12):
        homes[user] = {await answered_by(gateway, "s", user=f"u{user}") for _ in range(2)}
    assert all(len(home) == 1 for home in homes.values())
    assert {"m", "n"} == {name for home in homes.values() for name in home}


async def test_a_chain_goes_on_through_nested_names(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.default = Script(status=500)
    await gateway.create("aliases", id="acme/m", target="m")
    await gateway.create("pools", id="pool", targets=[{"model": "acme/m"}])
    steps = [{"target": "pool", "max_retries": 0, "on": ["5xx"]}, {"target": "q/direct", "max_retries": 0}]
    await gateway.create("chains", id="safe", steps=steps, budget={"attempts": 4, "seconds": 10})
    assert "q/direct" == await answered_by(gateway, "safe")


async def test_what_is_named_must_be_there_and_stays(gateway: Running) -> None:
    steps = [{"target": "m"}, {"target": "nobody"}]
    assert ["/steps/1/target"] == list(await refused(gateway, "chains", id="c", steps=steps))
    pool = {"targets": [{"model": "none/x"}, {"model": "m"}, {"model": "m"}]}
    assert ["/targets/0/model"] == list(await refused(gateway, "pools", id="p1", **pool))
    pool["targets"][0] = {"model": "n"}
    assert ["/targets/2/model"] == list(await refused(gateway, "pools", id="p1", **pool))
    await gateway.create("aliases", id="a", target="q/direct")
    await gateway.create("aliases", id="b", target="a")
    for path in ("/providers/q", "/aliases/a"):
        assert 409 == (await gateway.admin.delete(path)).status_code
    assert "q/direct" == await answered_by(gateway, "b")
    merge = {"content-type": "application/merge-patch+json"}
    circle = await gateway.admin.patch("/aliases/a", json={"target": "b"}, headers=merge)
    assert 422 == circle.status_code
    assert "back to itself" in circle.text


async def test_names_providers_share_are_a_pool_by_their_weights(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    assert 404 == (await gateway.chat(model="gpt")).status_code
    await gateway.patch("/providers/p", model_mapping={"gpt": "gpt-upstream"}, weight=1)
    assert "p/gpt-upstream" == await answered_by(gateway, "gpt")
    await gateway.patch("/providers/q", model_mapping={"gpt": "gpt-other"}, weight=0)
    await gateway.create("aliases", id="best", target="gpt")
    assert "p/gpt-upstream" == await answered_by(gateway, "best")
    upstream.default = Script(status=500)
    assert "q/gpt-other" == await answered_by(gateway, "best")
    upstream.default = Script()
    await gateway.patch("/providers/q", weight=1_000_000)
    found = Counter([await answered_by(gateway, "best") for _ in range(5)])
    assert {"q/gpt-other": 5} == found
    await gateway.patch("/providers/q", enabled=False)
    assert "p/gpt-upstream" == await answered_by(gateway, "best")
    listed = (await gateway.http.get("/v1/models", headers=gateway.auth)).json()["data"]
    assert {"gpt", "best"} <= {model["id"] for model in listed}
    await gateway.patch("/providers/q", model_mapping=None)
    merge = {"content-type": "application/merge-patch+json"}
    last = await gateway.admin.patch("/providers/p", json={"model_mapping": None}, headers=merge)
    assert 422 == last.status_code
    assert "aliases/best" in last.text
    assert "p/gpt-upstream" == await answered_by(gateway, "best")
    assert len(other.ledger) == 6


async def test_a_name_never_means_two_things(gateway: Running) -> None:
    await gateway.patch("/providers/p", model_mapping={"gpt": "x", "vendor/gpt": "y"})
    assert ["/id"] == list(await refused(gateway, "aliases", id="gpt", target="m"))
    assert ["/id"] == list(await refused(gateway, "aliases", id="q/gpt", target="m"))
    assert ["/id"] == list(await refused(gateway, "providers", id="vendor", type="echo"))
    await gateway.create("aliases", id="acme/gpt", target="m")
    assert ["/id"] == list(await refused(gateway, "providers", id="acme", type="echo"))
    mapped = {"id": "r", "type": "echo", "model_mapping": {"m": "x", "q/z": "x", "a b": "x"}}
    problems = await refused(gateway, "providers", **mapped)
    assert {"/model_mapping/m", "/model_mapping/q~1z", "/model_mapping/a b"} == set(problems)
    taken = await gateway.admin.post("/pools", json={"id": "m", "targets": [{"model": "n"}]})
    assert 409 == taken.status_code


async def test_permissions_are_about_the_name_the_client_used(gateway: Running) -> None:
    await gateway.create("aliases", id="mine", target="m")
    _, gateway.key = await gateway.new_key(permissions={"models": ["mine"]})
    assert "m" == await answered_by(gateway, "mine")
    assert "m" == await answered_by(gateway, "corp/mine")
    for name in ("m", "corp/m", "p/upstream-model"):
        assert 404 == (await gateway.chat(model=name)).status_code
    listed = (await gateway.http.get("/v1/models", headers=gateway.auth)).json()["data"]
    assert ["mine"] == [model["id"] for model in listed]


async def test_the_prefix_of_the_gateway_may_come_before_every_name(gateway: Running) -> None:
    assert "m" == await answered_by(gateway, "corp/m")
    assert "q/direct" == await answered_by(gateway, "corp/q/direct")
    assert 404 == (await gateway.chat(model="corp/nobody")).status_code
    assert 404 == (await gateway.chat(model="corp/corp/m")).status_code
    one = await gateway.http.get("/v1/models/corp/m", headers=gateway.auth)
    assert "m" == one.json()["id"]
    _, gateway.key = await gateway.new_key(permissions={"models": ["corp/*"]})
    assert 404 == (await gateway.chat(model="corp/m")).status_code


async def test_explain_shows_the_steps_and_why(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        await gateway.create("aliases", id="acme/e", target="echo")
        steps = [{"target": "acme/e", "max_latency_ms": 1500, "on": ["429"]}, {"target": "echo/other"}]
        await gateway.create("chains", id="safe", steps=steps, budget={"attempts": 3})
    data = str(tmp_path / "data")
    argv = [switchgear()[0], "explain", "safe", "--config", str(tmp_path / "plugins.toml"), "--data-dir", data]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    done = (await process.communicate())[0].decode()
    assert [
        "safe is enabled",
        "  1. echo at echo, without a credential; 1.5 s to the first token; the next one on rate_limit",
        "  2. other at echo, without a credential",
        "  within 3 attempts in all",
        "  because safe is a chain: acme/e, then echo/other",
        "  because acme/e is an alias of echo",
        "  because model echo is at provider echo",
        "  because model echo/other is at provider echo",
    ] == done.splitlines()
