"""A stored secret goes where it was entered to go, whoever may change providers."""

from support.faultup import FaultUpstream
from support.gateway import PROVIDER_KEY, SOURCE, Running

ELSEWHERE = "http://127.0.0.2:1/v1"


async def test_another_address_is_refused_until_the_secret_is_entered_again(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    refused = await gateway.admin.patch("/providers/p", json={"base_url": ELSEWHERE}, headers=merge)
    assert 422 == refused.status_code
    assert "/base_url" == refused.json()["errors"][0]["pointer"]
    assert "credentials/c/enter" in refused.json()["errors"][0]["detail"]
    await gateway.act("/credentials/c/enter", source=SOURCE)
    assert ELSEWHERE == (await gateway.patch("/providers/p", base_url=ELSEWHERE))["base_url"]


async def test_a_new_provider_cannot_take_it_elsewhere_either(gateway: Running):
    body = {"id": "thief", "type": "openai", "base_url": ELSEWHERE, "credential_id": "c"}
    assert 422 == (await gateway.admin.post("/providers", json=body)).status_code
    await gateway.admin.delete("/models/m")
    assert 204 == (await gateway.admin.delete("/providers/p")).status_code
    assert 422 == (await gateway.admin.post("/providers", json=body)).status_code


async def test_through_a_proxy_is_elsewhere(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    refused = await gateway.admin.patch("/providers/p", json={"proxy": "http://127.0.0.1:3128"}, headers=merge)
    assert 422 == refused.status_code


async def test_what_is_masked_or_kept_does_not_count_as_entered(gateway: Running):
    shown = (await gateway.admin.get("/credentials/c")).json()
    [place] = shown["hosts"]
    again = await gateway.admin.post("/credentials/c/enter", json={"source": shown["source"]})
    assert 422 == again.status_code
    merge = {"content-type": "application/merge-patch+json"}
    added = {"source": {"values": {"other": "a-second-value-0123456789"}}}
    await gateway.admin.patch("/credentials/c", json=added, headers=merge)
    assert [place] == (await gateway.admin.get("/credentials/c")).json()["hosts"]
    assert 422 == (await gateway.admin.patch("/credentials/c", json={"hosts": []}, headers=merge)).status_code


async def test_a_wholly_new_secret_is_free_to_go(gateway: Running):
    source = {"backend": "encrypted", "values": {"api_key": "another-secret-0123456789"}}
    answer = await gateway.admin.put("/credentials/c", json={"type": "openai", "source": source})
    assert [] == answer.json()["hosts"]
    assert ELSEWHERE == (await gateway.patch("/providers/p", base_url=ELSEWHERE))["base_url"]
    assert ["http://127.0.0.2:1"] == (await gateway.admin.get("/credentials/c")).json()["hosts"]


async def test_a_credential_is_for_one_provider_type(gateway: Running):
    body = {"id": "q", "type": "openai_compatible", "base_url": "http://127.0.0.1:1", "credential_id": "c"}
    refused = await gateway.admin.post("/providers", json=body)
    assert 422 == refused.status_code
    assert "/credential_id" in [error["pointer"] for error in refused.json()["errors"]]


async def test_the_provider_that_was_never_moved_goes_on(gateway: Running, upstream: FaultUpstream):
    await gateway.admin.post(
        "/providers", json={"id": "x", "type": "openai", "base_url": ELSEWHERE, "credential_id": "c"}
    )
    assert 200 == (await gateway.chat()).status_code
    assert PROVIDER_KEY not in (await gateway.admin.get("/credentials/c")).text


async def test_a_bad_provider_that_would_bind_a_secret_is_told_where_it_is_bad(gateway: Running):
    await gateway.create("credentials", id="fresh", type="openai", source=SOURCE)
    body = {"id": "q", "type": "openai", "credential_id": "fresh", "base_url": "ftp://127.0.0.1"}
    refused = await gateway.admin.post("/providers", json=body)
    assert 422 == refused.status_code
    assert ["/base_url"] == [error["pointer"] for error in refused.json()["errors"]]
