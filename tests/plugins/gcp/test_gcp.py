import asyncio
import logging
import time
from typing import ClassVar

import msgspec
import pytest

from support.fake_google import FakeGoogle, empty_environment, impersonation_at, on_gce, write_account
from support.web import Told
from switchgear.ambient import Ambient
from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear_plugins.gcp.backend import CLOUD_PLATFORM, GcpSource
from switchgear_plugins.gcp.plugin import GcpPlugin
from switchgear_plugins.gcp.settings import GcpSettings

pytestmark = pytest.mark.filterwarnings("ignore:The load_credentials_from_file method:DeprecationWarning")

MODELS = "models@the-project.iam.gserviceaccount.com"


@pytest.fixture
async def google():
    async with FakeGoogle() as fake:
        yield fake


@pytest.fixture
async def chain(google, monkeypatch, tmp_path, plugin_context):
    empty_environment(monkeypatch, tmp_path)
    impersonation_at(monkeypatch, google)
    plugin_context.ambient = Ambient()
    plugin = GcpPlugin(GcpSettings(credentials_files=("/*",)), plugin_context)
    yield plugin.switchgear_credential_backends()[0].factory()
    await plugin.stop()


async def refusal(chain, **source):
    with pytest.raises(SecretUnavailable) as caught:
        await chain.fetch("c1", GcpSource(**source))
    return str(caught.value)


def lasts_about(seconds, secret):
    return abs(secret.expires_us / 1e6 - time.time() - seconds) < 30


class TestGcpBackend(CredentialBackendSuite):
    """Over the metadata server, whose token stays the same while it lasts."""

    source: ClassVar = {"backend": "gcp"}
    values: ClassVar = {"access_token": "ya29.canary-same", "project_id": "the-project"}
    absent: ClassVar = {"backend": "gcp", "impersonate": "nobody@x.example"}

    @pytest.fixture(autouse=True)
    async def _served(self, chain, google, monkeypatch):
        on_gce(monkeypatch, google)
        google.token = lambda: "ya29.canary-same"
        self.one = chain

    def make(self):
        return self.one


async def test_the_metadata_server_gives_token_project_and_end(google, chain, monkeypatch):
    on_gce(monkeypatch, google)
    google.lasts_s = 1800
    secret = await chain.fetch("c1", GcpSource())
    assert {"access_token": "ya29.canary-1", "project_id": "the-project"} == dict(secret)
    assert lasts_about(1800, secret)
    [token] = [asked for asked in google.asked if asked.path.endswith("/token")]
    assert {"scopes": CLOUD_PLATFORM} == token.query


async def test_a_service_account_named_by_the_environment_signs_for_its_token(google, chain, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", write_account(google, tmp_path / "a.json"))
    secret = await chain.fetch("c1", GcpSource())
    assert {"access_token": "ya29.canary-1", "project_id": "the-project"} == dict(secret)
    assert lasts_about(3600, secret)
    assert CLOUD_PLATFORM == google.claims["scope"]


async def test_a_file_may_be_named_with_scopes_and_is_read_as_it_is_now(google, chain, tmp_path):
    file = write_account(google, tmp_path / "a.json")
    source = GcpSource(credentials_file=file, scopes=("scope:one", "scope:two"))
    assert "ya29.canary-1" == (await chain.fetch("c1", source))["access_token"]
    assert "scope:one scope:two" == google.claims["scope"]
    write_account(google, tmp_path / "a.json", project_id="another")
    assert "another" == (await chain.fetch("c1", source))["project_id"]


async def test_an_account_is_impersonated_with_the_identity_there_is(google, chain, tmp_path):
    file = write_account(google, tmp_path / "a.json")
    google.lasts_s = 1200
    secret = await chain.fetch("c1", GcpSource(credentials_file=file, impersonate=MODELS, scopes=("scope:one",)))
    assert {"access_token": "ya29.canary-2", "project_id": "the-project"} == dict(secret)
    assert lasts_about(1200, secret)
    asked = google.asked[-1]
    assert (f"/impersonate/{MODELS}", ["scope:one"], "3600s") == (
        asked.path,
        asked.json["scope"],
        asked.json["lifetime"],
    )
    assert (await refusal(chain, credentials_file=file, impersonate="nobody@x.example")).startswith(
        "credential c1: Google gives no token now (RefreshError) for nobody@x.example: the gateway's identity needs the role "
    )


async def test_many_at_once_leave_the_event_loop_free(google, chain, tmp_path):
    file = write_account(google, tmp_path / "a.json")
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    found = await asyncio.gather(*(chain.fetch("c1", GcpSource(credentials_file=file)) for _ in range(6)))
    turning.cancel()
    assert {f"ya29.canary-{number}" for number in range(1, 7)} == {secret["access_token"] for secret in found}
    assert turns > 10, "a fetch that held the loop would let it turn once or twice"


async def test_without_an_identity_it_says_what_to_do(google, chain, tmp_path):
    assert (await refusal(chain)).startswith("credential c1: the gateway has no Google Cloud identity: set GOOGLE_")
    (tmp_path / "empty.json").write_text('{"private_key": "canary"}')
    (tmp_path / "broken.json").write_text("canary{")
    for name in ("missing.json", "empty.json", "broken.json"):
        file = str(tmp_path / name)
        assert (
            f"credential c1: the file {file} is missing or holds no Google credentials: correct `credentials_file`"
            == (await refusal(chain, credentials_file=file))
        )
    file = write_account(google, tmp_path / "bad.json", private_key="canary")
    why = await refusal(chain, credentials_file=file)
    assert "canary" not in why


@pytest.mark.parametrize("told", [Told(403, {"error": "canary"}), Told(200, b"canary"), Told(200, {"token": "canary"})])
async def test_a_token_service_that_fails_is_said_without_its_words(google, chain, tmp_path, told):
    file = write_account(google, tmp_path / "a.json")
    google.fault = told
    why = await refusal(chain, credentials_file=file)
    assert "Google gives no token now (" in why
    assert "canary" not in why


async def test_a_token_that_has_ended_is_none(google, chain, tmp_path):
    google.lasts_s = -10
    why = await refusal(chain, credentials_file=write_account(google, tmp_path / "a.json"))
    assert "credential c1: Google's token has ended; check the machine's clock" == why


async def test_nothing_is_logged_that_was_got(google, chain, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    await chain.fetch("c1", GcpSource(credentials_file=write_account(google, tmp_path / "a.json"), impersonate=MODELS))
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "source",
    [{"scopes": []}, {"scopes": ["a b"]}, {"impersonate": "x"}, {"impersonate": "a@b/../c"}, {"credentials_file": ""}],
)
def test_a_source_that_cannot_be_meant_is_refused(source):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"backend": "gcp", **source}, GcpSource)


@pytest.mark.parametrize("file", ["/etc/passwd", "/etc/switchgear/../passwd", "switchgear/a.json", "/etc/switchgear/"])
async def test_a_file_that_the_operator_did_not_name_is_not_read(plugin_context, file):
    plugin = GcpPlugin(GcpSettings(credentials_files=("/etc/switchgear/*",)), plugin_context)
    [offer] = plugin.switchgear_credential_backends()
    with pytest.raises(SecretUnavailable, match="credentials_files"):
        await offer.factory().fetch("c", GcpSource(credentials_file=file))
    await plugin.stop()
