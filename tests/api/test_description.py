import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.conftest import AUTHORITY
from kernel.resources.toys import KINDS
from switchgear.admin.admin import create_admin_app
from switchgear.admin.openapi import describe
from switchgear.ambient import Ambient
from switchgear.resources import ResourceEngine
from switchgear_plugins.memory.store import MemoryStore


@pytest.fixture
def store() -> Any:
    """Do without the stores of the other tests: a description needs none, and one is enough to serve it."""
    return MemoryStore()


@pytest.fixture
async def engine(store: Any) -> ResourceEngine:
    await store.open()
    made = ResourceEngine(store, KINDS, Ambient(), None)
    await made.start()
    return made


def described() -> dict[str, Any]:
    return describe({kind.name: kind for kind in KINDS})


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_reference_leads_somewhere() -> None:
    document = described()
    for reference in references(document):
        at = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        assert at


def test_every_generated_route_is_described_and_nothing_else(engine: ResourceEngine) -> None:
    app = create_admin_app(engine, authority=AUTHORITY)
    routes = {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in app.routes
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
        if not handler.opt.get("public")
        and handler.opt.get("resource") not in ("kinds", "search")  # as those of plugins are
    }
    document = described()
    assert routes == {(method.upper(), path) for path, verbs in document["paths"].items() for method in verbs}
    operations = [verb["operationId"] for verbs in document["paths"].values() for verb in verbs.values()]
    assert len(operations) == len(set(operations))


def test_schemas_that_share_a_name_are_told_apart_without_dots() -> None:
    first, second = KINDS[0], replace(KINDS[0], name="others")
    document = describe({kind.name: kind for kind in (first, second)})
    names = document["components"]["schemas"]
    assert not [name for name in names if "." in name]
    assert all(reference.rpartition("/")[2] in names for reference in references(document) if "/schemas/" in reference)
    both = [document["paths"][f"/admin/v1/{kind.name}"]["post"] for kind in (first, second)]
    schemas = [it["requestBody"]["content"]["application/json"]["schema"]["$ref"] for it in both]
    assert len(set(schemas)) == len(schemas)


def test_a_dialect_may_be_called_as_a_kind_is_and_tags_are_told_once() -> None:
    class Namesake:
        name = KINDS[0].name
        inference = routes = ()

    tags = [tag["name"] for tag in describe({kind.name: kind for kind in KINDS}, (), [Namesake()])["tags"]]  # type: ignore[list-item]
    assert len(tags) == len(set(tags))


def test_no_parameter_is_told_twice() -> None:
    for path, verbs in described()["paths"].items():
        for verb in verbs.values():
            told = [it.get("$ref", it.get("name")) for it in verb["parameters"]]
            assert len(told) == len(set(told)), path
            assert "#/components/parameters/Prefix" not in told or "prefix" not in told, path


def test_every_answer_of_a_kind_says_its_schema() -> None:
    for path, verbs in described()["paths"].items():
        for method, verb in verbs.items():
            assert all("content" in it for status, it in verb["responses"].items() if status in ("200", "201")), (
                method,
                path,
            )


def test_schemas_are_concrete() -> None:
    schemas = described()["components"]["schemas"]
    create, view, patch = schemas["TicketCreate"], schemas["Ticket"], schemas["TicketPatch"]
    assert {"id", "name", "model_id"} == set(create["properties"])
    assert create["additionalProperties"] is False
    assert "required" not in patch or patch["required"] == []
    assert {"id", "name", "model_id", "prefix", "status", "version", "created_at", "updated_at", "owner"} == set(
        view["properties"]
    )
    assert view["properties"]["created_at"] == {"type": "string", "format": "date-time"}
    assert "key" in schemas["TicketShownOnce"]["properties"]
    assert schemas["ModelCreate"]["required"] == ["id", "credential_id", "upstream"]
    assert schemas["Regenerate"]["required"] == ["reason"]
    assert set(schemas["ProblemDetails"]["required"]) == {"type", "title", "status", "detail", "request_id"}


async def test_the_description_and_its_page_need_no_key_and_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    client.headers.pop("authorization")
    description = await client.get("/openapi.json")
    assert (description.json()["openapi"], "/admin/v1/weather" in description.json()["paths"]) == ("3.1.0", True)
    assert (
        await client.get("/openapi.json", headers={"if-none-match": description.headers["etag"]})
    ).status_code == 304
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert re.findall(r"<script(?![^>]*\bsrc=\"/)[^>]*>|https?://|//[a-z]", page.text) == []
    for source in re.findall(r'src="([^"]+)"', page.text):
        script = await client.get(source)
        assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert len(script.content) > 500_000
    moved = await client.get("/redoc")
    assert moved.headers["location"] == "/docs"
