"""The generated pages: every kind of resource is made, changed, compared, restored and deleted without a line of its own."""

import json
import re
from typing import Any

import pytest

from console.conftest import Console, House

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
CONTAINS = {"type": "contains", "value": "hi"}
SOURCE = {"backend": "encrypted", "values": {"api_key": "sk-1"}}
BODIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "credentials": ({"id": "new", "type": "openai", "source": SOURCE, "metadata": {"note": HOSTILE}}, "metadata", "changed"),
    "providers": ({"id": "new", "type": "echo", "metadata": {"note": HOSTILE}, "tags": [HOSTILE]}, "tags", "changed"),
    "models": ({"id": "new", "provider_id": "echo", "provider_model": HOSTILE}, "provider_model", "changed"),
    "aliases": ({"id": "new", "target": "echo", "metadata": {"note": HOSTILE}}, "metadata", "changed"),
    "pools": ({"id": "new", "targets": [{"model": "echo"}], "tags": [HOSTILE]}, "tags", "changed"),
    "chains": ({"id": "new", "steps": [{"target": "echo"}], "tags": [HOSTILE]}, "tags", "changed"),
    "api-keys": ({"name": HOSTILE, "tags": [HOSTILE]}, "name", "changed"),
    "teams": ({"id": "new", "name": HOSTILE}, "name", "changed"),
    "users": (
        {"username": "newcomer", "name": HOSTILE, "team_id": "administrators", "password": "correct horse battery"},
        "name",
        "changed",
    ),
    "agents": ({"id": "new", "model": "echo", "system": HOSTILE}, "system", "changed"),
    "external-apis": ({"id": "new", "base_url": "https://api.example.com", "description": HOSTILE}, "description", "changed"),
    "prompts": ({"id": "new", "content": "Hello", "description": HOSTILE}, "description", "changed"),
    "budgets": ({"id": "new", "scope": {"all": True}, "amount_microusd": 1_000_000, "name": HOSTILE}, "name", "changed"),
    "webhooks": (
        {"id": "new", "url": "https://example.com/hook", "events": ["models.created"], "description": HOSTILE},
        "description",
        "changed",
    ),
    "limits": ({"id": "new", "scope": {"all": True}, "requests_per_minute": 9}, "", ""),
    "test-cases": (
        {"id": "new", "model": "echo", "content": "hi", "assertions": [CONTAINS], "description": HOSTILE},
        "description",
        "changed",
    ),
    "workflows": ({"id": "new", "steps": [], "description": HOSTILE}, "", ""),
    "policy-attachments": ({"id": "new", "policy": "limits"}, "", ""),
}  # fmt: skip
"""For each kind what is written as JSON, and a text field that is then changed in the form."""


def test_every_kind_is_looked_at(house: House) -> None:
    assert {kind["name"] for kind in house.admin("GET", "/kinds")["data"]} <= set(BODIES)


@pytest.mark.parametrize("kind", [name for name, (_, field, _) in BODIES.items() if field])
def test_a_resource_is_made_changed_compared_restored_deleted_and_brought_back(
    house: House, console: Console, kind: str
) -> None:
    body, field, changed = BODIES[kind]
    declared = house.admin("GET", f"/kinds/{kind}")
    page = console.page
    console.go(f"k/{kind}?new=1&as=json")
    page.get_by_label("JSON", exact=True).fill(json.dumps(body))
    page.get_by_role("button", name=re.compile("^Make ")).click()
    if declared["once"]:
        page.get_by_text("This is shown once").first.wait_for()
        page.get_by_role("link", name=f"To the {declared['title']}").click()
    page.get_by_role("button", name="Delete", exact=True).wait_for()
    id = page.evaluate("() => decodeURIComponent(location.hash.split('?')[0].split('/').pop())")
    made = house.admin("GET", f"/{kind}/{id}")

    console.go(f"k/{kind}/{id}?tab=edit")
    box = (
        page.get_by_role("group", name=re.compile(f"^{field}$", re.IGNORECASE))
        if field in ("tags", "metadata")
        else page.locator("form")
    )
    name = {"tags": "Tags 1", "metadata": "Value of note in Metadata"}.get(field, field.replace("_", " ").capitalize())
    box.get_by_label(re.compile(rf"^{name}( \*)?$")).fill(changed)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text(f"Saved {id}, version {made['version'] + 1}").wait_for()
    now = house.admin("GET", f"/{kind}/{id}")
    assert changed in json.dumps(now[field])
    if kind == "credentials":
        assert now["source"] == made["source"], "what is masked stays as it was"

    console.go(f"k/{kind}/{id}?tab=versions")
    page.locator(".diff .added").first.wait_for()
    assert changed in page.locator(".diff .added").inner_text()
    assert "Switchgear" in page.title(), "what is stored is text"
    bound = kind == "credentials"  # to no address yet: what is from before that is not written again
    if declared["restorable"]:
        page.get_by_role("button", name="Restore", exact=True).first.click()
        page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
        page.get_by_text("enter the secret again" if bound else f"Restored version {made['version']}").first.wait_for()
        assert (now if bound else made)[field] == house.admin("GET", f"/{kind}/{id}")[field]

    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    assert id in dialog.inner_text(), "what is destroyed is named"
    dialog.get_by_role("button", name=f"Delete {id}").click()
    page.get_by_text(re.compile(f"^Deleted the .* {re.escape(id)}")).wait_for()
    assert 404 == house.do(house.run.admin.get(f"/{kind}/{id}")).status_code
    if declared["restorable"] and not bound:
        page.get_by_role("button", name="Undo").last.click()
        page.get_by_text(f"{id} is back").wait_for()
        assert id == house.admin("GET", f"/{kind}/{id}")["id"]
        house.admin("DELETE", f"/{kind}/{id}")


def test_a_bad_field_is_told_at_the_field(house: House, console: Console) -> None:
    console.go("k/models?new=1")
    page = console.page
    page.get_by_label("ID *").fill("wrong")
    page.get_by_label("Provider *").fill("nobody")
    page.get_by_label("Provider model *").fill("x")
    page.get_by_label("Context window").fill("many")
    page.get_by_role("button", name="Make model").click()
    page.locator(".field.wrong").first.wait_for()
    assert "Context window" in page.locator(".field.wrong").first.inner_text()


def test_a_reference_is_found_by_a_part_of_its_name(house: House, console: Console) -> None:
    console.go("k/models?new=1")
    page = console.page
    page.get_by_label("Provider *").fill("ech")
    page.get_by_role("option", name=re.compile("^echo")).click()
    assert "echo" == page.get_by_label("Provider *").input_value()


def test_somebody_elses_change_is_not_written_over(house: House, console: Console) -> None:
    house.admin("POST", "/aliases", {"id": "contested", "target": "echo"})
    console.go("k/aliases/contested?tab=edit")
    page = console.page
    page.get_by_role("group", name="Tags").get_by_role("button", name="Add").click()
    page.get_by_label("Tags 1", exact=True).fill("mine")
    house.do(house.run.patch("/aliases/contested", tags=["theirs"]))
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Somebody else has changed this alias meanwhile.").wait_for()
    assert ["theirs"] == house.admin("GET", "/aliases/contested")["tags"]


def test_a_half_written_form_survives_a_reload_without_its_secrets(house: House, console: Console) -> None:
    console.go("k/credentials?new=1")
    page = console.page
    page.get_by_label("ID *").fill("half-written")
    page.get_by_label("Held in").select_option("encrypted")
    page.locator("input[type=password]").first.fill("sk-secret-that-nobody-keeps")
    assert "sk-secret" not in page.evaluate("() => JSON.stringify({...sessionStorage})")
    page.reload()
    page.get_by_label("ID *").wait_for()
    assert "half-written" == page.get_by_label("ID *").input_value()
    page.get_by_role("button", name="Discard").click()
    assert "" == page.get_by_label("ID *").input_value()


def test_the_wheel_changes_no_number(house: House, console: Console) -> None:
    console.go("k/models?new=1")
    field = console.page.get_by_label("Context window")
    field.fill("128000")
    field.hover()
    field.focus()
    for _ in range(3):
        console.page.mouse.wheel(0, -240)
    assert "128000" == field.input_value()
    assert 0 == console.page.locator("input[type=number]").count()
