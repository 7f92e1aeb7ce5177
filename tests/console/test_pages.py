"""Every page of the console, in both themes, wide and narrow: it shows, complains of nothing, keeps within its width."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from console.conftest import Console, House, Opens

pytestmark = pytest.mark.slow

PAGES = [
    "account", "overview", "setup", "live", "requests", "playground", "playground?models=echo,m", "simulate?model=spread",
    "usage?what=requests", "limits", "health", "plugins", "plugins?plugin=explain", "settings", "prices",
    "operations", "dialogs", "anomalies", "workflow-runs", "test-runs", "webhook-deliveries",
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(house: House) -> House:
    """A gateway with something of everything."""
    house.do(house.run.add_model("m", "openai", house.upstream.base_url))
    house.admin("POST", "/aliases", {"id": "quick", "target": "echo"})
    house.admin("POST", "/pools", {"id": "spread", "targets": [{"model": "echo"}, {"model": "m"}]})
    house.admin("POST", "/chains", {"id": "safe", "steps": [{"target": "spread"}, {"target": "echo"}]})
    house.admin(
        "POST", "/api-keys", {"name": "app", "permissions": {"models": ["*"]}, "limits": {"requests_per_minute": 60}}
    )
    for n in range(4):
        house.chat(f"Hello {n}")
    return house


def addresses(house: House) -> list[str]:
    """Return every address there is: the console's own, and for each kind its list, form, and one of it with its tabs."""
    found = list(PAGES)
    for kind in house.admin("GET", "/kinds")["data"]:
        found += [f"k/{kind['name']}", f"k/{kind['name']}?new=1"]
        for one in house.admin("GET", f"/{kind['name']}?limit=1")["data"]:
            found += [f"k/{kind['name']}/{one['id']}{tab}" for tab in ("", "?tab=edit", "?tab=versions", "?tab=json")]
    request = house.admin("GET", "/usage?limit=1")["data"][0]
    return [*found, f"requests?request={request['id']}"]


def trouble(console: Console) -> Any:
    return console.page.evaluate("() => document.querySelector('.trouble')?.textContent")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_shows_without_a_complaint(filled: House, opens: Opens, theme: str, width: int) -> None:
    console = opens(theme=theme, width=width)
    console.sign_in()
    for address in addresses(filled):
        console.go(address)
        console.settled()
        assert None is trouble(console), address
        wide = console.page.evaluate(
            "() => { const m = document.querySelector('main'); return m.scrollWidth - m.clientWidth; }"
        )
        assert wide <= 1, f"{address} is {wide} pixels wider than its place"
    assert [] == console.refused


ACCESSIBLE = [
    *PAGES,
    "k/models",
    "k/api-keys?new=1",
    "k/chains/safe?tab=edit",
    "k/models/echo?tab=versions",
    "k/models/echo?tab=json",
    "k/providers/m",
]


@pytest.mark.parametrize(
    ("theme", "rules"), [("light", ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]), ("dark", ["color-contrast"])]
)
def test_axe_finds_nothing_serious(filled: House, opens: Opens, theme: str, rules: list[str]) -> None:
    console = opens(theme=theme)
    found = {"sign in": serious(console, rules)}
    console.sign_in()
    request = filled.admin("GET", "/usage?limit=1")["data"][0]["id"]
    for address in (*ACCESSIBLE, f"requests?request={request}"):
        console.go(address)
        console.settled()
        found[address] = serious(console, rules)
    assert {} == {address: wrong for address, wrong in found.items() if wrong}


def serious(console: Console, rules: list[str]) -> list[str]:
    before = len(console.complaints)
    results = Axe().run(console.page, options={"runOnly": rules})
    del console.complaints[before:]  # that it is refused styles of its own
    return [
        f"{it['id']}: {node['html'][:160]}"
        for it in results.response["violations"]
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"][:3]
    ]


def test_a_page_that_is_not_there_says_so(house: House, console: Console) -> None:
    console.go("nowhere")
    console.page.get_by_text("There is no such page.").wait_for()
    console.complaints.clear()
    console.go("k/models/none")
    console.page.get_by_text("There is no model none").wait_for()
