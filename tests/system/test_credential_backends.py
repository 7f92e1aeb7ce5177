"""The credential backends that ask somebody else, as the gateway uses them: kept, renewed, and survived."""

import asyncio
import io
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support import fake_aws, fake_google
from support.fake_aws import ROLE, FakeAws
from support.fake_google import FakeGoogle
from support.fake_vault import FakeVault
from support.faultup import FaultUpstream
from support.gateway import SQLITE, Running, eventually, running
from support.web import Web
from switchgear import NoSettings
from switchgear.cli import main
from switchgear.config import load
from switchgear.contracts.credential import CredentialBackend, Secret
from switchgear.credentials import KeptSecret, SecretKeeper
from switchgear.errors import BootError, SecretUnavailable
from switchgear.kernel import Kernel
from switchgear.plugin import Plugin
from switchgear.telemetry.logs import Logs
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.context import PluginContext
from switchgear_plugins.aws.backend import AwsSource
from switchgear_plugins.aws.plugin import AwsPlugin
from switchgear_plugins.aws_secrets.backend import AwsSecretsSource
from switchgear_plugins.aws_secrets.plugin import AwsSecretsPlugin
from switchgear_plugins.aws_secrets.settings import AwsSecretsSettings
from switchgear_plugins.gcp.backend import GcpSource
from switchgear_plugins.gcp.plugin import GcpPlugin
from switchgear_plugins.gcp.settings import GcpSettings
from switchgear_plugins.vault.backend import VaultSource
from switchgear_plugins.vault.plugin import VaultPlugin
from switchgear_plugins.vault.settings import VaultSettings

pytestmark = pytest.mark.filterwarnings("ignore:The load_credentials_from_file method:DeprecationWarning")

KINDS = ("vault", "aws_secrets", "aws", "gcp")


class Kept:
    """A backend over its fake, under a keeper. `good_for` are the seconds its secret is kept."""

    def __init__(self, handle: KeptSecret, keeper: SecretKeeper, ambient: FixedAmbient, web: Web) -> None:
        self.handle = handle
        self.keeper = keeper
        self.ambient = ambient
        self.web = web
        self.field = "api_key"
        self.good_for = 300.0
        self.fetches: Callable[[], int]
        self.rotate: Callable[[], None]

    def advance(self, seconds: float) -> None:
        """Let time pass, also for what the fake issues from now on."""
        self.ambient.advance(seconds)
        if isinstance(self.web, (FakeAws, FakeGoogle)):
            self.web.lasts_s += seconds

    def value(self, secret: Secret | None) -> str:
        assert secret is not None
        return secret[self.field]

    async def renewed(self) -> None:
        """Wait until the fetch in the background is over."""
        await eventually(lambda: self.handle._fetching is None, within=15)


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    # Identities say when they end in the world's time.
    ambient = FixedAmbient(wall_us=time.time_ns() // 1000)
    context = PluginContext(request.param, tmp_path, ambient=ambient)
    keeper = SecretKeeper(ambient, Metrics(), Logs(renderer="json", stream=io.StringIO()).logger())
    async with AsyncExitStack() as stack:
        made = await MAKE[request.param](stack, context, keeper, monkeypatch, tmp_path)
        yield made
        await keeper.close()


async def _vault(
    stack: AsyncExitStack, context: PluginContext, keeper: SecretKeeper, _: pytest.MonkeyPatch, __: Path
) -> Kept:
    vault = await stack.enter_async_context(FakeVault())
    vault.put("secret/data/a", {"api_key": "k1"})
    plugin = VaultPlugin(VaultSettings(url=vault.url, token="root"), context)
    stack.push_async_callback(plugin._session.connect().aclose)
    made = Kept(keeper.handle("c", _backend(plugin), VaultSource("a")), keeper, context.ambient, vault)
    made.fetches = lambda: vault.reads
    made.rotate = lambda: vault.put("secret/data/a", {"api_key": "k2"})
    return made


async def _aws_secrets(
    stack: AsyncExitStack, context: PluginContext, keeper: SecretKeeper, patch: pytest.MonkeyPatch, path: Path
) -> Kept:
    aws = await stack.enter_async_context(FakeAws())
    fake_aws.empty_environment(patch, path)
    fake_aws.static_keys(patch)
    aws.put("a", SecretString="k1")
    plugin = AwsSecretsPlugin(AwsSecretsSettings(region="eu-west-3", endpoint_url=aws.url), context)
    stack.push_async_callback(plugin.stop)
    made = Kept(keeper.handle("c", _backend(plugin), AwsSecretsSource("a")), keeper, context.ambient, aws)
    made.fetches = lambda: aws.reads
    made.rotate = lambda: aws.put("a", version="v2", SecretString="k2")
    return made


async def _aws(
    stack: AsyncExitStack, context: PluginContext, keeper: SecretKeeper, patch: pytest.MonkeyPatch, path: Path
) -> Kept:
    aws = await stack.enter_async_context(FakeAws())
    fake_aws.empty_environment(patch, path)
    fake_aws.static_keys(patch)
    patch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    plugin = AwsPlugin(NoSettings(), context)
    stack.push_async_callback(plugin.stop)
    made = Kept(keeper.handle("c", _backend(plugin), AwsSource(role_arn=ROLE)), keeper, context.ambient, aws)
    made.field, made.good_for = "access_key_id", 3600
    made.fetches = lambda: aws.issued
    made.rotate = lambda: None
    aws.lasts_s = 3600 + 60  # what passes meanwhile in the world
    return made


async def _gcp(
    stack: AsyncExitStack, context: PluginContext, keeper: SecretKeeper, patch: pytest.MonkeyPatch, path: Path
) -> Kept:
    google = await stack.enter_async_context(FakeGoogle())
    fake_google.empty_environment(patch, path)
    file = fake_google.write_account(google, path / "a.json")
    plugin = GcpPlugin(GcpSettings(credentials_files=("/*",)), context)
    stack.push_async_callback(plugin.stop)
    made = Kept(keeper.handle("c", _backend(plugin), GcpSource(credentials_file=file)), keeper, context.ambient, google)
    made.field, made.good_for = "access_token", 3600
    made.fetches = lambda: google.tokens
    made.rotate = lambda: None
    google.lasts_s = 3600 + 60
    return made


MAKE: dict[str, Callable[..., Any]] = {"vault": _vault, "aws_secrets": _aws_secrets, "aws": _aws, "gcp": _gcp}


def _backend(plugin: Plugin[Any]) -> CredentialBackend:
    made: CredentialBackend = plugin.switchgear_credential_backends()[0].factory()  # type: ignore[attr-defined]
    return made


async def test_however_many_ask_it_is_fetched_once_and_then_kept(kept: Kept) -> None:
    found = await asyncio.gather(*(kept.handle.get() for _ in range(50)))
    for _ in range(1000):
        assert found[0] is kept.handle.peek()
    assert 1 == kept.fetches()
    assert 1 == len({id(secret) for secret in found})


async def test_a_rotation_is_seen_in_the_background_before_the_old_one_ends(kept: Kept) -> None:
    first = await kept.handle.get()
    kept.rotate()
    kept.advance(kept.good_for * 0.75)
    assert first is kept.handle.peek()
    assert 1 == kept.fetches()
    kept.advance(kept.good_for * 0.1)
    assert first is kept.handle.peek()  # nobody waits
    await kept.renewed()
    second = kept.handle.peek()
    assert kept.value(second) != kept.value(first)
    assert (2, True) == (kept.fetches(), second is not None and second.version != first.version)


async def test_a_secret_that_a_provider_refuses_is_fetched_anew_once(kept: Kept) -> None:
    first = await kept.handle.get()
    kept.rotate()
    kept.advance(30)
    fresh = await asyncio.gather(*(kept.handle.renew(first) for _ in range(20)))
    assert 1 == len({kept.value(secret) for secret in fresh} - {kept.value(first)})
    assert 2 == kept.fetches()


async def test_while_its_source_is_down_the_last_good_one_stays_and_health_says_so(kept: Kept) -> None:
    first = await kept.handle.get()
    await kept.web.down()
    kept.advance(kept.good_for * 0.9)
    assert first is kept.handle.peek()
    await kept.renewed()
    asked = len(kept.web.asked)
    for _ in range(200):
        assert first is await kept.handle.get()
    [state] = kept.keeper.states()
    assert ("failing", True) == (state.status, (state.why or "").startswith("credential c: "))
    assert asked == len(kept.web.asked)
    kept.advance(kept.good_for)  # even past its end: it may still be good for the provider
    assert first is kept.handle.peek()
    await kept.renewed()
    await kept.web.up()
    kept.rotate()
    kept.advance(60)
    kept.handle.peek()
    await kept.renewed()
    assert kept.value(kept.handle.peek()) != kept.value(first)
    assert ["good"] == [state.status for state in kept.keeper.states()]


async def test_without_any_value_each_try_is_spaced_out_and_says_why(kept: Kept) -> None:
    await kept.web.down()
    with pytest.raises(SecretUnavailable, match="credential c: ") as first:
        await kept.handle.get()
    for _ in range(50):
        with pytest.raises(SecretUnavailable) as again:
            await kept.handle.get()
        assert str(first.value) == str(again.value)
    assert ["unavailable"] == [state.status for state in kept.keeper.states()]
    await kept.web.up()
    kept.advance(2)
    await kept.handle.get()
    assert 1 == kept.fetches()


async def provide(run: Running, upstream: FaultUpstream, **source: Any) -> None:
    """Make a model `m` whose provider's key is in Vault."""
    await run.create("credentials", id="c", type="openai", source={"backend": "vault", "path": "a", **source})
    await run.create("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
    await run.create("models", id="m", provider_id="p", provider_model="upstream-model")


def with_vault(vault: FakeVault) -> str:
    return f'{SQLITE}\nvault = {{ enabled = true, url = "{vault.url}", token = "root" }}'


async def health(run: Running) -> tuple[int, list[dict[str, Any]]]:
    answer = await run.http.get("/health/detailed", headers={"authorization": run.admin.headers["authorization"]})
    return answer.status_code, answer.json()["credentials"]


async def test_a_gateway_outlives_its_vault_and_says_how_it_stands(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with FakeVault() as vault:
        vault.put("secret/data/a", {"api_key": "sk-canary-of-vault"})
        vault.sealed = True
        async with running(tmp_path, store=with_vault(vault)) as run:
            await provide(run, upstream)
            refused = await run.chat()
            assert 503 == refused.status_code, refused.text
            assert "sealed" not in refused.text
            status, [state] = await health(run)
            assert (503, "unavailable") == (status, state["status"])
            assert "credential c: Vault is sealed or down for maintenance (status 503): unseal it" == state["why"]

            vault.sealed = False

            async def answered() -> bool:
                return (await run.chat()).status_code == 200

            await eventually(answered)
            assert (200, "good") == ((await health(run))[0], (await health(run))[1][0]["status"])
            for _ in range(20):
                assert await answered()
            assert 1 == vault.reads
            assert "Bearer sk-canary-of-vault" == upstream.ledger[0].headers["authorization"]

            await vault.down()
            with pytest.raises(SecretUnavailable):
                await run.gateway._system._credentials.refresh("c")
            assert await answered()
            status, [state] = await health(run)
            assert (503, "failing") == (status, state["status"])
            assert state["why"].startswith(f"credential c: Vault at {vault.url} cannot be reached: Connect")
            assert "canary" not in json.dumps(state)
            await vault.up()


async def test_a_bad_source_is_named_by_field_when_it_is_written(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with FakeVault() as vault, running(tmp_path, store=with_vault(vault)) as run:
        for source in (
            {"path": "a", "versoin": 1},
            {"path": "../sys"},
            {"path": "a", "field": "x", "fields": {"y": "z"}},
        ):
            body = {"id": "x", "type": "openai", "source": {"backend": "vault", **source}}
            answer = await run.admin.post("/credentials", json=body)
            assert 422 == answer.status_code, answer.text
            assert answer.json()["errors"][0]["pointer"].startswith("/source")
        assert [] == vault.asked


def test_rotating_the_master_key_asks_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = "1" * 64, "2" * 64
    Path("plugins.toml").write_text(
        "[gateway]\ndata_dir = 'data'\n[plugins]\nsqlite.enabled = true\nencrypted.enabled = true\nopenai.enabled = true\n"
        "gitops.enabled = true\naws.enabled = true\naws_secrets.enabled = true\ngcp.enabled = true\n"
        'vault = { enabled = true, url = "http://127.0.0.1:9", token = "canary" }\n'
    )
    Path("resources.toml").write_text(
        "[credentials.sealed]\ntype = 'openai'\nsource = { backend = 'encrypted', values = { api_key = 'sk-canary' } }\n"
        "[credentials.v]\ntype = 'openai'\nsource = { backend = 'vault', path = 'a' }\n"
        "[credentials.s]\ntype = 'openai'\nsource = { backend = 'aws_secrets', secret_id = 'a', region = 'eu-west-3' }\n"
        "[credentials.a]\ntype = 'openai'\nsource = { backend = 'aws' }\n"
        "[credentials.g]\ntype = 'openai'\nsource = { backend = 'gcp', impersonate = 'a@b.example' }\n"
    )

    def run(*arguments: str, keys: str) -> str:
        result = CliRunner().invoke(main, list(arguments), env={"SWITCHGEAR_MASTER_KEY": keys}, catch_exceptions=False)
        assert 0 == result.exit_code, result.output
        return result.stdout

    run("apply", "-f", "resources.toml", keys=old)
    assert {"resealed": 1} == json.loads(run("secrets", "rotate", "--json", keys=f"{new},{old}"))
    assert "vault" in run("export", "credentials", keys=new)


@pytest.mark.parametrize(
    ("plugin", "missing"),
    [("aws", "botocore"), ("aws_secrets", "botocore"), ("gcp", "google"), ("gcp", "requests")],
)
def test_without_its_extra_the_boot_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, missing: str
) -> None:
    monkeypatch.delitem(sys.modules, f"switchgear_plugins.{plugin}.plugin", raising=False)
    for name in [name for name in sys.modules if name == missing or name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    file = tmp_path / "plugins.toml"
    file.write_text(f"[gateway]\ndata_dir = '{tmp_path}'\n[plugins]\nmemory.enabled = true\n{plugin}.enabled = true\n")
    with pytest.raises(BootError) as caught:
        Kernel(load(file, environ={})).boot()
    extra = plugin.replace("_", "-")  # as the metadata of a distribution spells it
    assert f"Run `pip install 'switchgear[{extra}]'`." in str(caught.value)
    assert missing in str(caught.value)
