"""Signing in: with a password, with a key, with the link of a first run; and out."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from console.conftest import PASSWORD, Console, House, Opens
from support.openid import CLIENT, SECRET, OpenIdProvider
from support.ports import free_port
from switchgear.testing.gateway import ADMIN_KEY

pytestmark = pytest.mark.slow


def test_a_password_begins_a_session_that_survives_a_reload_and_leaves_nothing_for_scripts(
    house: House, opens: Opens
) -> None:
    console = opens()
    console.sign_in()
    console.page.reload()
    console.page.wait_for_selector(".shell")
    kept = console.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert "eyJ" not in kept
    assert "switchgear_session" not in kept
    [cookie] = [it for it in console.page.context.cookies() if it["name"] == "switchgear_session"]
    assert (True, "Strict") == (cookie["httpOnly"], cookie["sameSite"])
    console.page.get_by_label("Account and appearance").click()
    console.page.get_by_role("button", name="Sign out").click()
    console.page.wait_for_selector(".signin")
    console.page.reload()
    console.page.wait_for_selector(".signin form")


def test_a_wrong_password_is_told_at_the_field(house: House, opens: Opens) -> None:
    console = opens()
    console.page.get_by_label("User", exact=True).fill("admin")
    console.page.get_by_label("Password", exact=True).fill("wrong")
    console.page.get_by_role("button", name="Sign in", exact=True).click()
    console.page.get_by_text("The username or the password is wrong.").wait_for()


def test_a_key_signs_in_and_is_in_memory_alone(house: House, opens: Opens) -> None:
    console = opens()
    console.page.get_by_role("button", name="With an admin key").click()
    console.page.get_by_label("Admin key").fill("no such key at all")
    console.page.get_by_role("button", name="Sign in", exact=True).click()
    console.page.get_by_text("This key opens nothing here.").wait_for()
    console.page.get_by_label("Admin key").fill(ADMIN_KEY)
    console.page.get_by_role("button", name="Sign in", exact=True).click()
    console.page.wait_for_selector(".shell")
    assert ADMIN_KEY not in console.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    console.page.reload()
    console.page.wait_for_selector(".signin form")


def test_the_link_of_a_first_run_makes_the_first_administrator_once(browser: Browser, tmp_path: Path) -> None:
    with House(tmp_path, environ={"ADMIN_DEFAULT_PASSWORD": ""}) as house:
        [tenancy] = [it.plugin for it in house.run.gateway.kernel.plugins if it.installed.name == "tenancy"]
        token = house.do(tenancy.setup.offer())
        context = browser.new_context()
        console = Console(context, house.run.url)
        console.open(f"setup-link?token={token}")
        console.page.get_by_label("User", exact=True).fill("ada")
        console.page.get_by_label("Password", exact=True).fill(PASSWORD)
        console.page.get_by_label("The password again").fill(PASSWORD)
        console.page.get_by_role("button", name="Begin").click()
        console.page.get_by_role("heading", name="Connect a provider").wait_for()
        assert token not in console.page.url
        context.close()
        again = Console(browser.new_context(), house.run.url)
        again.open(f"setup-link?token={token}")
        again.page.get_by_label("Password", exact=True).fill(PASSWORD)
        again.page.get_by_label("The password again").fill(PASSWORD)
        again.page.get_by_role("button", name="Begin").click()
        again.page.get_by_text("This setup link is not good any more").wait_for()
        again.page.context.close()
        assert [] == console.complaints


def test_a_member_sees_their_own_area(house: House, opens: Opens) -> None:
    house.admin("POST", "/teams", {"id": "red", "name": "Red"})
    bob = {"username": "bob", "team_id": "red", "role": "member", "password": PASSWORD}
    owner = house.admin("POST", "/users", bob)["id"]
    key = {"name": "bobs", "team_id": "red", "owner_id": owner, "permissions": {"models": ["*"]}}
    house.admin("POST", "/api-keys", {**key, "limits": {"requests_per_minute": 60}})
    house.admin("POST", "/budgets", {"id": "reds", "scope": {"teams": ["red"]}, "amount_microusd": 1_000_000})
    house.admin("POST", "/prompts", {"id": "greet", "content": "Speak to ${var:name}.", "team_id": "red"})
    console = opens()
    console.sign_in("bob")
    console.page.get_by_role("heading", name="bob", exact=True).wait_for()
    console.page.get_by_role("heading", name="Set up a client").wait_for()
    left = console.page.locator("section section", has=console.page.get_by_role("heading", name="What is left to bobs"))
    left.get_by_text("Requests per minute").wait_for()
    assert "Budget reds" in left.inner_text()
    navigation = console.page.locator("nav[aria-label=Pages]")
    assert 0 == navigation.get_by_text("Providers", exact=True).count()
    assert 0 == navigation.get_by_text("Plugins", exact=True).count()
    assert 1 == navigation.get_by_text("API keys", exact=True).count()
    navigation.get_by_role("link", name="Dialogs").click()
    console.page.get_by_role("button", name="New dialog").wait_for()
    assert 0 == console.page.get_by_role("tab", name="Everybody's").count()
    console.go("k/prompts/greet")
    console.page.get_by_text("Still needed").wait_for()
    console.page.get_by_role("tab", name="Details").click()
    assert console.page.get_by_label("Content").is_disabled()
    for name in ("Delete", "Save", "As JSON"):
        assert 0 == console.page.get_by_role("button", name=name, exact=True).count()
    other = opens()
    other.sign_in("bob")
    other.page.get_by_role("button", name="Sign out everywhere").click()
    other.page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
    other.page.wait_for_selector(".signin form")
    console.page.reload()
    console.page.wait_for_selector(".signin form")
    console.complaints.clear()  # that its session has ended


def test_an_openid_provider_signs_somebody_in(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    idp = OpenIdProvider()
    idp.port = free_port()
    idp.redirects = {f"{url}/admin/v1/auth/oidc/staff/callback"}
    staff = {
        "issuer": idp.url,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "title": "Staff account",
        "team": "administrators",
    }
    plugins = {"oidc": {"url": url, "providers": {"staff": staff | {"role": "admin"}}}}
    with House(tmp_path, plugins=plugins, gateway={"port": port}) as house:
        house.do(idp.up())
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{url}/ui/")
            page.get_by_role("link", name="With Staff account").click()
            page.wait_for_selector(".shell")
            [cookie] = [it for it in context.cookies() if it["name"].startswith("switchgear")]
            assert ("switchgear_session", True, "Strict") == (cookie["name"], cookie["httpOnly"], cookie["sameSite"])
            page.reload()
            page.wait_for_selector(".shell")
        house.do(idp.down())
