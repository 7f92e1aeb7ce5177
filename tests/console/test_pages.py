"""Every page of the console, in both themes, wide and narrow: it shows, complains of nothing, keeps within its width."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from console.conftest import Console, House, Opens

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=\"document.title='owned'\">"
"""Stands in every text that somebody may write, and stays text."""

PAGES = [
    "account", "overview", "setup", "live", "requests", "playground", "playground?models=echo,m", "simulate?model=spread",
    "usage?what=requests", "limits", "health", "plugins", "plugins?plugin=explain", "settings", "prices", "anomalies",
    "p/audit/audit", "p/operations/operations", "p/dialogs/dialogs", "p/dialogs/dialogs?tab=all", "p/prompts/prompt-library",
    "p/workflows/workflow-templates", "p/workflows/workflow-runs", "p/test_cases/test-runs", "p/webhooks/webhook-deliveries",
    "p/balances/balances", "p/balances/balances/end-user",
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(house: House) -> House:
    """A gateway with something of everything."""
    house.do(house.run.add_model("m", "openai", house.upstream.base_url))
    house.admin("POST", "/teams", {"id": "marked", "name": MARKUP})
    house.admin(
        "POST", "/users", {"username": "marked", "team_id": "marked", "name": MARKUP, "password": "correct horse"}
    )
    house.admin("POST", "/aliases", {"id": "quick", "target": "echo"})
    house.admin("POST", "/pools", {"id": "spread", "targets": [{"model": "echo"}, {"model": "m"}]})
    house.admin("POST", "/chains", {"id": "safe", "steps": [{"target": "spread"}, {"target": "echo"}]})
    key = {"name": MARKUP, "permissions": {"models": ["*"]}, "limits": {"requests_per_minute": 60}, "tags": [MARKUP]}
    house.admin("POST", "/api-keys", {**key, "metadata": {"note": MARKUP}})
    house.admin("POST", "/budgets", {"id": "all", "name": MARKUP, "scope": {"all": True}, "amount_microusd": 1_000_000})
    for n in range(4):
        house.chat(f"{MARKUP} {n}")
    fill_with_content(house)
    return house


def fill_with_content(house: House) -> None:
    """Make prompts, workflows and whatever else has pages of its own, with something that became of each."""
    named = {"name": MARKUP, "description": MARKUP}
    content = f"{MARKUP} Speak ${{var:language:English}} to ${{var:name}}."
    house.admin("POST", "/prompts", {"id": "greet", **named, "content": content, "tags": [MARKUP]})
    step = {
        "name": "say",
        "type": "chat_completion",
        "settings": {"model_id": "echo"},
        "inputs": {"user_message": MARKUP},
    }
    schema = {"type": "object", "properties": {"who": {"type": "string", "description": MARKUP}}}
    house.admin("POST", "/workflows", {"id": "helper", **named, "input_schema": schema, "steps": [step]})
    house.admin("POST", "/workflows/helper/execute", {"input": {"who": MARKUP}})
    case = {
        "model": "echo",
        "description": MARKUP,
        "content": MARKUP,
        "assertions": [{"type": "contains", "value": MARKUP}],
    }
    house.admin("POST", "/test-cases", {"id": "greets", **case})
    house.admin("POST", "/test-cases/greets/run")
    hook = {"url": "http://127.0.0.1:9/hook", "events": ["models.created"], "description": MARKUP}
    house.admin("POST", "/webhooks", {"id": "ops", **hook})
    house.admin("POST", "/webhooks/ops/test")
    house.admin(
        "POST", "/external-apis", {"id": "weather", "base_url": "https://api.example.com/v1", "description": MARKUP}
    )
    house.admin("POST", "/agents", {"id": "guide", "model": "echo", "system": MARKUP, "description": MARKUP})
    house.admin("POST", "/balances/end-user/grant", {"tokens": 100, "reference": MARKUP, "reason": MARKUP})


def addresses(house: House) -> list[str]:
    """Return every address there is: the console's own, and for each kind its list, form, and one of it with its tabs."""
    found = list(PAGES)
    panels = [it for it in house.admin("GET", "/pages")["data"] if it["panel"]]
    for kind in house.admin("GET", "/kinds")["data"]:
        found += [f"k/{kind['name']}", f"k/{kind['name']}?new=1"]
        for one in house.admin("GET", f"/{kind['name']}?limit=1")["data"]:
            tabs = ["edit", "used", "versions", "json", *(it["slug"] for it in panels if it["kind"] == kind["name"])]
            found += [f"k/{kind['name']}/{one['id']}{tab}" for tab in ("", *(f"?tab={tab}" for tab in tabs))]
    request = house.admin("GET", "/usage?limit=1")["data"][0]
    return [*found, f"requests?request={request['id']}"]


LOOK = """async (to) => {
  location.hash = `#/${to}`;
  const main = document.querySelector("main"), until = Date.now() + 10_000;
  const waiting = () => document.querySelector(".skeleton, [aria-busy=true]") || !main.querySelector("h1");
  do await new Promise(requestAnimationFrame); while (waiting() && Date.now() < until);
  const wide = main.scrollWidth - main.clientWidth, images = main.querySelectorAll("img[src=x]").length;
  return { waiting: Boolean(waiting()), trouble: document.querySelector(".trouble")?.textContent, wide, images };
}"""
"""Goes to an address within the console, waits until nothing is loading any more, and tells what is to be seen there."""


@pytest.mark.parametrize(("theme", "other", "width"), [("light", "dark", 1440), ("dark", "light", 390)])
def test_every_page_shows_without_a_complaint(filled: House, opens: Opens, theme: str, other: str, width: int) -> None:
    console = opens(theme=theme, width=width, known=True)
    console.page.wait_for_selector(".shell")
    for address in addresses(filled):
        seen = console.page.evaluate(LOOK, address)
        assert (False, None, 0) == (seen["waiting"], seen.get("trouble"), seen["images"]), address
        assert seen["wide"] <= 1, f"{address} is {seen['wide']} pixels wider than its place"
    assert "owned" not in console.page.title()
    console.page.emulate_media(color_scheme=other)  # type: ignore[arg-type]
    for address in PAGES:  # charts are drawn again in other colours
        assert not console.page.evaluate(LOOK, address)["waiting"], address
    assert [] == console.refused


ACCESSIBLE = [
    *PAGES,
    "k/models",
    "k/api-keys?new=1",
    "k/chains/safe?tab=edit",
    "k/models/echo?tab=versions",
    "k/models/echo?tab=json",
    "k/models/echo?tab=used",
    "k/providers/m",
]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
AXE = """async (rules) => (await axe.run(document, { runOnly: rules, resultTypes: ["violations"] })).violations
  .filter((it) => it.impact === "serious" || it.impact === "critical")
  .flatMap((it) => it.nodes.slice(0, 3).map((node) => `${it.id}: ${node.html.slice(0, 160)}`))"""


def test_axe_finds_nothing_serious(filled: House, opens: Opens) -> None:
    console = opens()
    page = console.page
    page.evaluate(AXE_SCRIPT)
    found = {"sign in": page.evaluate(AXE, WCAG)}
    console.sign_in()
    panels = [it for it in filled.admin("GET", "/pages")["data"] if it["panel"]]
    tabs = [
        f"k/{it['kind']}/{one['id']}?tab={it['slug']}"
        for it in panels
        for one in filled.admin("GET", f"/{it['kind']}?limit=1")["data"]
    ]
    request = filled.admin("GET", "/usage?limit=1")["data"][0]["id"]
    for address in (*ACCESSIBLE, *tabs, f"requests?request={request}"):
        page.evaluate(LOOK, address)
        found[address] = page.evaluate(AXE, WCAG)
        page.emulate_media(color_scheme="dark")
        found[f"{address}, dark"] = page.evaluate(AXE, ["color-contrast"])
        page.emulate_media(color_scheme="light")
    console.complaints.clear()  # that axe is refused styles of its own
    assert {} == {address: wrong for address, wrong in found.items() if wrong}


def test_a_page_that_is_not_there_says_so(house: House, console: Console) -> None:
    console.go("nowhere")
    console.page.get_by_text("There is no such page.").wait_for()
    console.complaints.clear()
    console.go("k/models/none")
    console.page.get_by_text("There is no model none").wait_for()
