import asyncio
import logging
import time
from typing import ClassVar

import msgspec
import pytest

from support.fake_aws import ROLE, FakeAws, empty_environment, static_keys
from support.web import Told
from switchgear import NoSettings
from switchgear.ambient import Ambient
from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear_plugins.aws.backend import AwsSource
from switchgear_plugins.aws.plugin import AwsPlugin

STATIC = {"access_key_id": "AKIASTATIC", "secret_access_key": "canary-static-secret"}


def issued(number):
    return {
        "access_key_id": f"ASIAISSUED{number}",
        "secret_access_key": f"canary-issued-secret-{number}",
        "session_token": f"canary-session-{number}",
    }


@pytest.fixture
async def aws():
    async with FakeAws() as fake:
        yield fake


@pytest.fixture
async def chain(aws, monkeypatch, tmp_path, plugin_context):
    empty_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    plugin_context.ambient = Ambient()
    plugin = AwsPlugin(NoSettings(), plugin_context)
    yield plugin.switchgear_credential_backends()[0].factory()
    await plugin.stop()


async def refusal(chain, **source):
    with pytest.raises(SecretUnavailable) as caught:
        await chain.fetch("c1", AwsSource(**source))
    return str(caught.value)


def lasts_about(seconds, secret):
    return abs(secret.expires_us / 1e6 - time.time() - seconds) < 30


class TestAwsBackend(CredentialBackendSuite):
    """Over a role: `absent` is one that may not be assumed."""

    source: ClassVar = {"backend": "aws"}
    values: ClassVar = STATIC
    absent: ClassVar = {"backend": "aws", "role_arn": "arn:aws:iam::123456789012:role/another"}

    @pytest.fixture(autouse=True)
    async def _served(self, chain, monkeypatch):
        static_keys(monkeypatch)
        self.one = chain

    def make(self):
        return self.one


async def test_keys_of_the_environment_have_no_end(chain, monkeypatch):
    static_keys(monkeypatch)
    secret = await chain.fetch("c1", AwsSource())
    assert (STATIC, None, "") == (dict(secret), secret.expires_us, secret.version)


async def test_a_profile_is_read_as_it_is_now(chain, tmp_path):
    for secret in ("canary-one", "canary-two"):
        (tmp_path / "credentials").write_text(
            f"[models]\naws_access_key_id = AKIA1\naws_secret_access_key = {secret}\n"
        )
        found = await chain.fetch("c1", AwsSource(profile="models"))
        assert {"access_key_id": "AKIA1", "secret_access_key": secret} == dict(found)


async def test_the_instances_role_is_got_by_version_2_of_its_metadata(aws, chain, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)
    secret = await chain.fetch("c1", AwsSource())
    assert issued(1) == dict(secret)
    assert lasts_about(3600, secret)
    assert ["PUT", "GET", "GET"] == [asked.method for asked in aws.asked]


async def test_the_containers_role_is_got_from_its_endpoint(aws, chain, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-container-token")
    secret = await chain.fetch("c1", AwsSource())
    assert issued(1) == dict(secret)
    assert lasts_about(3600, secret)


async def test_a_web_identity_is_exchanged_for_a_role(aws, chain, monkeypatch, tmp_path):
    (tmp_path / "jwt").write_text("canary-web-identity")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    aws.lasts_s = 1200
    secret = await chain.fetch("c1", AwsSource())
    assert issued(1) == dict(secret)
    assert lasts_about(1200, secret)
    assert "AssumeRoleWithWebIdentity" == aws.asked[0].form["Action"]
    (tmp_path / "jwt").write_text("another")
    assert "AWS refuses the role (InvalidIdentityToken)" in await refusal(chain)


async def test_a_role_is_assumed_with_the_identity_there_is(aws, chain, monkeypatch):
    static_keys(monkeypatch)
    aws.external_id = "outside"
    source = AwsSource(role_arn=ROLE, external_id="outside", session_name="gateway-1", region="eu-west-3")
    secret = await chain.fetch("c1", source)
    assert issued(1) == dict(secret)
    assert lasts_about(3600, secret)
    assert ("gateway-1", "eu-west-3") == (aws.asked[0].form["RoleSessionName"], aws.region)
    assert (
        "credential c1: AWS refuses the role arn:aws:iam::123456789012:role/models (AccessDenied): check its trust policy, "
        "`external_id`, and that the gateway's own identity may assume it"
    ) == await refusal(chain, role_arn=ROLE)


async def test_a_role_of_a_profile_is_assumed_by_the_profiles_own_source(aws, chain, tmp_path):
    (tmp_path / "credentials").write_text(
        "[own]\naws_access_key_id = AKIASTATIC\naws_secret_access_key = canary-static-secret\n"
    )
    (tmp_path / "config").write_text(f"[profile models]\nrole_arn = {ROLE}\nsource_profile = own\nregion = eu-west-3\n")
    secret = await chain.fetch("c1", AwsSource(profile="models"))
    assert issued(1) == dict(secret)
    assert lasts_about(3600, secret)


async def test_many_at_once_leave_the_event_loop_free(aws, chain, monkeypatch):
    static_keys(monkeypatch)
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    found = await asyncio.gather(*(chain.fetch("c1", AwsSource(role_arn=ROLE)) for _ in range(6)))
    turning.cancel()
    assert {f"ASIAISSUED{number}" for number in range(1, 7)} == {secret["access_key_id"] for secret in found}
    assert turns > 10, "a fetch that held the loop would let it turn once or twice"


async def test_without_an_identity_it_says_what_to_do(aws, chain, monkeypatch, tmp_path):
    missing = "credential c1: the gateway has no AWS identity: neither environment, profile, web identity, container"
    assert (await refusal(chain)).startswith(missing)
    assert (await refusal(chain, role_arn=ROLE)).startswith(missing)
    assert "has no profile nobody: correct `profile`" in await refusal(chain, profile="nobody")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    assert "cannot be got now (PartialCredentialsError)" in await refusal(chain)


@pytest.mark.parametrize("told", [Told(200, b"canary"), Told(200, {"AccessKeyId": "canary"})])
async def test_an_identity_service_that_fails_is_said_without_its_words(aws, chain, monkeypatch, told):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.fault = told
    why = await refusal(chain)
    assert "the AWS identity cannot be got now (" in why
    assert "canary" not in why


async def test_keys_that_have_ended_are_none(aws, chain, monkeypatch, plugin_context):
    static_keys(monkeypatch)
    aws.lasts_s = -10
    assert "the AWS keys found have ended" in await refusal(chain, role_arn=ROLE)


async def test_nothing_is_logged_that_was_got(chain, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    static_keys(monkeypatch)
    await chain.fetch("c1", AwsSource(role_arn=ROLE))
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "source",
    [
        {"role_arn": "models"},
        {"role_arn": "arn:aws:iam::1:role/x"},
        {"external_id": "abc"},
        {"session_name": "abc"},
        {"role_arn": ROLE, "session_name": "a b"},
        {"region": "evil.example/"},
        {"profile": ""},
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(source):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"backend": "aws", **source}, AwsSource)
