"""What a client's own request holds, however odd, is never the gateway's failure."""

from pathlib import Path

import pytest

from support.faultup import FaultUpstream
from support.gateway import Running, running

NAMES = (
    "..",
    "a/../../x",
    "a%2f..%2fx",
    "a?key=1",
    "a\r\nx",
    "publishers/../x/models/y",
    "models/",
    "\uff41",
    "x" * 201,
)
VERTEX = {"id": "v", "type": "vertex", "base_url": "http://127.0.0.1:1", "settings": {"project": "project-a"}}


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages/count_tokens"])
async def test_a_model_name_that_its_provider_cannot_have_is_unknown(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, plugins="vertex = { enabled = true }") as gateway:
        await gateway.create("providers", **VERTEX)
        for name in NAMES:
            body = {"model": f"v/{name}", "messages": [{"role": "user", "content": "x"}], "input": "x"}
            answer = await gateway.http.post(f"/v1/{path}", json=body, headers=gateway.auth)
            assert (404, name) == (answer.status_code, name)
        shown = await gateway.http.get("/v1/models/v/a%3Fb", headers=gateway.auth)
        assert 404 == shown.status_code


async def test_depth_is_the_clients_fault_also_where_it_is_found_late(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, plugins="bedrock = { enabled = true }") as gateway:
        source = {"backend": "encrypted", "values": {"api_key": "k-0123456789"}}
        await gateway.create("credentials", id="b", type="bedrock", source=source)
        settings = {"region": "us-east-1"}
        where = {"base_url": "http://127.0.0.1:1", "credential_id": "b", "settings": settings}
        await gateway.create("providers", id="b", type="bedrock", **where)
        await _deep(gateway)


async def _deep(gateway: Running) -> None:
    ends = set()
    for depth in (*range(100, 900, 100), *range(900, 1000)):
        schema = '{"a":' * depth + "1" + "}" * depth
        tool = f'{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}'
        body = f'{{"model":"b/anthropic.claude-x","messages":[{{"role":"user","content":"x"}}],"tools":[{tool}]}}'
        headers = {**gateway.auth, "content-type": "application/json"}
        ends.add((await gateway.http.post("/v1/chat/completions", content=body, headers=headers)).status_code)
    assert {502} <= ends <= {502, 400}  # how deep the interpreter goes, it says itself
