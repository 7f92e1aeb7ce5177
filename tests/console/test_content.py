"""Pages of the plugins of content: what one does there happens at the gateway."""

import pytest

from console.conftest import Console, House
from support.faultup import Script

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def filled(house: House) -> House:
    house.do(house.run.add_model("m", "openai", house.upstream.base_url))
    return house


def test_a_prompt_is_rendered_as_its_values_are_typed(filled: House, console: Console) -> None:
    filled.admin("POST", "/prompts", {"id": "greet", "content": "Speak ${var:language:English} to ${var:name}."})
    filled.admin("PUT", "/prompts/greet", {"content": "Say <b>${var:name}</b>."})
    page = console.page
    console.go("k/prompts/greet")
    page.get_by_text("Still needed").wait_for()
    page.get_by_role("textbox", name="name").fill(HOSTILE)
    page.get_by_text(f"Say <b>{HOSTILE}</b>.").wait_for()
    assert 0 == page.locator("main .turn b, main .turn img").count(), "text stays text"
    page.get_by_label("Version").fill("1")
    page.get_by_text(f"Speak English to {HOSTILE}").wait_for()
    assert '"version": 1' in page.locator(".code pre").inner_text()


def test_a_prompt_is_written_with_what_it_says_beside_it(filled: House, console: Console) -> None:
    page = console.page
    console.go("k/prompts/?new=1")
    page.get_by_label("ID *").fill("written")
    page.get_by_label("Text", exact=True).fill("Speak ${var:language:English} to ${var:name")
    page.get_by_text("is no variable").wait_for()
    assert page.locator(".field.wrong textarea").count(), "what is wrong is told at the text"
    console.refused.clear()
    page.get_by_label("Text", exact=True).fill("Speak ${var:language:English} to ${var:name}.")
    page.get_by_label("name", exact=True).fill("Ann")
    page.get_by_text("Speak English to Ann.").wait_for()
    page.get_by_role("button", name="Messages of several roles").click()
    page.get_by_label("Message 2", exact=True).fill("Hello")
    page.reload()
    assert "Hello" == page.get_by_label("Message 2", exact=True).input_value(), "what is half written is kept"
    page.get_by_role("button", name="Make prompt").click()
    page.get_by_role("tab", name="Where used").wait_for()
    roles = [it["role"] for it in filled.admin("GET", "/prompts/written")["messages"]]
    assert ["system", "user"] == roles
    case = {
        "id": "written",
        "model": "echo",
        "prompt_id": "written",
        "assertions": [{"type": "contains", "value": "a"}],
    }
    filled.admin("POST", "/test-cases", case)
    page.get_by_role("tab", name="Where used").click()
    page.locator("tbody").get_by_role("link", name="written").wait_for()
    assert [] == console.refused


def test_prompts_of_the_library_and_templates_of_workflows_become_ones_own(filled: House, console: Console) -> None:
    page = console.page
    console.go("p/prompts/prompt-library")
    page.get_by_role("button", name="Install translate", exact=True).click()
    page.get_by_text("Installed translate").wait_for()
    assert "translate" == filled.admin("GET", "/prompts/translate")["id"]
    console.go("p/workflows/workflow-templates")
    page.get_by_role("button", name="Use Basic chat").click()
    page.get_by_role("textbox", name="ID").fill("mine")
    page.get_by_role("combobox", name="Model").fill("echo")
    page.get_by_role("button", name="Make workflow").click()
    page.get_by_text("Made the workflow mine").wait_for()
    page.get_by_role("heading", name="Basic chat").wait_for()


STEPS = [
    {
        "name": name,
        "type": "chat_completion",
        "settings": {"model_id": model},
        "inputs": {"user_message": "Dear ${request:who}"},
    }
    for name, model in (("say", "echo"), ("think", "m"))
]
SCHEMA = {"type": "object", "required": ["who"], "properties": {"who": {"type": "string"}}}


def test_a_workflow_is_run_by_a_form_of_its_input_and_tried_without_calling_anybody(
    filled: House, console: Console
) -> None:
    filled.admin("POST", "/workflows", {"id": "letter", "input_schema": SCHEMA, "steps": STEPS})
    filled.upstream.script(Script(hang=True), Script(content="It is done"))
    page = console.page
    console.go("k/workflows/letter")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("is a required property").wait_for()
    console.refused.clear()
    page.get_by_label("Who *").fill("Ann")
    page.get_by_role("button", name="Run", exact=True).click()
    lanes = page.locator("main summary", has=page.locator(".lane"))
    lanes.filter(has_text="think").get_by_text("…").wait_for()
    assert "…" not in lanes.filter(has_text="say").inner_text(), "the first has ended, and is shown while the next runs"
    page.get_by_role("button", name="Stop").click()
    page.locator(".figure").get_by_text("cancelled").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("main pre").get_by_text("It is done").first.wait_for()
    page.get_by_text("Try it without calling anybody").click()
    page.get_by_label("Outputs of steps").fill('{"say": {"content": "said"}, "think": {"content": "mocked"}}')
    page.get_by_role("button", name="Try", exact=True).click()
    page.locator("main pre").get_by_text("mocked").first.wait_for()
    page.reload()
    assert "Ann" == page.get_by_label("Who *").input_value(), "what was typed is kept"
    page.get_by_role("tab", name="Runs").click()
    page.locator("tbody td").first.click()
    page.get_by_role("heading", name="Run of letter").wait_for()
    page.get_by_text("chat completion").first.click()
    page.get_by_text('"Dear Ann"').first.wait_for()


def test_a_workflow_is_written_step_by_step_and_what_is_wrong_is_told_at_the_step(
    filled: House, console: Console
) -> None:
    page = console.page
    console.go("k/workflows/?new=1")
    page.get_by_label("ID *").fill("written")
    steps = page.get_by_role("group", name="Steps", exact=True)
    steps.get_by_label("Add to Steps").select_option("chat_completion")
    steps.get_by_label("Model *").fill("echo")
    steps.get_by_label("User message", exact=True).fill(HOSTILE)
    steps.get_by_label("Put a reference into").first.select_option("${request:message}")
    steps.get_by_label("Add to Steps").select_option("conditional")
    steps.get_by_role("button", name="Add a condition").click()
    steps.get_by_label("Condition 1: what", exact=True).fill("${step:nothing:content}")
    steps.get_by_label("Condition 1: how compared").select_option("contains")
    steps.get_by_label("Condition 1: with what", exact=True).fill("Paris")
    steps.get_by_label("Condition 1: what then").select_option("end_workflow")
    page.get_by_role("button", name="Make workflow").click()
    wrong = steps.locator("li.wrong")
    wrong.get_by_text("is no step that comes before this one").wait_for()
    assert "conditional" in wrong.inner_text()
    console.refused.clear()
    steps.get_by_label("Condition 1: what", exact=True).fill("${step:ask:content}")
    page.get_by_role("button", name="Make workflow").click()
    page.get_by_role("tab", name="Runs").wait_for()
    first, second = filled.admin("GET", "/workflows/written")["steps"]
    assert HOSTILE + "${request:message}" == first["inputs"]["user_message"]
    assert {"field": "${step:ask:content}", "operator": "contains", "value": "Paris", "action": "end_workflow"} == (
        second["inputs"]["conditions"][0]
    )
    console.go("k/workflows/written?tab=edit")
    steps.get_by_role("button", name="Move conditional up").click()
    page.reload()
    assert "conditional" in steps.locator("li").first.inner_text(), "what is half written is kept"
    assert 0 == page.locator("main img").count()
    assert [] == console.refused


def test_test_cases_are_run_and_models_compared(filled: House, console: Console) -> None:
    wanted = [{"type": "contains", "value": "Paris"}]
    filled.admin("POST", "/test-cases", {"id": "paris", "model": "echo", "content": "Paris", "assertions": wanted})
    page = console.page
    console.go("k/test-cases/paris")
    page.get_by_role("button", name="Run it").click()
    page.get_by_text("paris: passed").wait_for()
    page.get_by_role("region", name="What came of it").get_by_text("passed").last.wait_for()
    console.go("p/test_cases/test-runs")
    page.get_by_role("button", name="Run test cases").click()
    page.get_by_role("combobox", name="Model").fill("echo")
    page.get_by_role("button", name="Compare with another variant").click()
    page.get_by_role("combobox", name="Model").nth(1).fill("m")
    page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("columnheader", name="m", exact=True).wait_for()
    page.get_by_role("button", name="paris").click()
    beside = page.get_by_role("region", name="paris, side by side")
    beside.get_by_text("From echo to m").wait_for()
    assert "Paris" in beside.inner_text()
    page.reload()
    beside.wait_for()


def test_a_test_case_is_written_for_a_model_or_a_workflow(filled: House, console: Console) -> None:
    filled.admin("POST", "/workflows", {"id": "dear", "input_schema": SCHEMA, "steps": STEPS[:1]})
    page = console.page
    console.go("k/test-cases/?new=1")
    page.get_by_label("ID *").fill("dear")
    page.get_by_role("button", name="A workflow is run").click()
    page.get_by_label("Workflow", exact=True).fill("dear")
    page.get_by_label("Who *").fill("Ann")
    page.get_by_role("group", name="Assertions").get_by_role("button", name="Add").click()
    page.get_by_label("Type", exact=True).select_option("contains")
    page.get_by_label("Value *").fill("Ann")
    page.get_by_role("button", name="Make test case").click()
    page.get_by_role("button", name="Run it").click()
    page.get_by_text("dear: passed").wait_for()
    made = filled.admin("GET", "/test-cases/dear")
    assert ("dear", {"who": "Ann"}, None) == (made["workflow"], made["input"], made["model"])


def test_a_dialog_is_begun_gone_on_with_and_deleted(filled: House, console: Console) -> None:
    page = console.page
    console.go("p/dialogs/dialogs")
    page.get_by_role("button", name="New dialog").click()
    page.get_by_role("combobox", name="With").fill("echo")
    page.get_by_role("textbox", name="Title").fill("First")
    page.get_by_role("button", name="Begin", exact=True).click()
    for text in ("Hello", "And again"):
        page.get_by_role("textbox", name="Message").fill(text)
        page.get_by_role("button", name="Send").click()
        page.locator(".turn:not(.user)", has_text=text).wait_for()
    page.get_by_text("4 messages").wait_for()
    page.reload()
    page.locator(".turn.user", has_text="And again").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.get_by_text("No dialog yet").wait_for()
    assert [] == filled.admin("GET", "/dialogs")["data"]


def test_a_webhook_is_tested_and_delivered_to_again(filled: House, console: Console) -> None:
    filled.admin("POST", "/webhooks", {"id": "ops", "url": "http://127.0.0.1:9/hook", "events": ["models.created"]})
    page = console.page
    console.go("k/webhooks/ops")
    page.get_by_role("button", name="Send a test event").click()
    page.get_by_text("Not delivered").wait_for()
    page.locator("tbody td").first.click()
    page.get_by_role("dialog").get_by_text("webhooks.test").first.wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Deliver again").click()
    page.get_by_text("It is delivered once more").wait_for()
    assert 2 == len(filled.admin("GET", "/webhook-deliveries?webhook=ops")["data"])


def test_events_of_a_webhook_are_found_among_those_there_are(filled: House, console: Console) -> None:
    page = console.page
    console.go("k/webhooks/?new=1")
    page.get_by_label("ID *").fill("told")
    page.get_by_label("Url *").fill("https://example.com/hook")
    page.get_by_label("Events *").fill("prompts.del")
    page.get_by_role("option", name="prompts.deleted").click()
    page.get_by_label("Events *").fill("models.*")
    page.get_by_role("button", name="Take out models.*").wait_for()
    page.get_by_role("button", name="Make webhook").click()
    page.get_by_text("This is shown once").wait_for()
    assert ["prompts.deleted", "models.*"] == filled.admin("GET", "/webhooks/told")["events"]


def test_an_external_api_is_tried(filled: House, console: Console) -> None:
    filled.admin("POST", "/external-apis", {"id": "up", "base_url": filled.upstream.base_url})
    page = console.page
    console.go("k/external-apis/up")
    page.get_by_label("Path").fill(f"nothing/{HOSTILE}")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Answered with").wait_for()
    page.get_by_label("Path").fill("../x")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("The path of a request may not have").wait_for()
    console.refused.clear()


def test_tokens_are_granted_and_a_balance_corrected(filled: House, console: Console) -> None:
    page = console.page
    console.go("p/balances/balances")
    page.get_by_role("button", name="Grant tokens").first.click()
    page.get_by_label("Account").last.fill("ann/1 & co")
    page.get_by_label("Tokens", exact=True).fill("1000")
    page.get_by_label("Reason").fill(HOSTILE)
    page.get_by_role("dialog").get_by_role("button", name="Grant tokens").click()
    page.get_by_role("heading", name="ann/1 & co").wait_for()
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_role("dialog").get_by_label("What").select_option("adjustment")
    page.get_by_role("textbox", name="Tokens").fill("-1200")
    page.get_by_role("textbox", name="Reason").fill("counted twice")
    page.get_by_role("dialog").get_by_role("button", name="Correct the balance").click()
    page.get_by_text("below nothing").wait_for()
    assert HOSTILE in page.locator("tbody").inner_text()
    assert -200 == filled.admin("GET", "/balances/ann%2F1%20%26%20co")["balance"]


def test_an_agent_is_talked_with(filled: House, console: Console) -> None:
    filled.admin("POST", "/agents", {"id": "guide", "model": "echo", "system": "You help."})
    page = console.page
    console.go("k/agents/guide?tab=talk")
    page.get_by_label("Title").fill("A way")
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("heading", name="A way").wait_for()
    console.go("k/agents/guide?tab=talk")
    page.get_by_role("link", name="A way").wait_for()


def test_operations_are_watched_and_cancelled(filled: House, console: Console) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
    made = filled.do(filled.run.http.post("/v1/chat/completions?async=true", json=body, headers=filled.run.auth)).json()
    page = console.page
    console.go("p/operations/operations")
    page.locator("tbody td").first.click()
    page.get_by_role("dialog").get_by_text(made["id"], exact=True).wait_for()


def test_changes_say_what_was_changed(filled: House, console: Console) -> None:
    filled.admin("POST", "/aliases", {"id": "fast", "target": "echo"})
    filled.admin("PUT", "/aliases/fast", {"target": "m"})
    page = console.page
    console.go("p/audit/audit?kind=aliases")
    page.locator("tbody td").first.click()
    page.get_by_role("dialog").locator(".diff .added", has_text='"target": "m"').wait_for()
