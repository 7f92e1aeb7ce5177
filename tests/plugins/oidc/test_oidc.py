"""Signing in with an OpenID provider, as a browser does it, and what an attacker tries."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx

from support.openid import CLIENT, SECRET, OpenIdProvider, rsa, signed, unsigned
from support.ports import free_port
from switchgear.testing.ambient import Ahead
from switchgear.testing.gateway import Running, running

LOGIN = "/admin/v1/auth/oidc/staff/login"


class House:
    """A gateway that trusts a provider, and browsers that go there."""

    def __init__(self, run: Running, idp: OpenIdProvider) -> None:
        self.run = run
        self.idp = idp

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.run.url, timeout=60)

    async def out(self, browser: httpx.AsyncClient, path: str = LOGIN) -> str:
        """Begin to sign in; return where the provider sends the browser."""
        away = await browser.get(path)
        assert 303 == away.status_code, away.text
        there = await browser.get(away.headers["location"])
        return there.headers["location"]

    async def sign_in(self) -> tuple[httpx.AsyncClient, httpx.Response]:
        browser = self.browser()
        return browser, await browser.get(await self.out(browser))

    async def refused(self) -> int:
        """Return how signing in ends, of which no session may come."""
        browser, back = await self.sign_in()
        assert "switchgear_session" not in browser.cookies
        return back.status_code


@asynccontextmanager
async def housing(directory: Path, ambient: Ahead | None = None, **says: Any) -> AsyncIterator[House]:
    async with OpenIdProvider() as idp:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        staff = {"issuer": idp.url, "client_id": CLIENT, "client_secret": SECRET, "team": "red", **says}
        staff = {name: it for name, it in staff.items() if it is not None}
        other = {"issuer": "https://other.example", "client_id": CLIENT, "title": "The others"}
        plugins = {"oidc": {"url": url, "providers": {"staff": staff, "other": other}}}
        idp.redirects = {f"{url}/admin/v1/auth/oidc/staff/callback"}
        async with running(directory, plugins=plugins, gateway={"port": port}, ambient=ambient) as run:
            await run.create("teams", id="red", name="Red")
            yield House(run, idp)


async def test_the_first_login_makes_the_user_and_begins_a_session(tmp_path: Path) -> None:
    rules = [{"when": {"groups": "leads"}, "role": "admin"}, {"when": {"groups": "*"}, "role": "member"}]
    async with housing(tmp_path, rules=rules) as house:
        ways = (await house.run.http.get("/admin/v1/auth/ways")).json()
        assert {"id": "staff", "title": "Staff", "path": LOGIN} in ways["providers"]
        house.idp.user |= {"groups": ["x", "leads"], "name": "Otto"}
        browser = house.browser()
        back = await browser.get(await house.out(browser, f"{LOGIN}?next=/ui/ui/index.html"))
        assert (303, f"{house.run.url}/ui/ui/index.html") == (back.status_code, back.headers["location"])
        me = (await browser.get("/admin/v1/auth/me")).json()
        assert ("otto", "Otto", "red", "admin") == tuple(
            me["user"][it] for it in ("username", "name", "team_id", "role")
        )
        cookies = [it for name, it in back.headers.multi_items() if name == "set-cookie"]
        [session] = [it.lower() for it in cookies if it.startswith("switchgear_session")]
        assert "httponly" in session
        assert "samesite=strict" in session
        house.idp.user["groups"] = ["y"]
        again, _ = await house.sign_in()
        found = (await again.get("/admin/v1/auth/me")).json()["user"]
        assert (me["user"]["id"], "member") == (found["id"], found["role"])
        assert 401 == (await browser.get("/admin/v1/auth/me")).status_code, "the session of the other role has ended"


async def test_rules_decide_and_who_has_none_is_refused(tmp_path: Path) -> None:
    rules = [{"when": {"realm.roles": "ops"}, "team": "administrators", "role": "owner"}]
    async with housing(tmp_path, team=None, rules=rules, userinfo=True) as house:
        assert 403 == await house.refused()
        house.idp.userinfo = {"realm": {"roles": ["ops"]}}
        browser, _ = await house.sign_in()
        assert 200 == (await browser.get("/admin/v1/models")).status_code
        house.idp.userinfo = {"sub": "somebody else", "realm": {"roles": ["ops"]}}
        assert 403 == await house.refused()


async def test_nobody_is_taken_for_somebody_else(tmp_path: Path) -> None:
    async with housing(tmp_path, create=False) as house:
        assert 403 == await house.refused()
        (tmp_path / "other").mkdir()
    async with housing(tmp_path / "other") as house:
        await house.run.create("users", username="otto", password="correct horse", team_id="red")
        assert 403 == await house.refused()


async def test_id_tokens_that_are_not_good_are_refused(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        idp = house.idp
        claims = [
            {"nonce": "another"}, {"nonce": None}, {"iss": "https://other.example"}, {"aud": "another"}, {"exp": 1000},
            {"exp": None},
            {"aud": [CLIENT, "another"]}, {"azp": "another"}, {"sub": None}, {"sub": ""}, {"iat": 9_999_999_999},
        ]  # fmt: skip
        forgeries = [lambda said, it=it: idp.sign(said | it) for it in claims]
        forgeries += [
            unsigned,
            lambda said: signed(said, rsa(1), kid="k1"),
            lambda said: signed(said, rsa(1), kid="k9"),
            lambda said: signed(said, rsa(), kid="k1", crit=["exp"]),
            lambda said: idp.sign(said, typ="logout+jwt"),
            lambda _: "no token",
        ]
        found = []
        for idp.forge in forgeries:
            found.append(await house.refused())
        assert [403] * len(forgeries) == found
        idp.forge = lambda said: idp.sign({**said, "aud": [CLIENT], "azp": CLIENT})
        assert 303 == (await house.sign_in())[1].status_code


async def test_the_way_back_is_of_the_browser_that_went_out_and_good_once(tmp_path: Path) -> None:
    clock = Ahead()
    async with housing(tmp_path, clock) as house:
        victim, attacker = house.browser(), house.browser()
        back = await house.out(attacker)
        assert 403 == (await victim.get(back)).status_code, "it began nothing"
        await house.out(victim)
        assert 403 == (await victim.get(back)).status_code, "it began something else"
        kept = attacker.cookies["switchgear_oidc"]
        assert 303 == (await attacker.get(back)).status_code
        assert "switchgear_oidc" not in attacker.cookies
        replayed = await victim.get(back, headers={"cookie": f"switchgear_oidc={kept}"})
        assert 403 == replayed.status_code
        late = house.browser()
        back = await house.out(late)
        clock.skip(601)
        assert 403 == (await late.get(back)).status_code
        for cookie in ("", "x", "W10", "e30=", "A" * 5000):
            sent = {"cookie": f"switchgear_oidc={cookie}"}
            answer = await house.browser().get(f"{LOGIN[:-5]}callback?state=x&code=y", headers=sent)
            assert 403 == answer.status_code


async def test_codes_and_answers_of_others_are_refused(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        for change in (
            {"iss": "https://other.example"},
            {"iss": None},
            {"code": "guessed"},
            {"code": None, "error": "access_denied"},
        ):
            browser = house.browser()
            url = urlsplit(await house.out(browser))
            said = {name: it for name, it in (dict(parse_qsl(url.query)) | change).items() if it is not None}
            assert 403 == (await browser.get(url._replace(query=urlencode(said)).geturl())).status_code
        browser, other = house.browser(), house.browser()
        injected = dict(parse_qsl(urlsplit(await house.out(other)).query))["code"]
        url = urlsplit(await house.out(browser))
        said = dict(parse_qsl(url.query)) | {"code": injected}
        assert 403 == (await browser.get(url._replace(query=urlencode(said)).geturl())).status_code, "PKCE"
        back = (await house.out(browser)).replace("/staff/", "/other/")
        assert 403 == (await browser.get(back)).status_code, "a way of one provider is none of another"


ELSEWHERE = ("https://evil.example/", "//evil.example", "/ui/../v1", "/ui/\\evil", "/admin/v1/x", "/ui/x\r\nx: y")


async def test_nobody_is_sent_elsewhere_after(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        for where in ELSEWHERE:
            browser = house.browser()
            back = await browser.get(await house.out(browser, f"{LOGIN}?{urlencode({'next': where})}"))
            assert f"{house.run.url}/ui/" == back.headers["location"]
        browser = house.browser()
        back = await house.out(browser)
        flow = json.loads(base64.urlsafe_b64decode(browser.cookies["switchgear_oidc"]))
        forged = base64.urlsafe_b64encode(json.dumps([*flow[:4], "@evil.example/", flow[5]]).encode()).decode()
        told = await house.browser().get(back, headers={"cookie": f"switchgear_oidc={forged}"})
        assert f"{house.run.url}/ui/" == told.headers["location"]


async def test_what_the_provider_says_of_itself_is_looked_at(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"issuer": "https://other.example"},
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint": "file:///x"},
    ]
    clock = Ahead()
    async with housing(tmp_path, clock) as house:
        for house.idp.metadata in wrong:
            assert 503 == (await house.browser().get(LOGIN)).status_code
            clock.skip(2)
        house.idp.metadata = {}
        away = (await house.browser().get(LOGIN)).headers["location"]
        assert ["S256"] == parse_qs(urlsplit(away).query)["code_challenge_method"]


async def test_a_provider_that_is_away_is_told_and_not_asked_again_at_once(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        await house.idp.down()
        assert [503, 503] == [(await house.browser().get(LOGIN)).status_code for _ in range(2)]
        await house.idp.up()


async def test_keys_are_renewed(tmp_path: Path) -> None:
    clock = Ahead()
    async with housing(tmp_path, clock) as house:
        assert 303 == (await house.sign_in())[1].status_code
        house.idp.keys, house.idp.signs = {"k2": rsa(2)}, "k2"
        clock.skip(31)
        assert 303 == (await house.sign_in())[1].status_code


async def test_who_logs_out_at_the_provider_is_logged_out_here(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        browser, _ = await house.sign_in()
        hears = f"{LOGIN[:-5]}backchannel-logout"
        token = house.idp.logout_token()
        wrong = [
            house.idp.logout_token(nonce="n"), house.idp.logout_token(events={}), house.idp.logout_token(aud="another"),
            house.idp.logout_token(sub=None, sid="s"), house.idp.logout_token(exp=int(time.time()) - 100), unsigned({}), "",
        ]  # fmt: skip
        for it in wrong:
            assert 400 == (await house.run.http.post(hears, data={"logout_token": it})).status_code
        assert 415 == (await house.run.http.post(hears, json={"logout_token": token})).status_code
        assert 200 == (await browser.get("/admin/v1/auth/me")).status_code
        assert 200 == (await house.run.http.post(hears, data={"logout_token": token})).status_code
        assert 401 == (await browser.get("/admin/v1/auth/me")).status_code
        assert 400 == (await house.run.http.post(hears, data={"logout_token": token})).status_code, "it is good once"
