"""Clients that a proxy knows by their certificates, and those who only say so."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from switchgear.contracts.principal import Credentials, Principal
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear.testing.authority_suite import AuthenticatorSuite
from switchgear.testing.gateway import running
from switchgear_plugins.client_certificates.authenticator import CertificateAuthenticator
from switchgear_plugins.client_certificates.settings import ClientCertificatesSettings, RuleSettings

KEY = ec.generate_private_key(ec.SECP256R1())
START = datetime.fromtimestamp(START_US / 1e6, UTC)
PROXY = "192.0.2.1"


def certified(name: str, *uris: str, begins: datetime = START, days: float = 1.0) -> x509.Certificate:
    """Make a certificate of a common name and alternative names."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    made = (
        x509.CertificateBuilder(issuer, subject, KEY.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
    )
    if uris:
        names = [x509.UniformResourceIdentifier(it) for it in uris]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(KEY, SHA256())


def escaped(certificate: x509.Certificate) -> str:
    return quote(certificate.public_bytes(Encoding.PEM).decode())


def coded(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def authenticator(ambient: FixedAmbient | None = None, **settings: Any) -> CertificateAuthenticator:
    rules = (
        RuleSettings({"uri": "spiffe://acme/prod/*"}, team="prod", models=("gpt-*",), tags=("svc",)),
        RuleSettings({"cn": "root", "issuer": "CN=CA"}, admin=True),
        RuleSettings({"cn": "ann"}, user="usr_1", models=("*",)),
    )
    said = ClientCertificatesSettings(**{"proxies": (PROXY, "2001:db8::/64"), "rules": rules, **settings})
    return CertificateAuthenticator(said, ambient or FixedAmbient(), lambda *_: None)


def sent(value: str, peer: str | None = PROXY, **headers: str) -> Credentials:
    named = {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}
    return Credentials({b"client-cert": value.encode("latin-1"), **named}, peer)


def who(value: str, *, by: CertificateAuthenticator | None = None, **said: Any) -> Principal | None:
    return (by or authenticator()).authenticate(sent(value, **said))


ANN = certified("ann")
BOB = certified("bob")
EVIL = f'x\\",By=a;Cert=\\"{escaped(ANN)}\\";URI=\\"'
"""A subject that looks like more of the header, as Envoy writes it."""


@pytest.mark.parametrize(
    "value",
    [
        f":{coded(ANN)}:",
        coded(ANN),
        escaped(ANN),
        escaped(ANN).replace("%2B", "+").replace("%3D", "="),
        f'Cert="{escaped(ANN)}"',
        f'By=spiffe://a;Hash=00;Cert="{escaped(BOB)}",By=b;Subject="O=Acme, \\"CN\\";x";Cert="{escaped(ANN)}";URI=',
    ],
    ids=["rfc9440", "der", "pem", "pem of a load balancer", "envoy", "last of envoy's"],
)
def test_a_certificate_is_read_however_a_proxy_writes_it(value: str) -> None:
    found = who(value)
    assert found is not None
    assert ("certificate:CN=ann,O=Acme", "certificate", {"user": "usr_1"}) == (found.id, found.kind, found.labels)
    assert round((START + timedelta(days=1)).timestamp() * 1e6) == found.expires_us
    assert found.may("use", "models", "m")
    assert not found.may("read", "models", "m")


@pytest.mark.parametrize(
    "value",
    [
        "", "::", ":", "ann", "CN=ann", "Subject=CN=ann", 'Subject="CN=ann"', "-----BEGIN CERTIFICATE-----",
        f":{coded(ANN)[:-8]}:",
        f"{coded(ANN)},{coded(BOB)}", f'Cert="{escaped(ANN)}",By=b', f'Cert="{escaped(ANN)}";Cert="{escaped(ANN)}"',
        f'Cert="{escaped(ANN)}', f'Cert="{escaped(ANN)}";oops', f'Hash=1;Subject="{EVIL}"',
        f'Subject="{EVIL}";Cert="{escaped(BOB)}"', "%00", "\xff" * 20, "Cert=" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_certificate_of_somebody_known_is_nobodys(value: str) -> None:
    assert who(value) is None


def test_only_proxies_that_are_declared_are_believed() -> None:
    good = coded(ANN)
    assert all(who(good, peer=it) for it in (PROXY, f"::ffff:{PROXY}", "2001:db8::7"))
    for peer in (None, "", "192.0.2.2", "127.0.0.1", "::1", "2001:db8:0:1::7", "unix", "192.0.2.1.evil"):
        assert who(good, peer=peer) is None, peer
        assert who(good, peer=peer, x_forwarded_for=PROXY, forwarded=f"for={PROXY}", x_real_ip=PROXY) is None
    assert who(good, by=authenticator(proxies=())) is None
    assert who(good, by=authenticator(rules=())) is None


def test_who_says_more_is_whom_that_means_and_no_page_of_another_site_is() -> None:
    good = coded(ANN)
    assert who(good, authorization="Bearer sg_live_x") is None
    assert who(good, x_api_key="sg_live_x") is None
    assert [who(good, sec_fetch_site=it) is None for it in ("same-origin", "none", "same-site", "cross-site", "")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_a_certificate_is_good_between_its_dates() -> None:
    ambient = FixedAmbient()
    by, later = authenticator(ambient), coded(certified("ann", begins=START + timedelta(hours=1)))
    assert who(later, by=by) is None
    ambient.advance(3600)
    assert who(later, by=by) is not None
    ambient.advance(86_400)
    assert who(later, by=by) is None


def test_the_first_rule_that_means_it_says_what_it_is() -> None:
    service = who(coded(certified("ann", "spiffe://acme/dev/x", "spiffe://acme/prod/api")))
    assert service is not None
    assert ({"team": "prod"}, ("svc",)) == (service.labels, service.tags)
    assert [True, False] == [service.may("use", "models", it) for it in ("gpt-4o", "claude")]
    assert who(coded(certified("other", "spiffe://acme/prodx/api", "spiffe://evil/spiffe://acme/prod/"))) is None
    root = who(coded(certified("root")))
    assert root is not None
    assert [True, False] == [root.may("delete", "models", "m"), root.may("use", "models", "m")]


class TestCertificates(AuthenticatorSuite):
    good: ClassVar = {"certificate:CN=ann,O=Acme": {"client-cert": coded(ANN)}}
    bad: ClassVar = ({"client-cert": coded(BOB)},)

    def make(self) -> CertificateAuthenticator:
        return authenticator()


async def test_a_client_calls_under_its_team_and_ends_with_it(tmp_path: Path) -> None:
    rules = [{"when": {"cn": "ci"}, "team": "red", "models": ["*"]}]
    plugins = {"client_certificates": {"proxies": ["127.0.0.1"], "rules": rules}}
    value = f":{coded(certified('ci', begins=datetime.now(UTC) - timedelta(hours=1)))}:"
    async with running(tmp_path, plugins=plugins) as run:
        await run.create("teams", id="red", name="Red", permissions={"models": ["echo"]})

        async def status(**headers: str) -> int:
            body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
            return (await run.http.post("/v1/chat/completions", json=body, headers=headers)).status_code

        assert 200 == await status(**{"client-cert": value})
        [record] = await run.usage()
        assert ("certificate:CN=ci,O=Acme", "red") == (record["key_id"], record["team_id"])
        assert 403 == (await run.http.get("/admin/v1/models", headers={"client-cert": value})).status_code
        assert 401 == await status(**{"client-cert": value, "authorization": "Bearer no"})
        assert 401 == await status()
        await run.patch("/teams/red", status="suspended")
        assert 401 == await status(**{"client-cert": value})
