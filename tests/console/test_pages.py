"""Every page of the console, in both themes, wide and narrow: it shows, complains of nothing, keeps within its width."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from console.conftest import Console, House, Opens

pytestmark = pytest.mark.slow

PAGES = [
    "account", "overview", "setup", "live", "requests", "playground", "playground?models=echo,m", "simulate?model=spread",
    "usage?what=requests", "limits", "health", "plugins", "plugins?plugin=explain", "settings", "prices", "anomalies",
    "p/audit/audit", "p/operations/operations", "p/dialogs/dialogs", "p/dialogs/dialogs?tab=all", "p/prompts/prompt-library",
    "p/workflows/workflow-templates", "p/workflows/workflow-runs", "p/test_cases/test-runs", "p/webhooks/webhook-deliveries",
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
    fill_with_content(house)
    return house


def fill_with_content(house: House) -> None:
    """Make prompts, workflows and whatever else has pages of its own, with something that became of each."""
    house.admin("POST", "/prompts", {"id": "greet", "content": "Speak ${var:language:English} to ${var:name}."})
    step = {
        "name": "say",
        "type": "chat_completion",
        "settings": {"model_id": "echo"},
        "inputs": {"user_message": "Hi"},
    }
    house.admin("POST", "/workflows", {"id": "helper", "steps": [step]})
    house.admin("POST", "/workflows/helper/execute", {"input": {}})
    assertions = [{"type": "contains", "value": "Hi"}]
    house.admin("POST", "/test-cases", {"id": "greets", "model": "echo", "content": "Hi", "assertions": assertions})
    house.admin("POST", "/test-cases/greets/run")
    house.admin("POST", "/webhooks", {"id": "ops", "url": "http://127.0.0.1:9/hook", "events": ["models.created"]})
    house.admin("POST", "/webhooks/ops/test")


def addresses(house: House) -> list[str]:
    """Return every address there is: the console's own, and for each kind its list, form, and one of it with its tabs."""
    found = list(PAGES)
    panels = [it for it in house.admin("GET", "/pages")["data"] if it["panel"]]
    for kind in house.admin("GET", "/kinds")["data"]:
        found += [f"k/{kind['name']}", f"k/{kind['name']}?new=1"]
        for one in house.admin("GET", f"/{kind['name']}?limit=1")["data"]:
            tabs = ["edit", "versions", "json", *(it["slug"] for it in panels if it["kind"] == kind["name"])]
            found += [f"k/{kind['name']}/{one['id']}{tab}" for tab in ("", *(f"?tab={tab}" for tab in tabs))]
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
