"""Short-lived tokens and rotated secrets through a whole gateway: GigaChat's, Entra's and Google's token endpoints."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct

from matrix.providers import rows
from matrix.run import PLUGINS
from matrix.scenarios import CASES, SAYS
from support.fake_vault import FakeVault
from support.faultup import FaultUpstream
from support.gateway import SQLITE, Running, eventually, running
from switchgear.testing.ambient import Ahead

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("gigachat", "azure_openai", "vertex")
KEYS = ("openai", "openai_compatible", "azure_openai", "anthropic", "bedrock", "ai_studio")
"""Provider types whose credential can be a key that goes out as it is."""


class Account(Struct):
    """What a token is got for. `rotate` makes the vendor take another secret instead, and returns it."""

    secret: dict[str, str]
    rotate: Callable[[], dict[str, str]]
    base: str
    prefix: str
    settings: dict[str, Any]


class World:
    """The gateway, an upstream behind TLS that also hands out tokens, and their common clock."""

    def __init__(self, run: Running, upstream: FaultUpstream, ahead: Ahead, bundle: Path) -> None:
        self.run, self.upstream, self.ahead, self.bundle = run, upstream, ahead, bundle
        self.count = 0
        self.keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]

    def account(self, kind: str) -> Account:
        """Make an account at the vendor."""
        self.count += 1
        desk, url, name = self.upstream.desk, self.upstream.url, f"account-{self.count}"
        if kind == "gigachat":

            def key(word: str) -> dict[str, str]:
                made = base64.b64encode(f"{name}:{word}".encode()).decode()
                desk.basic_keys -= {one for one in desk.basic_keys if base64.b64decode(one).startswith(name.encode())}
                desk.basic_keys.add(made)
                return {"auth_key": made}

            settings = {"auth_url": f"{url}/api/v2/oauth"}
            return Account(key("first-secret"), lambda: key("second-secret"), "/api/v1", "GigaChat-2-", settings)
        if kind == "azure_openai":

            def client(word: str) -> dict[str, str]:
                desk.client_secrets[name] = word
                return {"tenant_id": "a-tenant", "client_id": name, "client_secret": word}

            settings = {"authority": url}
            return Account(client("first-secret"), lambda: client("second-secret"), "", "gpt-5-", settings)

        def account(place: int) -> dict[str, str]:
            mail, made = f"{name}@project.iam.gserviceaccount.com", self.keys[place]
            public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            desk.public_keys[mail] = public
            members = {"type": "service_account", "project_id": "a-project", "client_email": mail}
            return {"service_account": json.dumps(members | {"private_key": private, "token_uri": f"{url}/token"})}

        settings = {"location": "europe-west4", "token_uri": f"{url}/token"}
        return Account(account(0), lambda: account(1), "", "gemini-2.5-flash-", settings)

    async def provide(self, kind: str, account: Account, source: dict[str, Any] | None = None) -> str:
        """Make a provider of an account; return its id, of which `ask` asks."""
        id = f"p{self.count}"
        source = source or {"backend": "encrypted", "values": account.secret}
        await self.run.create("credentials", id=id, type=kind, source=source)
        url, bundle = f"{self.upstream.url}{account.base}", str(self.bundle)
        members = {"type": kind, "base_url": url, "ca_bundle": bundle, "settings": account.settings}
        await self.run.create("providers", id=id, credential_id=id, **members)
        await self.run.create("models", id=id, provider_id=id, provider_model=f"{account.prefix}fault-text")
        return id

    async def ask(self, id: str, *, stream: bool = False) -> httpx.Response:
        """Have a chat."""
        return await self.run.chat(model=id, stream=stream)

    @property
    def tokens(self) -> int:
        """How many tokens were handed out or refused."""
        return sum(entry.path.endswith(("/token", "/oauth")) for entry in self.upstream.ledger.entries)

    async def health(self, id: str) -> dict[str, dict[str, Any]]:
        """Return how what belongs to a provider stands."""
        headers = {"authorization": self.run.admin.headers["authorization"]}
        told = (await self.run.http.get("/health/detailed", headers=headers)).json()["credentials"]
        return {one["credential_id"]: one for one in told if one["credential_id"] in {id, f"token of provider {id}"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("gateway")
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    ahead = Ahead()
    async with FaultUpstream(tls=context) as upstream, running(directory, plugins=PLUGINS, ambient=ahead) as run:
        upstream.desk.now = ahead.now_s
        upstream.register("text", CASES["text"].script)
        yield World(run, upstream, ahead, directory / "ca.pem")


@pytest.mark.parametrize("kind", KINDS)
async def test_many_first_requests_share_one_token(world: World, kind: str) -> None:
    id = await world.provide(kind, world.account(kind))
    before = world.tokens
    answers = await asyncio.gather(*(world.ask(id, stream=bool(number % 2)) for number in range(50)))
    assert {200} == {answer.status_code for answer in answers}
    assert {"1"} == {answer.headers["x-switchgear-attempts"] for answer in answers}
    assert 1 == world.tokens - before


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_is_renewed_before_it_ends_and_nobody_waits(world: World, kind: str) -> None:
    id = await world.provide(kind, world.account(kind))
    assert 200 == (await world.ask(id)).status_code
    before = world.tokens
    first = world.upstream.ledger.entries[-1].headers["authorization"]
    world.ahead.skip(0.7 * 3600)
    assert 200 == (await world.ask(id)).status_code
    assert (0, first) == (world.tokens - before, world.upstream.ledger.entries[-1].headers["authorization"])
    world.ahead.skip(0.15 * 3600)

    async def renewed() -> bool:
        answer = await world.ask(id)
        assert (200, "1") == (answer.status_code, answer.headers["x-switchgear-attempts"])
        return any(entry.headers.get("authorization", first) != first for entry in world.upstream.ledger.entries[-1:])

    await eventually(renewed)
    assert 1 == world.tokens - before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lifetime_s", [0, 1])
async def test_a_token_that_hardly_lasts_is_still_good_for_a_request(world: World, kind: str, lifetime_s: int) -> None:
    id = await world.provide(kind, world.account(kind))
    world.upstream.desk.lifetime_s = lifetime_s + 1  # at the vendor's; to us it says a second less is left each time
    try:
        for _ in range(3):
            assert 200 == (await world.ask(id)).status_code
            world.ahead.skip(lifetime_s + 1)
    finally:
        world.upstream.desk.lifetime_s = 3600


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_is_refused_is_fetched_anew_once(world: World, kind: str) -> None:
    id = await world.provide(kind, world.account(kind))
    assert 200 == (await world.ask(id)).status_code
    world.ahead.skip(11)  # so soon after a fetch it would be the vendor's fault
    world.upstream.desk.revoke()
    before = world.tokens
    answer = await world.ask(id)
    assert (200, "2") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text
    assert SAYS == answer.json()["choices"][0]["message"]["content"]
    world.ahead.skip(11)
    world.upstream.desk.revoke()
    answers = await asyncio.gather(*(world.ask(id, stream=bool(number % 2)) for number in range(20)))
    assert {200} == {answer.status_code for answer in answers}
    assert 2 == world.tokens - before
    record = await world.run.usage_of(answer.headers["x-request-id"])
    assert ("complete", 2) == (record["outcome"], record["attempts"])


async def test_a_token_that_is_refused_costs_no_attempt_that_a_chain_does_not_have(world: World) -> None:
    id = await world.provide(KINDS[0], world.account(KINDS[0]))
    await world.run.create("chains", id=f"once-{id}", steps=[{"target": id}], budget={"attempts": 1})
    assert 200 == (await world.ask(id)).status_code
    world.ahead.skip(11)
    world.upstream.desk.revoke()
    answer = await world.ask(f"once-{id}")
    assert ("1", "auth") == (
        answer.headers["x-switchgear-attempts"],
        (await world.run.usage_of(answer.headers["x-request-id"]))["cause"],
    )
    assert 200 == (await world.ask(f"once-{id}")).status_code, "the next has the new token"


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_token_it_says_so_and_health_names_it(world: World, kind: str) -> None:
    id = await world.provide(kind, world.account(kind))
    world.upstream.desk.down = True
    refused = await world.ask(id)
    assert (503, "credential_unavailable") == (refused.status_code, refused.json()["error"]["code"])
    told = await world.health(id)
    token = told[f"token of provider {id}"]
    assert ("unavailable", "good") == (token["status"], told[id]["status"])
    assert f"token of provider {id}" in token["why"]
    world.upstream.desk.down = False
    world.ahead.skip(30)
    assert 200 == (await world.ask(id)).status_code
    assert "good" == (await world.health(id))[f"token of provider {id}"]["status"]


@pytest.mark.parametrize("kind", KINDS)
async def test_while_no_tokens_are_given_out_a_good_one_keeps_serving(world: World, kind: str) -> None:
    id = await world.provide(kind, world.account(kind))
    assert 200 == (await world.ask(id)).status_code
    world.upstream.desk.down = True
    before = world.tokens
    world.ahead.skip(0.9 * 3600)

    async def failing() -> bool:
        assert 200 == (await world.ask(id)).status_code
        return "failing" == (await world.health(id))[f"token of provider {id}"]["status"]

    await eventually(failing)
    for _ in range(5):
        assert 200 == (await world.ask(id)).status_code
    assert 1 == world.tokens - before  # tries are spaced out
    world.upstream.desk.down = False
    world.ahead.skip(60)

    async def good() -> bool:
        assert 200 == (await world.ask(id)).status_code
        return "good" == (await world.health(id))[f"token of provider {id}"]["status"]

    await eventually(good)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_rotated_account_is_picked_up_when_the_old_one_is_refused(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.account(kind)
    variables = {field: f"ROTATED_{world.count}_{field.upper()}" for field in account.secret}
    for field, value in account.secret.items():
        monkeypatch.setenv(variables[field], value)
    id = await world.provide(kind, account, {"backend": "env", "variables": variables})
    assert 200 == (await world.ask(id)).status_code
    for field, value in account.rotate().items():
        monkeypatch.setenv(variables[field], value)
    world.upstream.desk.revoke()
    world.ahead.skip(11)
    answer = await world.ask(id)
    assert (200, "2") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text


async def rotates(world: World, kind: str, source: dict[str, Any], rotate: Callable[[], None]) -> None:
    row = rows(world.upstream)[kind]
    settings = {name: value for name, value in row.settings.items() if kind != "azure_openai"}
    account = Account({}, dict, row.base, row.prefix, settings)
    id = await world.provide(row.type, account, source)
    answer = await world.ask(id)
    assert (200, "1") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text
    rotate()
    world.ahead.skip(11)
    answer = await world.ask(id)
    assert (200, "2") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text
    answer = await world.ask(id, stream=True)
    assert (200, "1") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text


@pytest.mark.parametrize("kind", KEYS)
async def test_a_rotated_key_is_picked_up_when_the_old_one_is_refused(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.count += 1
    old, new, name = f"old-key-{world.count}", f"new-key-{world.count}", f"ROTATED_{world.count}"
    monkeypatch.setenv(name, old)

    def rotate() -> None:
        monkeypatch.setenv(name, new)
        world.upstream.desk.bad_keys.add(old)

    await rotates(world, kind, {"backend": "env", "variables": {"api_key": name}}, rotate)


async def test_a_key_rotated_in_vault_is_picked_up_when_the_old_one_is_refused(tmp_path: Path) -> None:
    ahead = Ahead()
    async with FakeVault() as vault, FaultUpstream() as upstream:
        store = f'{SQLITE}\nvault = {{ enabled = true, url = "{vault.url}", token = "root" }}'
        upstream.register("text", CASES["text"].script)
        async with running(tmp_path, store=store, plugins=PLUGINS, ambient=ahead) as run:
            world = World(run, upstream, ahead, tmp_path)
            for kind in ("anthropic", "azure_openai"):
                vault.put(f"secret/data/{kind}", {"api_key": f"old-{kind}"})
                await rotates_in_vault(world, vault, kind)


async def rotates_in_vault(world: World, vault: FakeVault, kind: str) -> None:
    row = rows(world.upstream)[kind]
    await world.run.create("credentials", id=kind, type=kind, source={"backend": "vault", "path": kind})
    url = f"{world.upstream.url}{row.base}"
    await world.run.create("providers", id=kind, type=kind, base_url=url, credential_id=kind)
    await world.run.create("models", id=kind, provider_id=kind, provider_model=f"{row.prefix}fault-text")
    assert 200 == (await world.ask(kind)).status_code
    vault.put(f"secret/data/{kind}", {"api_key": f"new-{kind}"})
    world.upstream.desk.bad_keys.add(f"old-{kind}")
    world.ahead.skip(11)
    answer = await world.ask(kind)
    assert (200, "2") == (answer.status_code, answer.headers["x-switchgear-attempts"]), answer.text
