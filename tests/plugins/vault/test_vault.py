import asyncio
import ssl
from typing import ClassVar

import msgspec
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from support.fake_vault import FakeVault
from support.web import Told
from switchgear.errors import ConfigError, SecretUnavailable
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear.upstream.client import Upstream
from switchgear.upstream.egress import EgressPolicy
from switchgear_plugins.vault.backend import VaultBackend, VaultSource
from switchgear_plugins.vault.plugin import VaultPlugin
from switchgear_plugins.vault.session import VaultSession
from switchgear_plugins.vault.settings import VaultSettings

KEYS = {"api_key": "sk-canary-1", "organization": "org-canary-2"}


def backend_of(plugin):
    return plugin.switchgear_credential_backends()[0].factory()


async def fetched(plugin, **source):
    return await backend_of(plugin).fetch("c1", VaultSource(**{"path": "app/openai", **source}))


async def refusal(plugin, **source):
    with pytest.raises(SecretUnavailable) as caught:
        await fetched(plugin, **source)
    return str(caught.value)


class TestVaultBackend(CredentialBackendSuite):
    source: ClassVar = {"backend": "vault", "path": "app/openai"}
    values: ClassVar = KEYS
    absent: ClassVar = {"backend": "vault", "path": "app/missing"}

    @pytest.fixture(autouse=True)
    async def _served(self, plugin):
        self.plugin = plugin

    def make(self):
        return backend_of(self.plugin())


async def test_the_version_changes_with_the_secret_also_when_it_was_wiped_and_begins_again(vault, plugin):
    made = plugin()
    first = await fetched(made)
    vault.put("secret/data/app/openai", {"api_key": "sk-canary-3"})
    second = await fetched(made)
    vault.secrets.clear()
    vault.put("secret/data/app/openai", {"api_key": "sk-canary-4"})
    vault.secrets["", "secret/data/app/openai"][0]["metadata"]["created_time"] = "2026-12-01T00:00:00Z"
    third = await fetched(made)
    assert ["1 of 2026-11-01T00:00:00.5Z", "2 of 2026-11-01T00:00:01.5Z", "1 of 2026-12-01T00:00:00Z"] == [
        first.version,
        second.version,
        third.version,
    ]
    assert first.expires_us is None


async def test_a_version_a_mount_and_a_namespace_may_be_named(vault, plugin):
    vault.put("secret/data/app/openai", {"api_key": "newer"})
    vault.put("kv/team/data/app/openai", {"api_key": "of the team"}, "other/ns")
    made = plugin()
    assert KEYS == dict(await fetched(made, version=1))
    assert {"api_key": "newer"} == dict(await fetched(made))
    assert {"api_key": "of the team"} == dict(await fetched(made, mount="kv/team", namespace="other/ns"))


async def test_members_are_chosen_and_what_is_no_text_comes_as_json(vault, plugin):
    account = {"type": "service_account", "n": 1}
    vault.put(
        "secret/data/app/openai", {"key": "k", "account": account, "rpm": 5, "on": True, "none": None, "void": ""}
    )
    made = plugin()
    assert {"api_key": "k"} == dict(await fetched(made, field="key"))
    chosen = await fetched(made, fields={"service_account": "account", "rpm": "rpm", "on": "on"})
    assert {"service_account": '{"type":"service_account","n":1}', "rpm": "5", "on": "true"} == dict(chosen)
    missing = {"a": "absent", "b": "none", "c": "void", "d": "key"}
    assert "credential c1: Vault's `secret/data/app/openai` has no value for absent, none, void" == await refusal(
        made, fields=missing
    )
    assert "has no value for none, void" in await refusal(made)
    vault.put("secret/data/app/openai", {})
    assert (await refusal(made)).endswith("is empty")


async def test_a_lease_of_the_secret_is_its_end(vault, plugin, ambient):
    answer = vault.answer

    def leased(asked):
        told = answer(asked)
        if "/data/" in asked.path:
            told.body = {**told.body, "lease_duration": 60}
        return told

    vault.answer = leased
    assert ambient.now_us() + 60_000_000 == (await fetched(plugin())).expires_us


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../sys/x", "a\nb", "a\x00", "a\u202eb", "x" * 1025]
)
def test_a_path_that_leads_elsewhere_is_refused(path):
    for body in ({"path": path}, {"path": "a", "mount": path}, {"path": "a", "namespace": path}):
        if len(path) <= 1024 or body["path"] == path:
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert({"backend": "vault", **body}, VaultSource)


@pytest.mark.parametrize(
    "body",
    [
        {"field": "a", "fields": {"b": "c"}},
        {"version": 0},
        {"namespace": "ä"},
        {"fields": {"a": 1}},
        {"mount": "a b/.."},
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"backend": "vault", "path": "a", **body}, VaultSource)


@pytest.fixture(scope="module")
def loop_runner():
    with asyncio.Runner() as runner:
        yield runner


SEGMENT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(path=st.lists(SEGMENT, min_size=1, max_size=4).map("/".join))
def test_whatever_path_is_accepted_arrives_at_vault_as_it_is(path, loop_runner):
    try:
        source = msgspec.convert({"backend": "vault", "path": path}, VaultSource)
    except msgspec.ValidationError:
        return
    assert f"/v1/secret/data/{path}" == loop_runner.run(_path_seen(source))


async def _path_seen(source):
    async with FakeVault() as vault:
        upstream = Upstream(EgressPolicy(("127.0.0.0/8",)), FixedAmbient())
        settings = VaultSettings(url=vault.url, token="root")
        session = VaultSession(settings, upstream.http, FixedAmbient())
        with pytest.raises(SecretUnavailable, match="holds nothing"):
            await VaultBackend(settings, session, FixedAmbient()).fetch("c", source)
        await session.connect().aclose()
        return vault.asked[-1].path


async def test_each_refusal_says_what_to_do(vault, plugin):
    made = plugin()
    vault.put("secret/data/denied", {"api_key": "canary"})
    vault.denied.add("secret/data/denied")
    vault.put("secret/data/gone", {"api_key": "canary"})
    vault.delete("secret/data/gone")
    vault.put("secret/data/wiped", {"api_key": "canary"})
    vault.delete("secret/data/wiped", destroyed=True)
    where = "credential c1: Vault's `secret/data/"
    assert (
        f"{where}nothing` holds nothing: check `path` (without the mount and `data/`), `mount` and `namespace`"
        == await refusal(made, path="nothing")
    )
    assert "holds nothing of version 9: check" in await refusal(made, version=9)
    assert f"{where}gone` was deleted in version 1: undelete it or write it anew" == await refusal(made, path="gone")
    assert f"{where}wiped` was destroyed in version 1: write it anew" == await refusal(made, path="wiped")
    assert (await refusal(made, path="denied")).startswith(
        f"{where}denied` may not be read: let a policy of the gateway's token read it"
    )
    vault.sealed = True
    assert "credential c1: Vault is sealed or down for maintenance (status 503): unseal it" == await refusal(made)
    await vault.down()
    assert (await refusal(made)).startswith(f"credential c1: Vault at {vault.url} cannot be reached: ")
    await vault.up()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Told(500, {"errors": ["canary"]}), "failed with status 500"),
        (Told(412), "has not yet what was written last"),
        (Told(429), "limits the rate of requests"),
        (Told(307, headers={"location": "http://127.0.0.1:1/"}), "answered with a redirect"),
        (Told(200, b"<html>canary</html>"), "is no secret of a KV version 2 engine: check `mount`"),
        (Told(200, {"data": {"api_key": "canary"}}), "holds nothing"),
        (Told(200, {"data": {"data": "canary"}}), "is no secret of a KV version 2 engine"),
        (Told(400, {"errors": ["canary"]}), "is refused with status 400: check `path` and `mount`"),
        (Told(404, b""), "is no secret of a KV version 2 engine"),
    ],
)
async def test_strange_answers_are_refused_without_their_words(vault, plugin, told, said):
    answer = vault.answer
    vault.answer = lambda asked: told if "/data/" in asked.path else answer(asked)
    why = await refusal(plugin())
    assert said in why
    assert "canary" not in why


async def test_an_address_that_may_not_be_called_says_how_to_allow_it(plugin_context):
    plugin = VaultPlugin(VaultSettings(url="http://10.0.0.1:8200", token="x"), plugin_context)
    why = await refusal(plugin)
    assert "The address is not public. If it is yours to call, add its network to [gateway.egress] allow" in why
    await plugin._session.connect().aclose()


async def test_a_ca_bundle_that_cannot_be_used_refuses_to_start(plugin, tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        await VaultPlugin(
            VaultSettings(url="https://v", token="x", ca_bundle=str(tmp_path / "nowhere.pem")), plugin().context
        ).start()


async def test_vault_is_reached_over_tls_with_its_own_authority(tmp_path, plugin_context):
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    fake = FakeVault()
    fake.put("secret/data/app/openai", KEYS)
    fake.tls = context
    async with fake:
        url = fake.url.replace("http:", "https:")
        trusting = VaultPlugin(VaultSettings(url=url, token="root", ca_bundle=str(bundle)), plugin_context)
        await trusting.start()
        assert KEYS == dict(await fetched(trusting))
        doubting = VaultPlugin(VaultSettings(url=url, token="root"), plugin_context)
        assert "cannot be reached: ConnectFailed" in await refusal(doubting)
        for plugin in (trusting, doubting):
            await plugin._session.connect().aclose()


def test_settings_that_cannot_be_meant_are_refused():
    for wrong, said in (
        ({"url": "vault:8200", "token": "x"}, "`url` is an https:// or http:// address"),
        ({}, "takes one of `token` and `token_file`"),
        ({"token": "x", "token_file": "y"}, "takes one of `token` and `token_file`"),
        ({"auth": "approle"}, "takes `role_id`"),
        ({"auth": "approle", "role_id": "r", "secret_id": "a", "secret_id_file": "b"}, "not both"),
        ({"auth": "kubernetes"}, "takes `role`"),
        ({"token": "x", "mount": "a/../b"}, "`mount` is names between single slashes"),
    ):
        with pytest.raises(ValueError, match=said):
            VaultSettings(**{"url": "https://vault", **wrong})
    assert "canary" not in repr(VaultSettings(url="https://vault", token="canary"))
