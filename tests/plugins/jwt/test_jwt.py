"""Workloads that an outside issuer vouches for, at a gateway over real sockets."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import encode

from support.openid import OpenIdProvider, rsa, signed, unsigned
from switchgear.testing.ambient import Ahead
from switchgear.testing.gateway import Running, eventually, running

SHARED = "a secret that two services have together"


@pytest.fixture
async def issuer() -> AsyncIterator[OpenIdProvider]:
    async with OpenIdProvider() as it:
        yield it


@asynccontextmanager
async def trusting(
    directory: Path, issuer: OpenIdProvider, ambient: Ahead | None = None, **says: Any
) -> AsyncIterator[Running]:
    published: dict[str, Any] = {
        "issuer": issuer.url, "audience": ["switchgear"], "jwks_url": f"{issuer.url}/jwks", "models": ["*"],
    }  # fmt: skip
    shared = {"issuer": "house", "audience": ["switchgear"], "secret": SHARED, "models": ["echo"], "team": "red"}
    issuers: Mapping[str, Any] = {"ci": published | says, "house": shared}
    async with running(directory, plugins={"jwt": {"issuers": issuers}}, ambient=ambient) as run:
        yield run


def claims(issuer: OpenIdProvider, **members: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {"iss": issuer.url, "aud": "switchgear", "sub": "repo:acme/app", "iat": now, "exp": now + 600, **members}
    return {name: value for name, value in said.items() if value is not None}


async def status(run: Running, token: str, model: str = "echo") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {token}"}
    return (await run.http.post("/v1/chat/completions", json=body, headers=headers)).status_code


async def test_a_workload_calls_and_is_recorded_under_its_labels(tmp_path: Path, issuer: OpenIdProvider) -> None:
    says = {"team_claim": "owner", "user_claim": "actor", "tags_claim": "env"}
    async with trusting(tmp_path, issuer, **says) as run:
        token = issuer.sign(claims(issuer, owner="acme", actor="ann", env=["prod"]))
        assert [200, 200] == [await status(run, token) for _ in range(2)]
        record = (await run.usage())[0]
        assert ("acme", "ann", "ci:repo:acme/app", ["prod"]) == tuple(
            record[it] for it in ("team_id", "user_id", "key_id", "tags")
        )
        assert 1 == sum(asked.path == "/jwks" for asked in issuer.asked)
        assert 401 == (await run.http.get("/admin/v1/models", headers={"authorization": "Bearer eyJ"})).status_code
        assert 403 == (await run.http.get("/admin/v1/models", headers={"authorization": f"Bearer {token}"})).status_code


async def test_a_shared_secret_signs_and_the_team_bounds(tmp_path: Path, issuer: OpenIdProvider) -> None:
    async with trusting(tmp_path, issuer) as run:
        token = encode({**claims(issuer), "iss": "house"}, SHARED, "HS256")
        assert 200 == await status(run, token), "a team that nobody made is a label"
        await run.create("teams", id="red", name="Red", permissions={"models": ["other"]})
        assert 404 == await status(run, token)
        await run.patch("/teams/red", permissions={"models": ["*"]})
        assert 200 == await status(run, token)
        await run.patch("/teams/red", status="suspended")
        assert 401 == await status(run, token)


async def test_a_budget_by_label_holds(tmp_path: Path, issuer: OpenIdProvider) -> None:
    async with trusting(tmp_path, issuer, labels={"project": "project"}) as run:
        limit = {"scope": {"labels": {"project": "small"}}, "requests_per_minute": 1}
        await run.create("limits", id="small", **limit)
        small, big = (issuer.sign(claims(issuer, project=name)) for name in ("small", "big"))
        other = issuer.sign(claims(issuer, project="small", sub="repo:acme/other"))
        assert [200, 429, 200] == [await status(run, it) for it in (small, other, big)]


async def test_rules_say_who_is_what(tmp_path: Path, issuer: OpenIdProvider) -> None:
    rules = [
        {"when": {"sub": "repo:acme/deploy", "ref": "refs/heads/main"}, "admin": True, "models": []},
        {"when": {"sub": "repo:acme/*"}, "team": "acme", "models": ["echo"]},
    ]
    async with trusting(tmp_path, issuer, rules=rules, require={"org": "acme"}) as run:
        deploy = issuer.sign(claims(issuer, sub="repo:acme/deploy", ref="refs/heads/main", org="acme"))
        branch = issuer.sign(claims(issuer, sub="repo:acme/deploy", ref="refs/heads/x", org="acme"))
        admin = [
            (await run.http.get("/admin/v1/models", headers={"authorization": f"Bearer {it}"})).status_code
            for it in (deploy, branch)
        ]
        assert ([200, 403], [404, 200]) == (admin, [await status(run, it) for it in (deploy, branch)])
        strangers = (claims(issuer, sub="repo:acmeevil/x", org="acme"), claims(issuer, org="other"), claims(issuer))
        assert [401] * 3 == [await status(run, issuer.sign(it)) for it in strangers]


WRONG: list[dict[str, Any]] = [
    {"exp": None}, {"exp": "9999999999"}, {"exp": 1e300}, {"exp": -1}, {"exp": True}, {"exp": 1000}, {"nbf": 9_999_999_999},
    {"iat": 9_999_999_999}, {"aud": "other"}, {"aud": None}, {"aud": [["switchgear"]]}, {"aud": {"switchgear": 1}},
    {"iss": "https://other.example"}, {"iss": ["x"]}, {"iss": None}, {"sub": None}, {"sub": ""}, {"sub": "a\nb"},
    {"sub": "x" * 1000}, {"sub": {"a": 1}},
]  # fmt: skip


async def test_claims_that_are_not_good_are_nobodys(tmp_path: Path, issuer: OpenIdProvider) -> None:
    async with trusting(tmp_path, issuer) as run:
        found = {str(it): await status(run, signed(claims(issuer, **it), rsa())) for it in WRONG}
        assert dict.fromkeys(found, 401) == found
        assert 200 == await status(run, signed(claims(issuer), rsa())), "a token need not name its key"


def forged(header: dict[str, Any], body: dict[str, Any], secret: bytes) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in (header, body)]
    made = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, base64.urlsafe_b64encode(made).decode().rstrip("=")])


async def test_forged_tokens_are_nobodys(tmp_path: Path, issuer: OpenIdProvider) -> None:
    async with trusting(tmp_path, issuer) as run:
        said = claims(issuer)
        good = issuer.sign(said)
        assert 200 == await status(run, good)
        public = rsa().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        jwk = (await run.http.get(f"{issuer.url}/jwks")).json()["keys"][0]
        head, body, signature = good.split(".")
        forgeries = {
            "none": unsigned(said),
            "confusion": forged({"alg": "HS256", "kid": "k1"}, said, public),
            "empty secret": forged({"alg": "HS256"}, {**said, "iss": "house"}, b""),
            "another's key": encode(said, rsa(1), "RS256", headers={"kid": "k1"}),
            "another algorithm": encode(said, rsa(), "PS256", headers={"kid": "k1"}),
            "its own key": encode(said, rsa(1), "RS256", headers={"kid": "k1", "jwk": jwk}),
            "its own url": encode(said, rsa(1), "RS256", headers={"jku": f"{issuer.url}/evil", "x5u": "http://x/"}),
            "kid that leads elsewhere": encode(said, rsa(1), "RS256", headers={"kid": "../../dev/null"}),
            "crit": encode(said, rsa(), "RS256", headers={"kid": "k1", "crit": ["exp"]}),
            "another purpose": issuer.sign(said, typ="logout+jwt"),
            "cut": good[:-4],
            "other claims": f"{head}.{body[:-2]}AA.{signature}",
            "long": good + "A" * 1_000_000,
            "of the house by the issuer": issuer.sign({**said, "iss": "house"}),
        }
        found = {name: await status(run, token) for name, token in forgeries.items() if name != "long"}
        assert dict.fromkeys(found, 401) == found
        assert await status(run, forgeries["long"]) in (400, 401, 431)
        assert 200 == await status(run, good)
        assert not [asked for asked in issuer.asked if asked.path == "/evil"]


async def test_keys_are_renewed_and_a_flood_of_unknown_ones_fetches_nothing(
    tmp_path: Path, issuer: OpenIdProvider
) -> None:
    clock = Ahead()
    async with trusting(tmp_path, issuer, clock) as run:
        fetched = lambda: sum(asked.path == "/jwks" for asked in issuer.asked)  # noqa: E731
        old = issuer.sign(claims(issuer))
        assert {200} == set(await asyncio.gather(*(status(run, old) for _ in range(10))))
        assert 1 == fetched()
        flood = [encode(claims(issuer, n=n), rsa(1), "RS256", headers={"kid": f"x{n}"}) for n in range(50)]
        assert {401} == set(await asyncio.gather(*(status(run, it) for it in flood)))
        assert 1 == fetched(), "they were fetched a moment ago"
        issuer.keys, issuer.signs = {"k2": rsa(2)}, "k2"
        clock.skip(31)
        new = issuer.sign(claims(issuer))
        assert ([200, 401], 2) == ([await status(run, new), await status(run, old)], fetched())


async def test_where_the_issuer_is_away_what_is_known_goes_on(tmp_path: Path, issuer: OpenIdProvider) -> None:
    clock = Ahead()
    async with trusting(tmp_path, issuer, clock) as run:
        await issuer.down()
        token = issuer.sign(claims(issuer, exp=int(time.time()) + 100_000))
        assert 503 == await status(run, token)
        await issuer.up()
        clock.skip(31)
        assert 200 == await status(run, token)
        await issuer.down()
        clock.skip(7200)
        assert 200 == await status(run, token)
        clock.skip(100_000)
        assert 401 == await status(run, token)
        await issuer.up()


async def test_suspending_the_team_cuts_what_streams(tmp_path: Path, issuer: OpenIdProvider) -> None:
    async with trusting(tmp_path, issuer, team="red") as run:
        await run.create("teams", id="red", name="Red")
        token = issuer.sign(claims(issuer))
        assert 200 == await status(run, token)
        await run.patch("/teams/red", permissions={"models": []})

        async def refused() -> bool:
            return await status(run, token) == 404

        await eventually(refused)
