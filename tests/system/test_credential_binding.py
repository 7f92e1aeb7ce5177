"""A stored secret goes where it was entered to go, whoever may change providers."""

from pathlib import Path

import pytest

from support.faultup import FaultUpstream
from support.gateway import PROVIDER_KEY, SOURCE, Running, running
from switchgear.catalogue.bindings import place
from switchgear.contracts.principal import operator
from switchgear.errors import ConfigError
from switchgear.resources.declarations import carry_out, plan
from switchgear_plugins.gitops.files import read_files

ELSEWHERE = "http://127.0.0.2:1/v1"


PLACE = "http://127.0.0.2:1"


async def test_another_address_is_refused_until_the_secret_is_entered_again_for_it(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    refused = await gateway.admin.patch("/providers/p", json={"base_url": ELSEWHERE}, headers=merge)
    assert 422 == refused.status_code
    [first, *_] = refused.json()["errors"]
    assert "/base_url" == first["pointer"]
    assert "credentials/c/enter" in first["detail"]
    assert PLACE in first["detail"]
    await gateway.act("/credentials/c/enter", source=SOURCE, hosts=[PLACE])
    assert ELSEWHERE == (await gateway.patch("/providers/p", base_url=ELSEWHERE))["base_url"]


async def test_entered_again_without_a_word_it_is_for_where_it_was(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    before = (await gateway.admin.get("/credentials/c")).json()["hosts"]
    assert before == (await gateway.act("/credentials/c/enter", source=SOURCE))["hosts"]
    refused = await gateway.admin.patch("/providers/p", json={"base_url": ELSEWHERE}, headers=merge)
    assert 422 == refused.status_code


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


async def test_a_rotated_secret_is_for_the_same_address(gateway: Running):
    before = (await gateway.admin.get("/credentials/c")).json()["hosts"]
    source = {"backend": "encrypted", "values": {"api_key": "another-secret-0123456789"}}
    answer = await gateway.admin.put("/credentials/c", json={"type": "openai", "source": source})
    assert before == answer.json()["hosts"]
    thief = {"id": "thief", "type": "openai", "base_url": ELSEWHERE, "credential_id": "c"}
    assert 422 == (await gateway.admin.post("/providers", json=thief)).status_code


async def test_a_credential_in_use_keeps_its_type(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    anew = {"type": "echo", "source": {"values": {"api_key": "another-secret-0123456789"}}}
    refused = await gateway.admin.patch("/credentials/c", json=anew, headers=merge)
    assert 422 == refused.status_code
    assert "providers/p" in refused.json()["detail"]


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


async def test_a_version_from_before_the_binding_does_not_come_back(gateway: Running):
    for path in (None, "/models/m", "/providers/p", "/credentials/c"):
        if path is not None:
            await gateway.admin.delete(path)
        refused = await gateway.admin.post("/credentials/c/restore", json={"version": 1})
        assert 409 == refused.status_code
        assert "bound" in refused.json()["detail"]
    restored = await gateway.admin.post("/credentials/c/restore", json={"version": 2})
    assert 200 == restored.status_code
    assert restored.json()["hosts"]
    thief = {"id": "thief", "type": "openai", "base_url": ELSEWHERE, "credential_id": "c"}
    assert 422 == (await gateway.admin.post("/providers", json=thief)).status_code


@pytest.mark.parametrize("authority", ["HTTPS://127.0.0.2:1", " https://127.0.0.2:1", "hTTps://127.0.0.2:1/x"])
async def test_an_address_in_the_settings_counts_however_it_is_written(tmp_path: Path, authority: str):
    async with running(tmp_path, plugins="azure_openai = { enabled = true }") as gateway:
        values = {"tenant_id": "t", "client_id": "i", "client_secret": "a-client-secret-0123456789"}
        source = {"backend": "encrypted", "values": values}
        await gateway.create("credentials", id="z", type="azure_openai", source=source)
        await gateway.create("providers", id="z", type="azure_openai", base_url="http://127.0.0.1:1", credential_id="z")
        merge = {"content-type": "application/merge-patch+json"}
        moved = {"settings": {"authority": authority}}
        assert 422 == (await gateway.admin.patch("/providers/z", json=moved, headers=merge)).status_code


def test_places_are_read_as_requests_read_them():
    there = "vertex's own address and https://evil.example:443"
    for written in (
        "https://evil.example",
        "HTTPS://EVIL.example:443/x",
        "https:\\\\evil.example",
        "https:evil.example",
    ):
        assert there == place("vertex", None, None, {"deep": [{"url": written}]})


async def test_a_secret_header_does_not_move_with_its_provider(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    kept = {"x-api-key": "a-header-secret-0123456789"}
    made = await gateway.create("providers", id="h", type="openai", base_url="http://127.0.0.1:1/v1", headers=kept)
    assert 200 == (await gateway.admin.patch("/providers/h", json={"tags": ["a"]}, headers=merge)).status_code
    for away in ({"base_url": ELSEWHERE}, {"proxy": "http://127.0.0.1:3128"}):
        assert 422 == (await gateway.admin.patch("/providers/h", json=away, headers=merge)).status_code
        put = {"type": "openai", "base_url": "http://127.0.0.1:1/v1", "headers": made["headers"], **away}
        assert 422 == (await gateway.admin.put("/providers/h", json=put)).status_code
    renamed = {"base_url": ELSEWHERE, "headers": {"x-api-key": None, "x-api-token": made["headers"]["x-api-key"]}}
    assert 422 == (await gateway.admin.patch("/providers/h", json=renamed, headers=merge)).status_code
    moved = {"base_url": ELSEWHERE, "headers": {"x-api-key": "another-secret-0123456789"}}
    assert 200 == (await gateway.admin.patch("/providers/h", json=moved, headers=merge)).status_code


async def test_a_bad_provider_that_would_bind_a_secret_is_told_where_it_is_bad(gateway: Running):
    await gateway.create("credentials", id="fresh", type="openai", source=SOURCE)
    body = {"id": "q", "type": "openai", "credential_id": "fresh", "base_url": "ftp://127.0.0.1"}
    refused = await gateway.admin.post("/providers", json=body)
    assert 422 == refused.status_code
    assert ["/base_url"] == [error["pointer"] for error in refused.json()["errors"]]


async def test_without_certificates_is_elsewhere(gateway: Running):
    merge = {"content-type": "application/merge-patch+json"}
    refused = await gateway.admin.patch("/providers/p", json={"verify_tls": False}, headers=merge)
    assert 422 == refused.status_code


MERGE = {"content-type": "application/merge-patch+json"}


async def test_the_address_that_one_type_has_is_not_that_of_another(gateway: Running):
    await gateway.create("credentials", id="o", type="openai", source=SOURCE)
    await gateway.create("providers", id="own", type="openai", credential_id="o")
    assert 204 == (await gateway.admin.delete("/providers/own")).status_code
    assert 422 == (await gateway.admin.patch("/credentials/o", json={"type": "anthropic"}, headers=MERGE)).status_code
    anew = {"backend": "encrypted", "values": {"api_key": "another-secret-0123456789"}}
    changed = await gateway.patch("/credentials/o", type="anthropic", source=anew)
    assert [] == changed["hosts"]


async def test_a_secret_nobody_took_anywhere_does_not_change_its_type_either(gateway: Running):
    await gateway.create("credentials", id="o", type="openai", source=SOURCE)
    refused = await gateway.admin.patch("/credentials/o", json={"type": "anthropic"}, headers=MERGE)
    assert 422 == refused.status_code
    assert "entered for the type openai" in refused.text


async def test_a_secret_header_does_not_follow_a_change_of_type(gateway: Running):
    await gateway.create("providers", id="h", type="openai", headers={"x-api-key": "a-header-secret-0123456789"})
    refused = await gateway.admin.patch("/providers/h", json={"type": "anthropic"}, headers=MERGE)
    assert 422 == refused.status_code
    assert "x-api-key" in refused.text


FILE = """
[credentials.filecred]
type = "openai"
source = {{ backend = "encrypted"{values} }}
[providers.good]
type = "openai"
base_url = "{url}"
credential_id = "filecred"
"""


async def apply(gateway: Running, file: Path, text: str) -> None:
    file.write_text(text)  # noqa: ASYNC240 - a few bytes
    resources = gateway.gateway.resources
    by = operator("cli")
    await carry_out(resources, await plan(resources, read_files([file], resources.kinds), by=by, adopt=True), by=by)


async def test_a_secret_from_a_file_goes_where_the_providers_of_the_file_take_it(gateway: Running, tmp_path: Path):
    secret = ', values = { api_key = "sk-canary-of-the-file-0123456789" }'
    await apply(gateway, tmp_path / "r.toml", FILE.format(values=secret, url="http://127.0.0.1:1/v1"))
    assert ["http://127.0.0.1:1"] == (await gateway.admin.get("/credentials/filecred")).json()["hosts"]
    thief = {"id": "thief", "type": "openai", "base_url": ELSEWHERE, "credential_id": "filecred"}
    assert 422 == (await gateway.admin.post("/providers", json=thief)).status_code
    same = {**thief, "base_url": "http://127.0.0.1:1/v1"}
    assert 201 == (await gateway.admin.post("/providers", json=same)).status_code
    assert 204 == (await gateway.admin.delete("/providers/thief")).status_code
    # Who writes the file, secret and all, decides; who leaves the secret out does not know it.
    with pytest.raises(ConfigError, match="was entered for"):
        await apply(gateway, tmp_path / "r.toml", FILE.format(values="", url=ELSEWHERE))
    await apply(gateway, tmp_path / "r.toml", FILE.format(values=secret, url=ELSEWHERE))
    assert [PLACE] == (await gateway.admin.get("/credentials/filecred")).json()["hosts"]


async def test_a_secret_from_a_file_that_no_provider_of_it_takes_goes_nowhere(gateway: Running, tmp_path: Path):
    text = FILE.format(values=', values = { api_key = "sk-canary-of-the-file-0123456789" }', url=ELSEWHERE)
    await apply(gateway, tmp_path / "r.toml", text.partition("[providers")[0])
    thief = {"id": "thief", "type": "openai", "base_url": ELSEWHERE, "credential_id": "filecred"}
    refused = await gateway.admin.post("/providers", json=thief)
    assert 422 == refused.status_code
    assert "defined in the file r.toml" in refused.text


async def test_adopting_a_credential_without_its_secret_does_not_move_it(gateway: Running, tmp_path: Path):
    text = FILE.replace("filecred", "c").format(values="", url=ELSEWHERE)
    with pytest.raises(ConfigError, match="was entered for"):
        await apply(gateway, tmp_path / "r.toml", text)
