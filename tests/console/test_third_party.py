"""Pages and kinds of other people's plugins: there, themed and of use without a line in the console, and gone with the plugin."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.conftest import House, Opens
from support.distributions import installed

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "contrib" / "examples" / "page" / "switchgear_page"
TENANTS = """
    import msgspec
    from switchgear.contracts.resource import Prepared, Reference, ResourceAction, ResourceKind

    class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        street: str = ""
        number: int | None = None

    class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        '''Who pays.'''
        title: str
        webhook_secret: str
        plan: str = "small"
        model: str | None = None
        address: Address = Address()
        seats: list[Address] = []
        suspended: bool = False

    def suspend(resource, wanted, by):
        return Prepared(msgspec.structs.replace(resource.spec, suspended=True))

    KIND = ResourceKind(
        name="tenants", title="tenant", spec=Tenant, secrets=("webhook_secret",), references=(Reference("model", "callable"),),
        actions=(ResourceAction(name="suspend", summary="Suspend a tenant", apply=suspend),), group="Integrations",
    )

    class Tenants(switchgear.Plugin):
        api = 1
        def switchgear_resource_kinds(self): return [KIND]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    with installed(directory / "site") as site:
        shutil.copytree(EXAMPLE, site.root / "switchgear_page")
        site.add("page", {"page": "switchgear_page:PagePlugin"})
        site.add("tenants", {"tenants": "Tenants"}, TENANTS)
        with House(directory, plugins={"page": {}, "tenants": {}}) as made:
            yield made


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_of_another_plugin_is_in_navigation_and_themed(house: House, opens: Opens, theme: str) -> None:
    console = opens(theme=theme)
    console.sign_in()
    page = console.page
    page.locator("nav").get_by_role("link", name="Models at a glance").click()
    page.get_by_role("heading", name="Models at a glance").wait_for()
    page.locator("tbody tr").first.wait_for()
    colours = page.evaluate(
        "() => [getComputedStyle(document.querySelector('main h1')).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert ("rgb(235, 233, 228)" if theme == "dark" else "rgb(29, 28, 26)") == colours[0]
    page.reload()
    page.get_by_role("heading", name="Models at a glance").wait_for()


def test_a_kind_of_another_plugin_has_a_form_with_pickers_secrets_parts_and_actions(house: House, opens: Opens) -> None:
    console = opens()
    console.sign_in()
    page = console.page
    page.locator("nav").get_by_role("link", name="Tenants").click()
    page.get_by_role("link", name="Make the first tenant").click()
    page.get_by_label("ID *").fill("acme")
    page.get_by_label("Title *").fill("Acme")
    page.get_by_label("Webhook secret *").fill("whsec-1234567890")
    assert "password" == page.get_by_label("Webhook secret *").get_attribute("type")
    page.get_by_label("Model", exact=True).fill("ec")
    page.get_by_role("option", name="echo").click()
    page.get_by_role("group", name="Seats").get_by_role("button", name="Add").click()
    page.get_by_role("group", name="Seats").get_by_label("Number").fill("7")
    page.get_by_role("button", name="Make tenant").click()
    page.get_by_role("button", name="Suspend").click()
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    page.get_by_text("Suspend: acme").wait_for()
    found = house.admin("GET", "/tenants/acme")
    assert ("••••7890", "echo", True, [{"street": "", "number": 7}]) == (
        found["webhook_secret"], found["model"], found["suspended"], found["seats"],
    )  # fmt: skip


def test_pages_are_gone_with_their_plugins(house: House, opens: Opens, tmp_path: Path) -> None:
    listed = house.admin("GET", "/pages")["data"]
    brought = [it for it in listed if not it["panel"]]
    kinds = {it["name"] for it in house.admin("GET", "/kinds")["data"]}
    with House(tmp_path, plugins={it["plugin"]: {"enabled": False} for it in listed if it["plugin"] != "page"}) as bare:
        assert [] == bare.admin("GET", "/pages")["data"]
        console = opens(url=bare.run.url)
        console.sign_in()
        navigation = console.page.locator("nav[aria-label=Pages]")
        navigation.get_by_role("link", name="Models", exact=True).wait_for()
        shown = set(navigation.get_by_role("link").all_inner_texts())
        assert set() == shown & {it["title"] for it in brought}
        assert kinds > {it["name"] for it in bare.admin("GET", "/kinds")["data"]}
        console.go(f"p/{brought[0]['plugin']}/{brought[0]['slug']}")
        console.page.get_by_text("No enabled plugin brings this page.").wait_for()
        console.complaints.clear()
