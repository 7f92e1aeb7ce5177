"""No credential field of any provider type is found where it has no business, though the upstream sends all of them back;
and nothing an upstream says becomes an event of its own in a stream.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct

from matrix.clients import CLIENTS
from matrix.providers import rows
from matrix.run import PLUGINS
from matrix.scenarios import Wish
from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.faultup.dialects import sigv4

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
BASIC = base64.b64encode(b"canary-client-id:canary-gigachat-secret").decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "a-project",
    "private_key_id": "canary0private0key0id",
    "client_email": "canary@project.iam.gserviceaccount.com",
    "private_key": PEM,
}
FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "openai": ("openai", {"api_key": "canary1openai0key8a"}),
    "openai_compatible": ("openai_compatible", {"api_key": "canary2compatible0key8a"}),
    "azure_openai": ("azure_openai", {"api_key": "canary3azure0key8a"}),
    "azure_token": ("azure_openai", {"access_token": "canary4azure0token8a"}),
    "azure_entra": (
        "azure_openai",
        {"tenant_id": "a-tenant", "client_id": "an-application", "client_secret": "canary5entra0secret8a"},
    ),
    "anthropic": ("anthropic", {"api_key": "canary6anthropic0key8a"}),
    "bedrock": (
        "bedrock",
        {
            "access_key_id": sigv4.ACCESS_KEY,
            "secret_access_key": sigv4.SECRET_KEY,
            "session_token": "canary9session0token8a",
        },
    ),
    "bedrock_key": ("bedrock", {"api_key": "canary10bedrock0key8a"}),
    "vertex": ("vertex", {"service_account": json.dumps(ACCOUNT)}),
    "vertex_fields": ("vertex", {"client_email": ACCOUNT["client_email"], "private_key": PEM}),
    "vertex_token": ("vertex", {"access_token": "canary11vertex0token8a"}),
    "ai_studio": ("ai_studio", {"api_key": "canary12studio0key8a"}),
    "gigachat": ("gigachat", {"access_token": "canary13gigachat0token8a"}),
    "gigachat_key": ("gigachat", {"auth_key": BASIC}),
}
"""Every way to hold a credential: whose row it is, and its fields."""

NOT_SECRET = {"tenant_id", "client_id", "client_email"}
TOKENS = ("azure_entra", "vertex", "vertex_fields", "gigachat_key")
"""Which are traded for a token first."""


def secrets_of(name: str) -> list[str]:
    """Return what must not be seen: each secret field, and pieces of those that have several lines."""
    found = []
    for field, value in FIELDS[name][1].items():
        if field == "service_account":
            found += [ACCOUNT["private_key_id"]]
        if field in {"service_account", "private_key"}:
            found += PEM.splitlines()[2:5]
        elif field not in NOT_SECRET:
            found.append(value)
    return found


class Heard(Struct):
    """Everything that came out, by where."""

    places: dict[str, bytes]

    def add(self, place: str, data: bytes | str) -> None:
        """Keep it."""
        self.places[place] = self.places.get(place, b"") + (data.encode() if isinstance(data, str) else data)

    def answer(self, place: str, answer: httpx.Response) -> None:
        """Keep an answer, with its head."""
        self.add(place, f"{answer.status_code} {answer.headers.raw} {answer.text}")

    def hits(self) -> list[tuple[str, str, str]]:
        """Name the secrets that were found, and where."""
        found = []
        for name in FIELDS:
            for secret in secrets_of(name):
                raw = secret.encode()
                forms = (raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="))
                found += [
                    (place, name, secret[:24])
                    for place, data in self.places.items()
                    if any(form in data for form in forms)
                ]
        return found


def echoes(said: str) -> list[Script]:
    """Write what an upstream does that sends back what it was sent: in bodies of every vendor's shape, and in headers."""
    line = said.replace("\n", " ")
    quoted = json.dumps(line)[1:-1]
    head = {
        "x-echo": line[:2000],
        "www-authenticate": f"Bearer {line[:2000]}",
        "x-request-id": line[:60],
        "retry-after": "1",
    }
    head |= {"request-id": line[:60], "apim-request-id": line[:60], "x-amzn-requestid": line[:60]}
    errors = [
        f'{{"error":{{"message":"{quoted}","type":"{quoted}","param":"{quoted}","code":"{quoted}","status":"{quoted}"}}}}',
        f'{{"type":"error","error":{{"type":"invalid_request_error","message":"{quoted}"}},"request_id":"{quoted}"}}',
        f'{{"message":"{quoted}","status":400,"__type":"{quoted}"}}',
        f"<html>{line}</html>",
    ]
    scripts = [
        Script(status=status, body=body, headers=head)
        for status, body in zip((400, 401, 403, 404, 429, 500, 503, 400), errors * 2, strict=True)
    ]
    scripts += [Script(body=body, headers=head) for body in errors]
    event = f"data: {errors[0]}\n\n", f"event: error\ndata: {errors[1]}\n\n"
    return [*scripts, *(Script(events=(one,), headers=head) for one in event)]


async def provide(gateway: Daemon, upstream: FaultUpstream, name: str, bundle: Path) -> None:
    """Make a provider of a credential."""
    row = rows(upstream)[FIELDS[name][0]]
    settings = dict(row.settings)
    if row.type == "gigachat":
        settings["auth_url"] = f"{upstream.url}/api/v2/oauth"
    if row.type == "azure_openai":
        settings["authority"] = upstream.url
    source = {"backend": "encrypted", "values": FIELDS[name][1]}
    await gateway.create("credentials", id=name, type=row.type, source=source)
    url = f"{upstream.url}{row.base}"
    members = {"type": row.type, "base_url": url, "credential_id": name, "settings": settings, "ca_bundle": str(bundle)}
    await gateway.create("providers", id=name, **members)


async def converse(gateway: Daemon, upstream: FaultUpstream, name: str, heard: Heard) -> None:
    """Have everything that can fail fail in every dialect, and ask what an operator asks."""
    said = " ".join(FIELDS[name][1].values())
    row = rows(upstream)[FIELDS[name][0]]
    model = f"{name}/{row.prefix}fault-ok"
    headers = {**gateway.auth, "anthropic-version": "2023-06-01"}
    if name in TOKENS:  # the first thing asked for is a token
        upstream.script(echoes(said)[0], path="oauth" if row.type == "gigachat" else "token")
        refused = await gateway.chat(model=model)
        assert 503 == refused.status_code, refused.text
        heard.answer("client chat", refused)
    tried = await gateway.admin.post(f"/credentials/{name}/test")
    assert tried.json()["ok"], (name, tried.text)
    heard.answer("admin", tried)
    good = await gateway.chat(model=model)
    assert 200 == good.status_code, good.text
    for place, script in enumerate(echoes(said)):
        for dialect, client in CLIENTS.items():
            body = client.ask(model, Wish(), stream=bool(place % 2))
            if body is not None:
                upstream.script(script)
                heard.answer(f"client {dialect}", await gateway.http.post(client.path, json=body, headers=headers))
        assert [] == list(upstream._queue), "each was asked for, and told"
    for place, script in enumerate(echoes(said)[:12]):
        upstream.script(script, path="models")
        path = f"/providers/{name}/models"
        told = await (gateway.admin.post(f"/credentials/{name}/test") if place % 2 else gateway.admin.get(path))
        heard.answer("admin", told)
        upstream._queue.clear()
    for path in (f"/credentials/{name}", f"/credentials/{name}/versions", f"/providers/{name}"):
        heard.answer("admin", await gateway.admin.get(path))
    bad = {"source": {"backend": "encrypted", "values": {**FIELDS[name][1], "api_key": [said]}}}
    merge = {"content-type": "application/merge-patch+json"}
    heard.answer("admin", await gateway.admin.patch(f"/credentials/{name}", json=bad, headers=merge))


AT_ONCE = {"SWITCHGEAR__GATEWAY__ROUTING__PACE": "false", "SWITCHGEAR__GATEWAY__ROUTING__RETRY__COOL_MOST": "0.001"}
"""Refusals are asked for on purpose: no target is given the rest that it asks for."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def heard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Heard]:
    directory = tmp_path_factory.mktemp("gateway")
    found = Heard({})
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    environ = {"LOG_LEVEL": "debug", **AT_ONCE}
    async with FaultUpstream(tls=context) as upstream, daemon(directory, plugins=PLUGINS, environ=environ) as gateway:
        public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        upstream.desk.public_keys[ACCOUNT["client_email"]] = public
        upstream.desk.issued |= {FIELDS["gigachat"][1]["access_token"]: 2e9}
        for name in FIELDS:
            await provide(gateway, upstream, name, directory / "ca.pem")
            await converse(gateway, upstream, name, found)
        found.answer("usage", await gateway.admin.get("/usage", params={"limit": 500}))
        found.answer("usage", await gateway.admin.get("/usage/summary", params={"by": "model,outcome,cause"}))
        head = {"authorization": gateway.admin.headers["authorization"]}
        for path in ("/metrics", "/health/detailed", "/openapi.json"):
            found.answer(path, await gateway.http.get(path, headers=head))
        gateway.process.terminate()
        await asyncio.to_thread(gateway.process.wait)
        found.add("logs", gateway.process.output())
        for path in (directory / "data").rglob("*"):
            if path.is_file():
                found.add(f"file {path.name}", path.read_bytes())
    yield found


async def test_no_credential_is_found_where_it_has_no_business(heard: Heard) -> None:
    assert [] == heard.hits()


async def test_the_search_would_find_them(heard: Heard) -> None:
    for place in ("client chat", "client messages", "client responses", "admin", "usage", "logs", "/metrics"):
        assert len(heard.places[place]) > 1000, place
    for name in FIELDS:
        assert f"{name}/".encode() in heard.places["logs"], "each was tried, and failed"
        assert secrets_of(name)
    other = Heard({})
    other.add("here", FIELDS["anthropic"][1]["api_key"])
    assert [("here", "anthropic", "canary6anthropic0key8a")] == other.hits()
