import pytest

from switchgear.wire.messages.models import Rules, rules_of

NONE, BUDGET, ADAPTIVE = "none", "budget", "adaptive"


@pytest.mark.parametrize(
    ("name", "thinking", "off", "sampling", "forced", "prefill", "json_schema"),
    [
        ("claude-3-haiku-20240307", NONE, "disabled", True, True, True, False),
        ("claude-3-5-sonnet-v2@20241022", NONE, "disabled", True, True, True, False),
        ("claude-3-7-sonnet-20250219", BUDGET, "disabled", True, True, True, False),
        ("claude-opus-4-20250514", BUDGET, "disabled", True, True, True, False),
        ("anthropic.claude-opus-4-1-20250805-v1:0", BUDGET, "disabled", True, True, True, True),
        ("claude-sonnet-4-5@20250929", BUDGET, "disabled", True, True, True, True),
        ("claude-haiku-4-5-20251001", BUDGET, "disabled", True, True, True, True),
        ("openrouter/claude-sonnet-4.6", ADAPTIVE, "disabled", True, True, False, True),
        ("claude-opus-4-7", ADAPTIVE, "disabled", False, True, False, True),
        ("claude-sonnet-5", ADAPTIVE, "disabled", False, True, False, True),
        ("claude-sonnet-5-5", ADAPTIVE, "between_tools", False, False, False, True),
        ("claude-opus-5", ADAPTIVE, "disabled", False, True, False, True),
        ("claude-opus-5-5", ADAPTIVE, None, False, False, False, True),
        ("claude-haiku-5-5", ADAPTIVE, "disabled", False, True, False, True),
        ("claude-mythos-preview", ADAPTIVE, None, False, True, False, True),
        ("claude-fable-5", ADAPTIVE, None, False, True, False, True),
        ("claude-fable-5-2", ADAPTIVE, None, False, False, False, True),
        ("CLAUDE-OPUS-6-20270101", ADAPTIVE, None, False, False, False, True),
    ],
)
def test_a_name_tells_the_generation(
    name: str, thinking: str, off: str | None, sampling: bool, forced: bool, prefill: bool, json_schema: bool
) -> None:
    found = rules_of(name)
    expected = (thinking, off, sampling, forced, prefill, json_schema)
    assert expected == (found.thinking, found.off, found.sampling, found.forced_tools, found.prefill, found.json_schema)


@pytest.mark.parametrize("name", ["", "my-model", "opus", "large-2411"])
def test_a_name_that_says_nothing_forbids_nothing(name: str) -> None:
    assert Rules() == rules_of(name)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("claude-3-opus-latest", 4096), ("claude-3-5-haiku", 8192), ("claude-opus-4-1", 32_000), ("x", 8192)],
)
def test_the_bound_where_nobody_set_one_is_within_what_the_generation_makes(name: str, bound: int) -> None:
    assert bound == rules_of(name).max_tokens


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("opus-5", "minimal", "low"),
        ("opus-5", "max", "max"),
        ("opus-4-6", "xhigh", "high"),
        ("opus-4-6", "max", "max"),
        ("opus-5", "none", None),
        ("opus-5", "", None),
    ],
)
def test_an_effort_is_the_nearest_level_that_is_not_higher(name: str, wanted: str, expected: str | None) -> None:
    assert expected == rules_of(name).effort(wanted)
