from pathlib import Path
from typing import Any, ClassVar

from switchgear_doors import DoorsDialect

from switchgear.testing.context import PluginContext
from switchgear.testing.dialect_suite import DialectSuite

DOORS: dict[str, Any] = {"doors": {}}


class TestDoorsDialect(DialectSuite):
    bodies: ClassVar = {}

    def make(self) -> DoorsDialect:
        return DoorsDialect(PluginContext("doors", Path()))


async def test_files_are_kept_each_their_own(gateway: Any) -> None:
    async with gateway(plugins=DOORS) as run:
        form = {"file": ("notes.txt", b"some bytes " * 20_000, "text/plain")}
        made = await run.http.post("/doors/files", files=form, headers=run.auth)
        assert (201, 220_000) == (made.status_code, made.json()["bytes"])
        path = f"/doors/files/{made.json()['id']}"
        assert b"some bytes " * 20_000 == (await run.http.get(path, headers=run.auth)).content
        _, other = await run.new_key()
        assert 404 == (await run.http.get(path, headers={"authorization": f"Bearer {other}"})).status_code
        assert 204 == (await run.http.delete(path, headers=run.auth)).status_code
        assert 404 == (await run.http.get(path, headers=run.auth)).status_code


async def test_documents_are_ranked_and_the_call_recorded(gateway: Any) -> None:
    async with gateway(plugins=DOORS) as run:
        asked = {"model": "echo", "query": "red apples", "documents": ["blue", "red apples", "apples"], "top_n": 2}
        answer = await run.http.post("/doors/rerank", json=asked, headers=run.auth)
        assert [1, 2] == [it["index"] for it in answer.json()["results"]]
        [record] = await run.usage(operation="rerank")
        assert "echo" == record["model"]
        _, other = await run.new_key(permissions={"models": ["gpt-*"]})
        refused = await run.http.post("/doors/rerank", json=asked, headers={"authorization": f"Bearer {other}"})
        assert (404, "model_not_found") == (refused.status_code, refused.json()["code"])
