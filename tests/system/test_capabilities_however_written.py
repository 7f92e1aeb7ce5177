"""What a model cannot do is refused however the client writes it."""

import pytest

from support.faultup import FaultUpstream
from support.gateway import Running

IMAGE = '{"type":"%s","%s":{"url":"data:image/png;base64,AAAA"}}'
PLAIN, ESCAPED = "image_url", "image\\u005furl"


@pytest.mark.parametrize("part", [IMAGE % (PLAIN, PLAIN), IMAGE % (ESCAPED, ESCAPED)])
async def test_an_image_for_a_model_that_is_blind_is_refused(
    gateway: Running, upstream: FaultUpstream, part: str
) -> None:
    await gateway.patch("/models/m", capabilities={"vision": False})
    body = f'{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}'
    headers = {**gateway.auth, "content-type": "application/json"}
    answer = await gateway.http.post("/v1/chat/completions", content=body, headers=headers)
    assert (400, "messages[0].content[0]") == (answer.status_code, answer.json()["error"]["param"])
    assert len(upstream.ledger) == 0


@pytest.mark.parametrize("member", ["tools", "functions"])
async def test_functions_of_a_model_without_tools_are_refused(
    gateway: Running, upstream: FaultUpstream, member: str
) -> None:
    await gateway.patch("/models/m", capabilities={"tools": False})
    answer = await gateway.chat(**{member: [{"name": "f", "parameters": {}}]})
    assert (400, member) == (answer.status_code, answer.json()["error"]["param"])
    assert len(upstream.ledger) == 0


async def test_a_capability_of_any_name_is_kept_for_who_asks_for_it(gateway: Running) -> None:
    await gateway.patch("/models/m", capabilities={"web_search": True, "tools": False})
    target = gateway.gateway.resources.snapshot.callable("m").plan(None).targets[0]  # type: ignore[arg-type, union-attr]
    assert {"web_search", "chat"} <= target.capabilities
    assert (False, frozenset({"tools"})) == ("tools" in target.capabilities, target.lacks)
    answer = await gateway.admin.post(
        "/models", json={"provider_id": "p", "provider_model": "x", "capabilities": {"A b": True}}
    )
    assert 422 == answer.status_code


async def test_an_operation_is_had_or_lacked_by_its_name(gateway: Running) -> None:
    async def wires(**capabilities: bool) -> frozenset[str]:
        await gateway.patch("/models/m", capabilities=None)
        await gateway.patch("/models/m", capabilities=capabilities)
        wires = gateway.gateway.resources.snapshot.callable("m").plan(None).targets[0].wires  # type: ignore[arg-type, union-attr]
        return frozenset(wire for wire in wires if "." not in wire)  # what stands beside an operation goes with it

    assert {"chat", "responses"} == await wires()
    assert {"chat", "responses", "embeddings"} == await wires(embeddings=True)
    assert {"embeddings"} == await wires(embeddings=True, chat=False)
    assert set() == await wires(chat=False)
    assert {"chat", "responses"} == await wires(embeddings=False, flying=True)
