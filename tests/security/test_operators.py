"""What operators met elsewhere and are spared here. Most rows of that list have their tests beside what they are about."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import trustme
from click.testing import CliRunner

from support.faultup import FaultUpstream, Script
from support.gateway import SOURCE, Running, eventually, running
from switchgear.cli import main


def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(made)
    return made


async def test_certificates_are_renewed_under_load_without_a_failed_call(tmp_path: Path) -> None:
    bundle, old, new = tmp_path / "bundle.pem", trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(str(bundle))
    tls = context(old)
    async with FaultUpstream(tls=tls) as upstream, running(tmp_path, lookup=lambda _: ["127.0.0.1"]) as gateway:
        upstream.register("brief", Script(keep_alive=False))  # each call shakes hands anew
        url = f"https://api.test:{upstream.port}/v1"
        await gateway.create("credentials", id="t", type="openai", source=SOURCE)
        await gateway.create("providers", id="t", type="openai", base_url=url, credential_id="t", ca_bundle=str(bundle))
        await gateway.create("models", id="t", provider_id="t", provider_model="fault-brief")
        statuses: list[int] = []
        renewed = asyncio.Event()

        async def call() -> None:
            while not (renewed.is_set() and len(statuses) > 60):
                statuses.append((await gateway.chat(model="t")).status_code)

        calling = [asyncio.create_task(call()) for _ in range(4)]
        await eventually(lambda: len(statuses) > 20)
        new.cert_pem.write_to_path(str(bundle))
        new.issue_cert("api.test").configure_cert(tls)
        renewed.set()
        await asyncio.gather(*calling)
        assert {200} == set(statuses)


async def test_a_certificate_that_was_missing_at_the_start_heals_by_itself(
    tmp_path: Path, upstream: FaultUpstream
) -> None:
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    text = bundle.read_bytes()
    async with running(tmp_path, upstream) as gateway:
        await gateway.patch("/providers/p", ca_bundle=str(bundle))
        assert 200 == (await gateway.chat()).status_code
    bundle.unlink()
    async with running(tmp_path, upstream) as gateway:
        answer = await gateway.chat()
        assert (503, "model_unavailable") == (answer.status_code, answer.json()["error"]["code"])
        bundle.write_bytes(text)
        assert 200 == (await gateway.admin.post("/config/reload")).status_code
        assert 200 == (await gateway.chat()).status_code


async def test_an_expired_key_says_so(gateway: Running) -> None:
    id, key = await gateway.new_key(expires_at="2020-01-01T00:00:00Z")
    shown = (await gateway.admin.get(f"/api-keys/{id}")).json()
    assert "expired" == shown["status"]
    listed = (await gateway.admin.get("/api-keys", params={"status": "expired"})).json()["data"]
    assert [id] == [it["id"] for it in listed]
    assert 200 == (await gateway.admin.put(f"/api-keys/{id}", json=shown)).status_code
    assert 401 == (await gateway.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code
    await gateway.patch(f"/api-keys/{id}", expires_at=None)
    assert 200 == (await gateway.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code


async def test_names_may_hold_colons(gateway: Running) -> None:
    await gateway.create("models", id="llama3:8b", provider_id="p", provider_model="llama3:8b")
    await gateway.create("aliases", id="local/llama:latest", target="llama3:8b")
    await gateway.patch("/providers/p", model_mapping={"qwen3:0.6b": "qwen3:0.6b"})
    for name in ("llama3:8b", "local/llama:latest", "qwen3:0.6b", "p/phi4:14b"):
        assert 200 == (await gateway.chat(model=name)).status_code, name
    assert "llama3:8b" == (await gateway.admin.get("/models/llama3:8b")).json()["id"]


async def test_a_permission_that_could_never_match_is_refused(gateway: Running) -> None:
    for pattern in ("", "*m", "m*x", "**", "m?", "[ab]", "*/m"):
        body = {"name": "k", "permissions": {"models": [pattern]}}
        answer = await gateway.admin.post("/api-keys", json=body)
        assert (422, "/permissions/models/0") == (answer.status_code, answer.json()["errors"][0]["pointer"]), pattern


QUESTIONS = {
    "/usage?limit=501": "`limit`: Expected `int` <= 500",
    "/usage?limit=0": "`limit`: Expected `int` >= 1",
    "/usage?outcome=nope": "`outcome` is one of complete, ",
    "/usage/summary?outcome=nope&by=model": "`outcome` is one of complete, ",
    "/usage?since=1700000000": "`since` is a time",
    "/usage?since=yesterday": "`since` is a time",
    "/usage?modle=x": "There is no filter `modle`",
    "/api-keys?live=True": "`live` is `true` or `false`",
    "/api-keys?metadata=x": "filter by a member of it",
    "/models?nope=1": "cannot be filtered by `nope`",
}


async def test_a_bad_question_is_told_what_may_be_asked(gateway: Running) -> None:
    for path, said in QUESTIONS.items():
        answer = await gateway.admin.get(path)
        assert (400, True) == (answer.status_code, said in answer.json()["detail"]), answer.text


async def test_where_env_is_read_is_said(gateway: Running) -> None:
    body: dict[str, Any] = {"id": "e", "type": "openai_compatible", "base_url": {"env": "URL"}}
    answer = await gateway.admin.post("/providers", json=body)
    assert (422, True) == (answer.status_code, "there only where a secret stands" in answer.text)


def test_plugins_that_a_file_leaves_out_are_named(tmp_path: Path) -> None:
    file = tmp_path / "plugins.toml"
    file.write_text("[plugins.echo]\nenabled = true\n[plugins.limits]\nenabled = false\n")
    said = CliRunner().invoke(main, ["config", "check", "--config", str(file)]).output
    [line] = [line for line in said.splitlines() if "those that it leaves out are off" in line]
    assert ("api_keys" in line, "limits" in line, "echo" in line) == (True, False, False)
