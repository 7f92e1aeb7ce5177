"""What a gateway tells of itself: kinds with their schemas, plugins, settings, and what is found by a word."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switchgear.testing.gateway import ADMIN_KEY, Running, running


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def test_kinds_are_told_to_everybody_with_what_a_form_needs(gateway: Running) -> None:
    listed = {it["name"]: it for it in (await gateway.http.get("/admin/v1/kinds")).json()["data"]}
    assert {"credentials", "providers", "models", "api-keys", "aliases"} <= listed.keys()
    assert ("Access", "gateway", False, ["key"]) == tuple(
        listed["api-keys"][name] for name in ("group", "id", "restorable", "once")
    )
    [reference] = listed["models"]["references"]
    assert ("provider_id", "providers") == (reference["field"], reference["kind"])
    assert ["proxy_auth"] == listed["providers"]["secrets"]
    told = (await gateway.http.get("/admin/v1/kinds/models")).json()
    create = told["$defs"][told["schemas"]["create"]["$ref"].rpartition("/")[2]]
    assert {"id", "provider_id", "provider_model"} == set(create["required"])
    rotate = (await gateway.http.get("/admin/v1/kinds/api-keys")).json()["schemas"]["actions"]["rotate"]
    assert rotate["$ref"].startswith("#/$defs/")
    assert 404 == (await gateway.http.get("/admin/v1/kinds/none")).status_code


async def test_plugins_are_told_with_what_they_bring(gateway: Running) -> None:
    data = {it["name"]: it for it in (await gateway.admin.get("/plugins")).json()["data"]}
    assert 0 == data["openai"]["faults"]
    [provider] = [it for it in data["anthropic"]["brings"] if it["kind"] == "providers"]
    assert "version" in provider["settings"]["$defs"]["AnthropicProviderSettings"]["properties"]
    [held] = [it for it in data["encrypted"]["brings"] if it["kind"] == "credential_backends"]
    assert held["settings"] is not None, "what a credential's source is made of"
    assert 401 == (await gateway.http.get("/admin/v1/plugins")).status_code


async def test_settings_are_told_with_their_origin_and_without_secrets(gateway: Running) -> None:
    answer = await gateway.admin.get("/config/settings")
    rows = {it["path"]: it for it in answer.json()["data"]}
    assert ADMIN_KEY not in answer.text
    assert ("••••", "environment ADMIN_KEY") == (
        rows["gateway.admin_key"]["value"],
        rows["gateway.admin_key"]["origin"],
    )
    assert "default" == rows["gateway.log_level"]["origin"]
    assert "plugins.toml" in rows["gateway.drain_grace"]["origin"]


async def test_resources_are_found_by_id_first_and_by_a_part_of_the_name(gateway: Running) -> None:
    key, _ = await gateway.new_key(name="Mobile app")
    found = (await gateway.admin.get("/search", params={"q": key})).json()["data"]
    assert [("api-keys", key, "Mobile app")] == [(it["kind"], it["id"], it["name"]) for it in found]
    found = (await gateway.admin.get("/search", params={"q": "mobile"})).json()["data"]
    assert [key] == [it["id"] for it in found]
    found = (await gateway.admin.get("/search", params={"q": "echo", "limit": "1"})).json()["data"]
    assert 1 == len(found)
    _, secret = await gateway.new_key()
    asked = await gateway.http.get("/admin/v1/search?q=echo", headers={"authorization": f"Bearer {secret}"})
    assert 403 == asked.status_code
    assert 400 == (await gateway.admin.get("/search")).status_code


async def test_what_names_a_resource_is_told(gateway: Running) -> None:
    await gateway.create("aliases", id="quick", target="echo")
    await gateway.create("aliases", id="other", target="quick")
    found = (await gateway.admin.get("/references", params={"kind": "aliases", "id": "quick"})).json()["data"]
    assert [("aliases", "other")] == [(it["kind"], it["id"]) for it in found]
    assert ["quick"] == [it["id"] for it in (await gateway.admin.get("/references?kind=models&id=echo")).json()["data"]]
    assert 404 == (await gateway.admin.get("/references?kind=aliases&id=nothing")).status_code
    assert 404 == (await gateway.admin.get("/references?kind=nothings&id=echo")).status_code
    _, secret = await gateway.new_key()
    asked = await gateway.http.get(
        "/admin/v1/references?kind=models&id=echo", headers={"authorization": f"Bearer {secret}"}
    )
    assert 403 == asked.status_code
