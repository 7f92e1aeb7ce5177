"""Who changed what: every write of a resource is listed, the newest first, for those who may see it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.gateway import Running, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), plugins="audit = { enabled = true }") as run:
        yield run


async def page(run: Running, query: str = "") -> dict[str, Any]:
    answer = await run.admin.get(f"/audit{query}")
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


@pytest.mark.asyncio(loop_scope="module")
async def test_each_write_says_who_made_it(gateway: Running) -> None:
    await gateway.create("aliases", id="one", target="echo")
    await gateway.patch("/aliases/one", enabled=False)
    await gateway.admin.delete("/aliases/one")
    found = (await page(gateway, "?kind=aliases&id=one"))["data"]
    assert [("deleted", 3), ("changed", 2), ("created", 1)] == [(it["action"], it["version"]) for it in found]
    assert {"admin-key"} == {it["by"] for it in found}
    assert found == sorted(found, key=lambda it: (-it["revision"], it["at"]))
    assert found == (await page(gateway, "?by=admin-key&id=one"))["data"]
    assert [] == (await page(gateway, "?by=nobody"))["data"]
    versions = (await gateway.admin.get("/aliases/one/versions")).json()["data"]
    assert [it["at"] for it in found] == [it["updated_at"] for it in versions]


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_follow_one_another_and_split_no_write(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from switchgear_plugins.audit import routes  # noqa: PLC0415 - its bounds are made small here

    for n in range(12):
        await gateway.create("aliases", id=f"a{n}", target="echo")
    whole = (await page(gateway, "?limit=500"))["data"]
    for revisions, read in ((1, 20_000), (3, 20_000), (500, 4)):
        monkeypatch.setattr(routes, "_REVISIONS", revisions)
        monkeypatch.setattr(routes, "_MOST_READ", read)
        seen: list[Any] = []
        cursor = ""
        while cursor is not None:
            part = await page(gateway, f"?limit=5{cursor and '&cursor=' + cursor}")
            seen += part["data"]
            cursor = part["next_cursor"]
        assert whole == seen
    assert 400 == (await gateway.admin.get("/audit?cursor=x")).status_code


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_for_those_who_may(gateway: Running) -> None:
    assert 401 == (await gateway.http.get("/admin/v1/audit")).status_code
    assert 403 == (await gateway.http.get("/admin/v1/audit", headers=gateway.auth)).status_code
