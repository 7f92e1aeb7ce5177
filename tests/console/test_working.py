"""What people do all day in the console: ask, watch, find, measure; with a mouse, and without one."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Route

from console.conftest import Console, House, Opens
from support.faultup import Script, ToolCall

pytestmark = pytest.mark.slow

WATCH = """() => {
  window.seen = [];
  const look = () => {
    const it = document.querySelector("section[aria-label=m] .turn:last-child .wrap");
    if (it) window.seen.push(it.textContent.length);
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def ready(house: House) -> House:
    house.do(house.run.add_model("m", "openai", house.upstream.base_url))
    return house


def test_models_are_asked_side_by_side_and_answers_stream(ready: House, console: Console) -> None:
    ready.upstream.script(Script(content=f"A streamed answer with {HOSTILE} in it", chunks=6, chunk_delay_ms=60))
    page = console.page
    console.go("playground?models=echo,m")
    page.get_by_text("you, admin").wait_for()
    page.get_by_role("button", name="change").click()
    page.get_by_role("button", name="Make one for 8 hours").click()
    page.get_by_role("link", name="console playground").wait_for()
    page.get_by_label("Message").fill("Say something")
    page.evaluate(WATCH)
    page.get_by_role("button", name="Send").click()
    answer = page.locator("section[aria-label=m] .turn:last-child")
    answer.get_by_text("in all").wait_for()
    assert f"A streamed answer with {HOSTILE} in it" in answer.inner_text()
    assert "Say something" in page.locator("section[aria-label=echo] .turn:last-child").inner_text()
    assert len(set(page.evaluate("() => window.seen"))) > 2, "it came in pieces"
    answer.get_by_role("link", name="record").wait_for()
    page.get_by_role("button", name="Get code").click()
    for language, said in (
        ("curl", "/v1/chat/completions"),
        ("Python", "from openai import OpenAI"),
        ("TypeScript", 'import OpenAI from "openai"'),
    ):
        page.get_by_role("button", name=language, exact=True).click()
        assert said in page.get_by_role("dialog").locator("pre").inner_text()
    assert "Playground" in page.title()


def test_a_model_calls_a_tool_and_goes_on_with_its_result(ready: House, console: Console) -> None:
    ready.upstream.script(
        Script(tool_calls=(ToolCall("get_weather", '{"place": "Paris"}'),)), Script(content="It is sunny.")
    )
    page = console.page
    console.go("playground?models=m")
    page.get_by_text("Tools", exact=True).click()
    page.get_by_role("button", name="An example").click()
    page.get_by_label("Message").fill("How is the weather?")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("calls get_weather").wait_for()
    page.get_by_label("What it returns").fill("sunny")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("It is sunny.").wait_for()


def test_live_requests_obey_the_filters_and_keep_what_is_chosen(ready: House, console: Console) -> None:
    ready.admin("POST", "/aliases", {"id": "watched", "target": "echo"})
    console.go("live?model=watched")
    page = console.page
    page.get_by_text("Waiting for calls").wait_for()
    ready.upstream.script(Script(content="not this"))
    ready.chat("not this", model="m")
    first = ready.chat("this", model="watched")
    page.locator("tbody tr").first.wait_for()
    page.locator("tbody tr").first.click()
    page.get_by_role("dialog").get_by_text(first).first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    for n in range(3):
        ready.chat(f"and this {n}", model="watched")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 4")
    assert {"watched"} == set(page.locator("tbody tr td:nth-child(3)").all_inner_texts())


def test_a_request_says_who_served_it_why_and_for_how_much(ready: House, console: Console) -> None:
    ready.admin("POST", "/chains", {"id": "rescued", "steps": [{"target": "m"}, {"target": "echo"}]})
    ready.upstream.script(Script(cause="rate_limit"))
    asked = ready.chat("Help", model="rescued")
    console.go("requests?model=rescued")
    page = console.page
    row = page.locator("tbody tr").first
    row.wait_for()
    assert "echo at echo" in row.inner_text()
    row.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_text("Why this route").wait_for()
    assert "m at m: rate_limit (429)" in drawer.inner_text()
    assert asked in drawer.inner_text()
    assert "request=" in page.url, "what is open is in the address"


@pytest.mark.parametrize("what", ["request", "client", "provider's", "key", "name"])
def test_any_id_pasted_into_the_search_leads_to_its_thing(ready: House, console: Console, what: str) -> None:
    page = console.page
    request = ready.chat("Where am I?", model="m")
    record = ready.do(ready.run.usage_of(request))
    key = ready.admin("GET", "/api-keys?q=tests-")["data"][0]
    word, there = {
        "request": (request, "requests?"),
        "client": (record["client_request_id"] or request, "requests?"),
        "provider's": (record["upstream_request_id"], "requests?"),
        "key": (key["id"], f"k/api-keys/{key['id']}"),
        "name": (key["name"][:9], "k/api-keys/"),
    }[what]
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Find a page").fill(word)
    page.get_by_role("status").filter(has_text="to choose").wait_for()
    page.locator(".palette-list [role=option]").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function("there => location.hash.includes(there)", arg=there)
    console.settled()


def test_hostile_text_of_a_call_stays_text(ready: House, console: Console) -> None:
    ready.do(
        ready.run.http.post(
            "/v1/chat/completions",
            json={"model": HOSTILE, "messages": []},
            headers={**ready.run.auth, "x-request-id": "a" * 8},
        )
    )
    console.go("requests?outcome=rejected")
    console.settled()
    console.go(f"simulate?model={quote(HOSTILE)}")
    console.page.get_by_text("Refused").first.wait_for()
    assert HOSTILE in console.page.locator("main").inner_text()
    assert 0 == console.page.locator("main img").count()
    assert "Simulate" in console.page.title()


def test_a_document_of_five_megabytes_is_folded_and_searched(ready: House, console: Console) -> None:
    took = console.page.evaluate(
        """async () => {
          const { html, render, JsonView } = await import("./ui/kit.js");
          const items = Array.from({ length: 50000 }, (_, n) => ({ n, text: "x".repeat(80) }));
          items[49000].text = "the needle";
          const box = document.createElement("div");
          document.querySelector("main").replaceChildren(box);
          const began = performance.now();
          render(html`<${JsonView} text=${JSON.stringify({ items })} />`, box);
          return performance.now() - began;
        }"""
    )
    page = console.page
    assert took < 5_000
    assert page.locator(".json-row").count() < 100
    page.get_by_label("Find in this").fill("the needle")
    page.locator(".json-row.hit").wait_for()
    assert "the needle" in page.locator(".json-row.hit").inner_text()
    assert page.locator(".json-row").count() < 200


def test_columns_are_chosen_and_remembered(ready: House, console: Console) -> None:
    page = console.page
    ready.chat()
    console.go("requests")
    console.settled()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Operation", exact=True).check()
    page.get_by_role("columnheader", name="Operation").wait_for()
    page.reload()
    page.get_by_role("columnheader", name="Operation").wait_for()


def test_an_export_holds_what_the_filters_leave(ready: House, console: Console) -> None:
    ready.chat("for the file")
    console.go("requests?model=echo")
    console.settled()
    console.page.get_by_text("Export", exact=True).click()
    with console.page.expect_download() as saving:
        console.page.get_by_role("button", name="CSV").click()
    lines = saving.value.path().read_text().splitlines()
    assert "request_id" in lines[0]
    assert len(ready.admin("GET", "/usage?model=echo&limit=500")["data"]) == len(lines) - 1


def test_leaving_a_page_ends_what_it_asked_for(ready: House, console: Console) -> None:
    page = console.page
    page.route("**/admin/v1/usage/summary*", lambda route: None)  # never answered
    cancelled: list[str] = []
    page.on("requestfailed", lambda request: cancelled.append(request.url))
    with page.expect_request("**/admin/v1/usage/summary*"):
        console.go("usage")
    console.go("settings")
    console.settled()
    page.wait_for_timeout(50)
    assert any("/usage/summary" in url for url in cancelled)


def test_a_newcomer_gets_to_a_first_answer_with_the_keyboard_alone(ready: House, opens: Opens) -> None:
    console = opens()
    page = console.page
    page.wait_for_selector(".signin form")
    for said in ("admin", "correct horse battery"):
        page.keyboard.type(said)
        page.keyboard.press("Tab" if said == "admin" else "Enter")
    page.wait_for_selector(".shell")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Find a page").wait_for()
    page.keyboard.type("setup")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Connect a provider").wait_for()
    tab_to(console, "Try with the model echo, without one")
    page.keyboard.press("Enter")
    tab_to(console, "Ask echo")
    page.keyboard.press("Enter")
    page.locator("[data-answer]").get_by_text("Say hello in one short sentence.").wait_for()
    page.get_by_role("link", name="Make a key for an application").wait_for()


def tab_to(console: Console, name: str) -> None:
    """Press Tab until what has this name is focused."""
    console.page.get_by_role("button", name=name).wait_for()
    for _ in range(80):
        focused = console.page.evaluate(
            "() => document.activeElement.matches('button, a') && document.activeElement.textContent"
        )
        if focused and name in focused:
            return
        console.page.keyboard.press("Tab")
    raise AssertionError(f"`{name}` cannot be reached with Tab")


def test_a_provider_is_connected_from_its_key_to_a_first_answer(ready: House, console: Console) -> None:
    ready.upstream.script(Script(content="Hello from upstream"))
    page = console.page
    console.go("setup")
    page.get_by_label("Provider", exact=True).select_option("openai_compatible")
    page.get_by_label("Key").fill("sk-a-key-of-a-provider")
    page.get_by_label("Address").fill(ready.upstream.base_url)
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("heading", name="Choose a model").wait_for()
    page.get_by_label("The provider's name of a model").fill("gpt-new")
    page.get_by_role("button", name="Add", exact=True).last.click()
    page.get_by_role("button", name=re.compile("^Ask ")).last.click()
    page.locator("[data-answer]").get_by_text("Hello from upstream").wait_for()
    assert "sk-a-key" not in page.content()


def test_what_takes_long_says_so_and_can_be_stopped(ready: House, console: Console) -> None:
    page = console.page

    def hold(route: Route) -> None:
        """Answer nothing."""

    page.clock.install()
    page.route("**/admin/v1/aliases?**", hold)
    console.go("k/aliases")
    page.wait_for_function("() => document.querySelector('.skeleton')")
    page.clock.run_for(4000)
    page.get_by_text("This takes long.").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("You stopped it before an answer came.").wait_for()
    page.unroute("**/admin/v1/aliases?**")
    page.get_by_role("button", name="Try again").click()
    page.clock.run_for(1000)
    page.get_by_text("No aliases yet").or_(page.locator("tbody tr").first).first.wait_for()
    assert 0 == page.get_by_text("You stopped it").count()


def test_calls_are_reckoned_at_the_prices_of_now(ready: House, console: Console) -> None:
    ready.chat("Hello")
    console.go("prices")
    console.page.get_by_role("button", name="Reckon").click()
    console.page.get_by_text("Cost now").wait_for()
    console.page.locator("tbody tr", has_text="echo").last.wait_for()
