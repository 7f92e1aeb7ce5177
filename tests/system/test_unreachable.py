"""Why a provider cannot be reached reaches the operator wherever he may look, and the client nowhere."""

import ssl
from pathlib import Path

import pytest
import trustme

from kernel.upstream.peer import Line, Peer, answers
from support.gateway import SOURCE, Running, running
from support.ports import free_port

WHY = {
    "refused": "nothing listens there",
    "dns": "does not resolve",
    "certificate": "certificate was refused",
    "name": "not valid for",
    "plain": "does not speak TLS",
}


def tls(name: str, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def plain(line: Line) -> None:
    await line.reader.read(100)
    await line.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def lookup(host: str) -> list[str]:
    if host == "nowhere.test":
        raise OSError
    return ["127.0.0.1"]


@pytest.mark.parametrize("case", WHY)
async def test_the_reason_is_told_to_operators_alone(case: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = {"certificate": tls("api.test", trustme.CA()), "name": tls("other.test", authority)}.get(case)
    script = plain if case == "plain" else answers
    async with running(tmp_path, lookup=lookup) as gateway, Peer(script, tls=context) as peer:
        url = {
            "refused": f"http://127.0.0.1:{free_port()}/v1",
            "dns": "http://nowhere.test/v1",
        }.get(case, f"https://api.test:{peer.port}/v1")
        await gateway.create("credentials", id="c", type="openai", source=SOURCE)
        members = {"type": "openai", "base_url": url, "credential_id": "c", "ca_bundle": str(tmp_path / "ca.pem")}
        await gateway.create("providers", id="p", **members)
        await gateway.create("models", id="m", provider_id="p", provider_model="x")
        await told_everywhere(gateway, WHY[case])


async def told_everywhere(gateway: Running, why: str) -> None:
    answer = await gateway.chat()
    assert (502, "The provider cannot be reached.") == (answer.status_code, answer.json()["error"]["message"])
    assert why not in str(answer.headers)
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert why in record["why"][-1]
    tested = (await gateway.admin.post("/credentials/c/test")).json()
    assert why in tested["detail"]
    assert why in (await gateway.admin.get("/providers/p/models")).text
    health = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    assert any(why in (target["unreachable"] or "") for target in health["targets"])
