import asyncio
from typing import ClassVar

import msgspec
import pytest

from support.fake_aws import FakeAws, empty_environment, static_keys
from support.web import Told
from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear_plugins.aws_secrets.backend import AwsSecretsSource
from switchgear_plugins.aws_secrets.plugin import AwsSecretsPlugin
from switchgear_plugins.aws_secrets.settings import AwsSecretsSettings

NAME = "prod/openai-AbC"
ARN = "arn:aws:secretsmanager:eu-west-3:123456789012:secret:prod/openai-AbC"


@pytest.fixture
async def aws():
    fake = FakeAws()
    fake.put(NAME, SecretString='{"api_key": "sk-canary-1", "organization": "org-canary-2"}')
    async with fake:
        yield fake


@pytest.fixture
async def plugin(aws, monkeypatch, tmp_path, plugin_context):
    """Make the plugin over the fake; the environment holds good keys."""
    empty_environment(monkeypatch, tmp_path)
    static_keys(monkeypatch)
    made = []

    def make(**settings):
        settings = AwsSecretsSettings(**{"endpoint_url": aws.url, "region": "us-east-1", **settings})
        made.append(AwsSecretsPlugin(settings, plugin_context))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def fetched(plugin, secret_id=NAME, **source):
    backend = plugin.switchgear_credential_backends()[0].factory()
    try:
        return await backend.fetch("c1", AwsSecretsSource(secret_id, **source))
    finally:
        if backend._client is not None:
            await backend._client.aclose()


async def refusal(plugin, *named, **source):
    with pytest.raises(SecretUnavailable) as caught:
        await fetched(plugin, *named, **source)
    return str(caught.value)


class TestAwsSecretsBackend(CredentialBackendSuite):
    source: ClassVar = {"backend": "aws_secrets", "secret_id": NAME}
    values: ClassVar = {"api_key": "sk-canary-1", "organization": "org-canary-2"}
    absent: ClassVar = {"backend": "aws_secrets", "secret_id": "prod/missing"}

    @pytest.fixture(autouse=True)
    async def _served(self, plugin):
        self.plugin = plugin
        self.backends = []
        yield
        for backend in self.backends:
            if backend._client is not None:
                await backend._client.aclose()

    def make(self):
        self.backends.append(self.plugin().switchgear_credential_backends()[0].factory())
        return self.backends[-1]


async def test_the_version_is_that_of_the_secret_and_moves_with_it(aws, plugin):
    made = plugin()
    assert "v1" == (await fetched(made)).version
    aws.put(NAME, version="v2", SecretString='{"api_key": "sk-canary-3"}')
    secret = await fetched(made)
    assert ("v2", {"api_key": "sk-canary-3"}, None) == (secret.version, dict(secret), secret.expires_us)


async def test_members_are_chosen_a_stage_may_be_named_and_plain_text_is_the_key(aws, plugin):
    made = plugin()
    assert {"api_key": "org-canary-2"} == dict(await fetched(made, field="organization"))
    assert {"key": "sk-canary-1"} == dict(await fetched(made, fields={"key": "api_key"}))
    aws.put(NAME, stage="AWSPREVIOUS", SecretString="sk-canary-old\n")
    assert {"api_key": "sk-canary-old"} == dict(await fetched(made, version_stage="AWSPREVIOUS"))
    for text in ("[1]", "12", '"quoted"', "{broken"):
        aws.put(NAME, SecretString=text)
        assert {"api_key": text} == dict(await fetched(made))


async def test_the_region_is_the_credentials_the_arns_the_settings_or_that_of_the_aws_configuration(
    aws, plugin, monkeypatch
):
    aws.put(ARN, SecretString="k")
    seen = []
    for settings, named, source in (
        ({}, ARN, {"region": "cn-north-1"}),
        ({}, ARN, {}),
        ({}, NAME, {}),
        ({"region": None}, NAME, {}),
    ):
        monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
        await fetched(plugin(**settings), named, **source)
        seen.append(aws.region)
    assert ["cn-north-1", "eu-west-3", "us-east-1", "sa-east-1"] == seen
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "no AWS region is known: say `region`" in await refusal(plugin(region=None))


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://secretsmanager.eu-central-1.amazonaws.com/"),
        ("cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn/"),
        ("us-gov-west-1", "https://secretsmanager.us-gov-west-1.amazonaws.com/"),
    ],
)
async def test_without_an_endpoint_it_is_the_regions_own(plugin, region, url):
    signed = await plugin(endpoint_url=None)._identity.sign(region, "x", b"{}")
    assert url == signed.url


async def test_the_endpoint_of_the_aws_configuration_counts_where_the_settings_have_none(aws, plugin, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
    assert "sk-canary-1" == (await fetched(plugin(endpoint_url=None)))["api_key"]


async def test_session_keys_are_signed_with_too_and_found_once_for_many(aws, plugin, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)
    made = plugin()
    await asyncio.gather(*(fetched(made) for _ in range(8)))
    assert (1, 8) == (aws.issued, aws.reads)


async def test_keys_near_their_end_are_renewed_before(aws, plugin, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-container-token")
    aws.lasts_s = 120
    made = plugin()
    await fetched(made)
    await fetched(made)
    assert 2 <= aws.issued


async def test_keys_that_were_replaced_in_the_profile_are_found_when_the_old_ones_are_refused(
    aws, plugin, monkeypatch, tmp_path
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def profile(key, secret):
        text = f"[gateway]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        (tmp_path / "credentials").write_text(text)

    profile("AKIASTATIC", "canary-static-secret")
    made = plugin(profile="gateway")
    await fetched(made)
    aws.keys = {"AKIANEW": ("canary-new-secret", None)}
    assert "AWS does not know the gateway's keys" in await refusal(made)
    assert 3 == aws.reads
    profile("AKIANEW", "canary-new-secret")
    assert "sk-canary-1" == (await fetched(made))["api_key"]


async def test_without_an_identity_it_says_so(plugin, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert (await refusal(plugin())).startswith(
        "credential c1: the gateway has no AWS identity now (PartialCredentialsError)"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert (await refusal(plugin())).startswith("credential c1: the gateway has no AWS identity: neither environment")
    assert "no AWS identity now (ProfileNotFound)" in await refusal(plugin(profile="nobody"))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            Told(400, {"__type": "AccessDeniedException", "Message": "canary"}),
            "may not be read: allow the gateway's identity",
        ),
        (
            Told(400, {"__type": "InvalidRequestException", "Message": "canary"}),
            "restore it if it is marked for deletion",
        ),
        (Told(400, {"__type": "InvalidParameterException"}), "check `secret_id` and `version_stage`"),
        (Told(400, {"__type": "DecryptionFailure", "Message": "canary"}), "check its KMS key"),
        (Told(400, {"__type": "ThrottlingException"}), "is asked for too often"),
        (Told(400, {"__type": "InvalidSignatureException"}), "and the machine's clock"),
        (Told(500, {"__type": "InternalServiceError"}), "or the service fails (InternalServiceError, status 500)"),
        (Told(400, {"__type": "<b>canary</b>"}), "is refused or the service fails (status 400)"),
        (Told(502, b"<html>canary</html>"), "is refused or the service fails (status 502)"),
        (Told(200, b"canary"), "cannot be read from what answered: check `endpoint_url`"),
        (Told(200, {"VersionId": "v", "SecretBinary": "Y2FuYXJ5"}), "is binary: store it as text or as a JSON object"),
        (Told(200, {"VersionId": "v", "SecretString": ""}), "has no value for api_key"),
        (Told(200, {"VersionId": "v", "SecretString": "{}"}), "is empty"),
    ],
)
async def test_each_refusal_says_what_to_do_without_awss_words(aws, plugin, told, said):
    aws.fault = told
    why = await refusal(plugin())
    assert said in why
    assert why.startswith("credential c1: the secret `prod/openai-AbC` ")
    assert "canary" not in why


async def test_what_is_missing_is_said(aws, plugin):
    assert "is not there: check `secret_id`" in await refusal(plugin(), "nothing")
    assert "has no value for absent" in await refusal(plugin(), fields={"api_key": "absent"})
    aws.put(NAME, SecretString="plain")
    assert "is plain text and has no members" in await refusal(plugin(), field="api_key")
    await aws.down()
    assert f"Secrets Manager at {aws.url}/ cannot be reached: ConnectFailed" in await refusal(plugin())
    await aws.up()


async def test_an_endpoint_that_may_not_be_called_says_how_to_allow_it(plugin):
    assert "add its network to [gateway.egress] allow" in await refusal(plugin(endpoint_url="http://10.0.0.1"))


@pytest.mark.parametrize(
    "source",
    [
        {"secret_id": ""},
        {"secret_id": "a", "region": "evil.example/"},
        {"secret_id": "a", "field": "x", "fields": {"y": "z"}},
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(source):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"backend": "aws_secrets", **source}, AwsSecretsSource)


async def test_a_region_that_is_none_is_said(plugin):
    odd = "arn:aws:secretsmanager:x@evil/:123456789012:secret:a"
    assert "x@evil/ is no AWS region" in await refusal(plugin(endpoint_url=None), odd)


async def test_an_identity_that_was_missing_is_found_once_it_is_there(plugin, monkeypatch):
    made = plugin()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "has no AWS identity" in await refusal(made)
    static_keys(monkeypatch)
    assert "sk-canary-1" == (await fetched(made))["api_key"]


def test_an_endpoint_is_an_address():
    with pytest.raises(ValueError, match="`endpoint_url` is an https:// or http:// address"):
        AwsSecretsSettings(endpoint_url="vpce.example")
