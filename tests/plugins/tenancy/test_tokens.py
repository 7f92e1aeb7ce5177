"""Tokens of sessions against those who forge them, and the keys that sign them."""

import base64
import hashlib
import hmac
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.principal import Credentials
from switchgear.counters import MemoryCounters
from switchgear.errors import AuthenticationFailed, CountersUnavailable, PermissionDenied, PluginError, RateLimited
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.authority_suite import AuthenticatorSuite, AuthorizerSuite
from switchgear.testing.context import PluginContext
from switchgear_plugins.tenancy.people import Claims, LiveTeam, LiveUser
from switchgear_plugins.tenancy.roles import Roles
from switchgear_plugins.tenancy.sessions import ACCESS, IN_COOKIE, REFRESH, Sessions
from switchgear_plugins.tenancy.settings import TenancySettings
from switchgear_plugins.tenancy.signing import ISSUER, load
from switchgear_plugins.tenancy.throttle import ADDRESS_REFILL_S, NAME_REFILL_S, PER_ADDRESS, PER_NAME, Throttle

SECRET = "a secret of at least thirty-two bytes"
NOW_S = 1_900_000_000
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def b64(value: bytes | dict[str, Any]) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwks(key: rsa.RSAPrivateKey = RSA_KEY, **members: Any) -> str:
    member = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
    return json.dumps({"keys": [{**member, "kid": "one", **members}]})


def user(**members: Any) -> LiveUser:
    given: dict[str, Any] = {
        "id": "usr_1", "username": "ann", "email": None, "name": None, "team_id": "red", "team_name": "Red",
        "role": "member", "active": True, "issuer": None, "subject": None, "password_hash": None, "epoch": 3,
        "ended": frozenset(), "most": (),
    }  # fmt: skip
    return LiveUser(**{**given, **members})


class House:
    """Sessions of one user over some keys."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.ambient = FixedAmbient()
        self.user: LiveUser | None = user()
        made = TenancySettings(**settings)
        self.ring = load(made, directory, self.ambient)
        self.sessions = Sessions(self.ring, made, self.ambient, lambda it: self.user if it == "usr_1" else None)

    def token(self, audience: str = ACCESS) -> str:
        assert self.user is not None
        return self.sessions.token(audience, self.user, "session-1").value

    def knows(self, token: str) -> bool:
        return self.sessions.known(token, ACCESS) is not None


@pytest.fixture(params=["hs256", "rs256"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path, **({"jwt_secret": SECRET} if request.param == "hs256" else {"users_jwks": jwks()}))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, claims, signature = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(it + "==")) for it in (header, claims)]
    return read[0], read[1], signature


def resigned(house: House, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign what is claimed with the house's own key, whatever the header says."""
    key = house.ring._signing
    said = f"{b64(header)}.{b64(claims)}".encode()
    if key.algorithm == "HS256":
        return f"{said.decode()}.{b64(hmac.new(key.signs, said, hashlib.sha256).digest())}"
    return (
        f"{said.decode()}.{b64(jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(said, key.signs))}"
    )


def test_what_the_house_signs_it_knows(house: House) -> None:
    header, claims, _ = parts(house.token())
    assert house.knows(house.token())
    assert house.knows(resigned(house, header, claims)), "else the forgeries below would show nothing"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "RS512", "PS256", "ES256", None, 1, ["HS256"]]
)
def test_no_other_algorithm_is_taken(house: House, algorithm: Any) -> None:
    header, claims, signature = parts(house.token())
    for sign in ("", signature):
        assert not house.knows(f"{b64({**header, 'alg': algorithm})}.{b64(claims)}.{sign}")
    assert not house.knows(resigned(house, {**header, "alg": algorithm}, claims))


def test_the_public_key_is_no_secret_of_an_hmac(tmp_path: Path) -> None:
    house = House(tmp_path, users_jwks=jwks())
    header, claims, _ = parts(house.token())
    public = RSA_KEY.public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)).encode(),
    ):
        said = f"{b64({**header, 'alg': 'HS256'})}.{b64(claims)}"
        assert not house.knows(f"{said}.{b64(hmac.new(secret, said.encode(), hashlib.sha256).digest())}")


@pytest.mark.parametrize(
    "member",
    [
        {"kid": "../../../../dev/null"}, {"kid": "' OR 1=1 --"}, {"kid": ""}, {"kid": None}, {"kid": ["one"]}, {"kid": {}},
        {"kid": "x" * 3000}, {"jwk": {"kty": "oct", "k": ""}}, {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/x"}, {"x5c": ["x"]}, {"crit": ["exp"]}, {"zip": "DEF"}, {"b64": False},
    ],
)  # fmt: skip
def test_a_header_names_nothing_that_is_fetched_or_obeyed(house: House, member: dict[str, Any]) -> None:
    header, claims, _ = parts(house.token())
    assert not house.knows(resigned(house, {**header, **member}, claims))


@pytest.mark.parametrize(
    "claim",
    [
        {"iss": "somebody"}, {"iss": None}, {"aud": REFRESH}, {"aud": [REFRESH]}, {"aud": None}, {"aud": "switchgear"},
        {"exp": None}, {"exp": "9999999999"}, {"exp": 1}, {"exp": -1}, {"exp": 1e400}, {"exp": [9999999999]},
        {"exp": True}, {"sub": "usr_2"}, {"sub": 1}, {"sub": None}, {"epoch": 2}, {"epoch": 4}, {"epoch": None},
        {"epoch": "3"}, {"sid": None}, {"sid": 1},
    ],
)  # fmt: skip
def test_claims_that_are_not_ours_are_nobodys(house: House, claim: dict[str, Any]) -> None:
    header, claims, _ = parts(house.token())
    assert not house.knows(resigned(house, header, {**claims, **claim}))
    for name in claim:
        assert not house.knows(resigned(house, header, {it: value for it, value in claims.items() if it != name}))


@pytest.mark.parametrize("audience", [REFRESH, IN_COOKIE])
def test_a_token_of_another_use_is_none_of_this_one(house: House, audience: str) -> None:
    token = house.token(audience)
    assert house.sessions.known(token, audience) is not None
    assert not house.knows(token)


def test_what_is_no_token_is_nobodys(house: House) -> None:
    token = house.token()
    header, claims, signature = token.split(".")
    deep = "[" * 100_000
    for wrong in (
        "", ".", "..", "...", "eyJ", header, f"{header}.", f"{header}.{claims}", f"{header}.{claims}.", f"{token}.x",
        f"{token} ", f" {token}", f"{header}.{claims}.{signature[:-2]}", f"{header}.{claims}.{signature}==", token.upper(),
        "eyJ" + "a" * 1024 * 1024, f"{b64(deep.encode())}.{claims}.{signature}", f"{header}.{b64(deep.encode())}.{signature}",
        "\udc80", "eyJ\0", f"{header}.{claims}.é", f"{b64(b'[]')}.{claims}.{signature}", f"{b64(b'1')}.{claims}.{signature}",
    ):  # fmt: skip
        assert not house.knows(wrong), wrong[:80]


@given(st.text(max_size=200), st.integers(0, 400))
def test_no_part_of_a_token_may_differ(text: str, at: int) -> None:
    token = TOKEN
    changed = token[:at] + text + token[at + len(text) :]
    if changed != token:
        assert KNOWN.sessions.known(changed, ACCESS) is None or _same(changed, token)


def _same(one: str, other: str) -> bool:
    """Say whether two tokens are the same bytes: the last digit of base64 has bits that mean nothing."""
    return [base64.urlsafe_b64decode(it + "==") for it in one.split(".")] == [
        base64.urlsafe_b64decode(it + "==") for it in other.split(".")
    ]


KNOWN = House(Path("/nowhere"), jwt_secret=SECRET)
TOKEN = KNOWN.token()


def test_a_session_ends_with_its_token_its_epoch_its_entry_and_its_user(house: House) -> None:
    token = house.token()
    for changed in (user(epoch=4), user(ended=frozenset({"session-1"})), user(active=False), None):
        house.user = changed
        assert not house.knows(token)
    house.user = user()
    assert house.knows(token)
    house.ambient.advance(899)
    assert house.knows(token)
    house.ambient.advance(1)
    assert not house.knows(token)


def test_one_principal_is_made_for_a_session_and_another_when_its_user_changes(house: House) -> None:
    token = house.token()
    assert house.sessions.known(token, ACCESS) is house.sessions.known(token, ACCESS)
    house.user = user(role="owner")
    who = house.sessions.known(token, ACCESS)
    assert who is not None
    assert ("owner", "session-1") == (who.facts["role"], who.session)


def test_a_cookie_alone_reads_and_changes_nothing(house: House) -> None:
    cookie = f"switchgear_session={house.token(IN_COOKIE)}".encode()
    csrf = house.sessions.csrf_token("session-1").encode()
    assert house.sessions.authenticate(Credentials({b"cookie": cookie}, method="GET")) is not None
    for method in ("POST", "PUT", "PATCH", "DELETE", None):
        good = Credentials({b"cookie": cookie, b"x-csrf-token": csrf}, method=method)
        assert house.sessions.authenticate(good) is not None
        for sent in ({}, {b"x-csrf-token": b""}, {b"x-csrf-token": house.sessions.csrf_token("session-2").encode()}):
            with pytest.raises(PermissionDenied):
                house.sessions.authenticate(Credentials({b"cookie": cookie, **sent}, method=method))


def test_another_key_of_the_set_verifies_and_does_not_sign(tmp_path: Path) -> None:
    old = House(tmp_path, users_jwks=jwks(rsa.generate_private_key(public_exponent=65537, key_size=2048), kid="old"))
    token = old.token()
    both = json.dumps({"keys": [*json.loads(jwks())["keys"], *json.loads(public_of(old))["keys"]]})
    new = House(tmp_path, users_jwks=both)
    assert new.knows(token)
    assert "one" == parts(new.token())[0]["kid"]
    assert not House(tmp_path, users_jwks=jwks()).knows(token)


def public_of(house: House) -> str:
    key = house.ring._signing
    member = jwt.algorithms.RSAAlgorithm.to_jwk(key.verifies, as_dict=True)
    return json.dumps({"keys": [{**member, "kid": key.id}]})


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}', '{"keys": [{"kty": "RSA"}]}',
     jwks(alg="RS512"), jwks(rsa.generate_private_key(public_exponent=65537, key_size=1024))],
)  # fmt: skip
def test_keys_that_cannot_sign_refuse_to_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(PluginError, match="USERS_JWKS"):
        load(TenancySettings(users_jwks=text), tmp_path, FixedAmbient())


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TenancySettings(jwt_secret="short")


def test_a_key_that_is_made_stays_and_is_nobody_elses(tmp_path: Path) -> None:
    token = House(tmp_path).token()
    file = tmp_path / "session.key"
    assert 0o600 == file.stat().st_mode & 0o777
    assert House(tmp_path).knows(token)
    file.chmod(0o644)
    with pytest.raises(PluginError, match="may be read by others"):
        House(tmp_path)
    file.chmod(0o600)
    file.write_text("damaged")
    with pytest.raises(PluginError, match="is damaged"):
        House(tmp_path)


class Silent:
    """Counters that do not answer."""

    async def peek(self, buckets: Any) -> Any:
        raise CountersUnavailable


def throttles(directory: Path, ambient: FixedAmbient, counters: Any) -> list[Throttle]:
    """Make those of two processes."""
    return [Throttle(PluginContext("tenancy", directory, ambient=ambient, counters=counters)) for _ in range(2)]


async def fails(throttle: Throttle, peer: str, name: str) -> None:
    with pytest.raises(AuthenticationFailed):
        async with throttle.attempt(peer, name):
            raise AuthenticationFailed("no", code="no")


async def succeeds(throttle: Throttle, peer: str, name: str) -> None:
    async with throttle.attempt(peer, name):
        pass


async def waits(throttle: Throttle, peer: str, name: str) -> float:
    with pytest.raises(RateLimited) as refused:
        await succeeds(throttle, peer, name)
    assert refused.value.retry_after is not None
    return refused.value.retry_after


async def test_failures_fill_a_bucket_of_the_address_and_one_of_the_name_in_all_processes(tmp_path: Path) -> None:
    ambient = FixedAmbient()
    one, other = throttles(tmp_path, ambient, MemoryCounters(ambient))
    await succeeds(one, "192.0.2.1", "ann")
    for n in range(PER_NAME):
        await fails((one, other)[n % 2], f"198.51.100.{n}", "ann")
    for throttle in (one, other):
        assert NAME_REFILL_S == pytest.approx(await waits(throttle, "203.0.113.1", "ann"))
        await succeeds(throttle, "192.0.2.1", "ann")  # from where she signed in before
        await succeeds(throttle, "203.0.113.1", "bob")
    ambient.advance(60)
    await succeeds(other, "203.0.113.1", "ann")
    for n in range(PER_ADDRESS):
        await fails((one, other)[n % 2], "2001:db8::1", f"name-{n}")
    for same in ("2001:db8::1", "2001:db8::ffff"):
        assert await waits(one, same, "anybody") <= ADDRESS_REFILL_S
    await succeeds(one, "2001:db8:0:1::1", "anybody")


async def test_attempts_that_are_still_being_checked_count(tmp_path: Path) -> None:
    ambient = FixedAmbient()
    one, other = throttles(tmp_path, ambient, MemoryCounters(ambient))
    async with AsyncExitStack() as checking:
        for n in range(PER_NAME):
            await checking.enter_async_context((one, other)[n % 2].attempt(f"198.51.100.{n}", "ann"))
        await waits(one, "203.0.113.1", "ann")
    await succeeds(one, "203.0.113.1", "ann")
    with pytest.raises(ZeroDivisionError):
        async with one.attempt("203.0.113.2", "ann"):
            raise ZeroDivisionError
    for n in range(PER_NAME):
        await fails(one, f"203.0.113.{n}", "zoe")
    await waits(one, "203.0.113.99", "zoe")


async def test_each_process_counts_for_itself_while_the_counters_are_away(tmp_path: Path) -> None:
    one, other = throttles(tmp_path, FixedAmbient(), Silent())
    for n in range(PER_NAME):
        await fails(one, f"198.51.100.{n}", "ann")
    await waits(one, "203.0.113.1", "ann")
    await succeeds(other, "203.0.113.1", "ann")


class TestSessions(AuthenticatorSuite):
    good: dict[str, dict[str, str]] = {"usr_1": {"authorization": f"Bearer {TOKEN}"}}  # noqa: RUF012
    bad = ({"authorization": f"Bearer {KNOWN.token(REFRESH)}"}, {"cookie": f"switchgear_session={TOKEN}"})

    def make(self) -> Sessions:
        return KNOWN.sessions


MEMBER, OWNER = (user(role=role, id=role).principal() for role in ("member", "owner"))


async def none(_id: str, _most: int) -> int:
    return 0


class TestRoles(AuthorizerSuite):
    allowed = ((MEMBER, "create", "api-keys", None), (OWNER, "create", "users", None), (OWNER, "read", "auth", None))
    denied = ((MEMBER, "create", "users", None), (OWNER, "list", "models", None), (OWNER, "create", "teams", None))

    def make(self) -> Roles:
        team = LiveTeam("red", "Red", True, (), True, 5)
        return Roles(lambda _: team, none)


def test_claims_are_read_as_they_are_written() -> None:
    claims = Claims(ISSUER, ACCESS, "usr_1", "s", 0, NOW_S, NOW_S + 1)
    assert claims == msgspec.convert(msgspec.structs.asdict(claims), Claims)
