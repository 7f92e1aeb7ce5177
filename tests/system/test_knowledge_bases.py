"""Workflows that search: a knowledge base is another plugin's, and steps know it by its kind alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.distributions import installed
from support.faultup import FaultUpstream, Script
from support.gateway import Running, running

PLUGIN = """
    from msgspec import Struct
    from switchgear.contracts.content import Hit
    from switchgear.contracts.resource import ResourceKind

    class Shelf(Struct, frozen=True):
        model_id: str
        texts: dict[str, str]

    class Live:
        def __init__(self, resource, view):
            self.id = resource.id
            self.spec = resource.spec

        async def find(self, query, *, top_k, threshold, filter, at):
            await at.call("embedding", {"input": [query]}, model=self.spec.model_id)
            words = set(query.lower().split())
            found = []
            for id, text in self.spec.texts.items():
                score = len(words & set(text.lower().split())) / len(words)
                if score >= threshold and all(id.startswith(it) for it in filter.values()):
                    found.append(Hit(id, text, score))
            return sorted(found, key=lambda hit: -hit.score)[:top_k]

    class Shelves(switchgear.Plugin):
        api = 1

        def switchgear_resource_kinds(self):
            kind = "knowledge-bases"
            return [ResourceKind(name=kind, title="knowledge base", spec=Shelf, compile=Live)]
"""
ENABLED = "\n".join(f"{name} = {{ enabled = true }}" for name in ("workflows", "prompts", "shelves"))
TEXTS = {"a1": "the sea is salt", "a2": "the sky is blue", "b1": "the sea is deep"}


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("shelves", {"shelves": "Shelves"}, PLUGIN)
        async with running(tmp_path, upstream, plugins=ENABLED) as run:
            await run.create("models", id="e", provider_id="p", provider_model="text-embedding-3-small")
            await run.create("knowledge-bases", id="kb", model_id="e", texts=TEXTS)
            yield run


async def done(run: Running, id: str, **input: Any) -> dict[str, Any]:
    answer = await run.http.post(f"/v1/workflows/{id}/execute", json={"input": input}, headers=run.auth)
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


async def test_what_a_step_finds_is_ranked_bounded_and_paid_by_who_runs_it(gateway: Running) -> None:
    inputs = {"query": "${request:q}", "top_k": 2, "similarity_threshold": 0.5, "filter": {"begins": "${request:of:}"}}
    step = {"name": "find", "type": "knowledge_base_search", "settings": {"knowledge_base_id": "kb"}, "inputs": inputs}
    await gateway.create("workflows", id="w", steps=[step])
    made = await done(gateway, "w", q="the sea is")
    assert [("a1", 1.0), ("b1", 1.0)] == [(it["id"], it["score"]) for it in made["output"]["documents"]]
    assert "[1] the sea is salt\n\n[2] the sea is deep" == made["output"]["text"]
    assert ["b1"] == [it["id"] for it in (await done(gateway, "w", q="the sea is", of="b"))["output"]["documents"]]
    [embedded] = await gateway.usage(**{"operation": "embedding", "labels.parent": made["id"]})
    assert ("find", embedded["input_tokens"]) == (embedded["labels"]["step"], made["steps"][0]["input_tokens"])
    answer = await gateway.admin.delete("/knowledge-bases/kb")
    assert 409 == answer.status_code, "a workflow searches it"


@pytest.mark.parametrize("template", ["rag-answer", "corrective-rag"])
async def test_templates_of_retrieval_answer_from_it(gateway: Running, upstream: FaultUpstream, template: str) -> None:
    body = {"id": "t", "model": "m", "knowledge_base": "kb"}
    made = await gateway.admin.post(f"/workflows/templates/{template}", json=body)
    assert 201 == made.status_code, made.text
    upstream.default = Script(content='{"score": 1.0, "reason": "it says so"}')
    assert (await done(gateway, "t", message="the sea is", question="the sea is", query="the sea is"))["output"]
    assert "the sea is salt" in "".join(entry.body.decode() for entry in upstream.ledger.entries)
