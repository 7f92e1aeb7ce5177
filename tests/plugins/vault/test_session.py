"""How the gateway logs in to Vault, and how it keeps its token."""

import asyncio

import pytest

from support.fake_vault import DENIED
from support.web import Told
from switchgear.errors import SecretUnavailable
from switchgear_plugins.vault.backend import VaultSource

APPROLE = {"auth": "approle", "role_id": "role-1", "secret_id": "canary-secret-id"}


@pytest.fixture
def made(plugin):
    """Make a plugin; return it with a function that fetches through it."""

    def make(**settings):
        one = plugin(**settings)
        backend = one.switchgear_credential_backends()[0].factory()
        return one, lambda path="app/openai": backend.fetch("c1", VaultSource(path))

    return make


def paths(vault):
    return [asked.path.removeprefix("/v1/") for asked in vault.asked]


READ = "secret/data/app/openai"


async def test_approle_logs_in_once_for_many_and_sends_the_token(vault, made):
    _, fetch = made(**APPROLE)
    await asyncio.gather(*(fetch() for _ in range(20)))
    await fetch()
    assert (1, 21) == (vault.logins, vault.reads)
    assert {"hvs.canary-token-1"} == {asked.headers["x-vault-token"] for asked in vault.asked if "/data/" in asked.path}


async def test_a_secret_id_may_be_in_a_file_that_changes_or_be_left_out(vault, made, tmp_path):
    file = tmp_path / "secret-id"
    file.write_text("canary-secret-id\n")
    _, fetch = made(auth="approle", role_id="role-1", secret_id_file=str(file))
    await fetch()
    vault.revoke()
    vault.accepts["approle"] = {"role_id": "role-1", "secret_id": "another"}
    file.write_text("another\n")
    await fetch()
    assert 2 == vault.logins
    vault.accepts["approle"] = {"role_id": "role-1"}
    _, bare = made(auth="approle", role_id="role-1")
    await bare()
    assert 3 == vault.logins


async def test_kubernetes_sends_the_service_accounts_token_as_it_is_now(vault, made, tmp_path):
    file = tmp_path / "token"
    file.write_text("canary-jwt")
    _, fetch = made(auth="kubernetes", role="switchgear", jwt_file=str(file))
    await fetch()
    assert ["auth/kubernetes/login", READ] == paths(vault)


async def test_the_mount_of_the_method_and_the_namespace_are_those_of_the_settings(vault, made):
    vault.namespace = "team/a"
    vault.accepts["roles"] = vault.accepts["approle"]
    vault.put(READ, {"api_key": "of the namespace"}, "team/a")
    _, fetch = made(**APPROLE, auth_mount="roles", namespace="team/a")
    assert {"api_key": "of the namespace"} == dict(await fetch())
    assert ["auth/roles/login", READ] == paths(vault)


async def test_a_token_is_renewed_before_its_lease_ends_and_again_before_the_next(vault, made, ambient):
    _, fetch = made(**APPROLE)
    await fetch()
    ambient.advance(2399)
    await fetch()
    assert 0 == vault.renewals
    ambient.advance(2)
    await asyncio.gather(*(fetch() for _ in range(5)))
    assert 1 == vault.renewals
    ambient.advance(2401)
    await fetch()
    assert (2, 1) == (vault.renewals, vault.logins)


async def test_it_is_renewed_by_a_task_while_nothing_is_fetched_and_only_once_there_is_one(vault, made, ambient):
    plugin, fetch = made(**APPROLE)
    [task] = plugin.switchgear_tasks()
    await task.run()
    assert [] == vault.asked
    await fetch()
    for _ in range(10):
        ambient.advance(1000)
        await task.run()
    assert (3, 1) == (vault.renewals, vault.logins)


async def test_a_token_whose_lease_ended_or_cannot_be_renewed_is_replaced(vault, made, ambient):
    _, fetch = made(**APPROLE)
    await fetch()
    ambient.advance(3601)
    await fetch()
    assert (2, 0) == (vault.logins, vault.renewals)
    vault.renewable = False
    vault.revoke()
    await fetch()
    ambient.advance(3000)
    await fetch()
    assert (3, 0) == (vault.logins, vault.renewals)


async def test_a_renewal_that_is_refused_is_a_login(vault, made, ambient):
    _, fetch = made(**APPROLE)
    await fetch()
    vault.revoke()
    ambient.advance(2500)
    assert "sk-canary-1" == (await fetch())["api_key"]
    assert 2 == vault.logins


async def test_a_revoked_token_is_replaced_once_for_all_who_were_refused(vault, made):
    _, fetch = made(**APPROLE)
    await fetch()
    vault.revoke()
    await asyncio.gather(*(fetch() for _ in range(10)))
    assert 2 == vault.logins


async def test_a_path_the_policies_deny_is_no_reason_to_log_in_again(vault, made):
    _, fetch = made(**APPROLE)
    vault.denied.add(READ)
    for _ in range(3):
        with pytest.raises(SecretUnavailable, match="may not be read"):
            await fetch()
    assert 1 == vault.logins


async def test_a_token_that_stays_refused_is_asked_for_twice_and_no_more(vault, made):
    _, fetch = made(token="unknown")
    with pytest.raises(SecretUnavailable, match=r"may not be read: .* that the token is still good"):
        await fetch()
    assert 2 == paths(vault).count(READ)


async def test_a_token_that_was_given_is_renewed_by_the_lease_it_has(vault, made, ambient):
    vault.tokens["given"] = {"ttl": 100, "renewable": True}
    vault.lease_s = 100
    plugin, fetch = made(token="given")
    [task] = plugin.switchgear_tasks()
    await fetch()
    for _ in range(20):
        ambient.advance(15)
        await task.run()
    assert 4 == vault.renewals
    assert {"given"} == {asked.headers["x-vault-token"] for asked in vault.asked}


async def test_a_token_without_an_end_is_neither_renewed_nor_looked_up_again(vault, made, ambient):
    _, fetch = made()
    await fetch()
    ambient.advance(1e6)
    await fetch()
    assert ["auth/token/lookup-self", READ, READ] == paths(vault)


async def test_a_token_that_may_not_look_itself_up_is_used_all_the_same(vault, made):
    answer = vault.answer
    vault.answer = lambda asked: answer(asked) if "/data/" in asked.path else DENIED
    _, fetch = made()
    assert "sk-canary-1" == (await fetch())["api_key"]


async def test_a_token_file_that_an_agent_rewrites_is_read_at_every_login(vault, made, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    vault.tokens["first"] = {"ttl": 60, "renewable": False}
    _, fetch = made(token_file=str(file))
    await fetch()
    vault.revoke()
    vault.tokens["second"] = {"ttl": 60, "renewable": False}
    file.write_text("second\n")
    assert "sk-canary-1" == (await fetch())["api_key"]


async def test_a_refused_login_says_what_to_look_at_and_no_secret(vault, made):
    vault.accepts.clear()
    _, fetch = made(**APPROLE)
    with pytest.raises(SecretUnavailable) as caught:
        await fetch()
    assert (
        "credential c1: Vault refuses the login by approle (status 400): check what [plugins.vault] in plugins.toml says of "
        "it, `auth_mount` and `namespace` included, and the role in Vault"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (" \n", "is empty"), (b"\xff\xfe\x00", "not text")]
)
async def test_a_file_that_cannot_be_read_is_named(vault, made, tmp_path, content, why):
    file = tmp_path / "jwt"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    _, fetch = made(auth="kubernetes", role="switchgear", jwt_file=str(file))
    with pytest.raises(SecretUnavailable, match=rf"`jwt_file` of \[plugins\.vault\], {file}, .*{why}"):
        await fetch()


@pytest.mark.parametrize("body", [b"<html>", {"auth": None}, {"auth": {"client_token": ""}}, {}])
async def test_a_login_without_a_token_is_said(vault, made, body):
    vault.answer = lambda asked: Told(200, body)
    _, fetch = made(**APPROLE)
    with pytest.raises(SecretUnavailable, match=r"has no token|does not speak like Vault"):
        await fetch()
