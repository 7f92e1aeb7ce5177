"""When a target is tried again, and how often."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.provider import ProviderFault
from switchgear.errors import (
    ConnectFailed,
    ConnectionBroken,
    ConnectTimeout,
    EgressDenied,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    ResponseTooLarge,
    SecretUnavailable,
    TotalTimeout,
)
from switchgear.exchange.health.retry import RetryBudget, backoff, retry_after_date, wait_for
from switchgear.exchange.health.settings import RetrySettings
from switchgear.testing.ambient import START_US, FixedAmbient

SETTINGS = RetrySettings()
NOW = datetime.fromtimestamp(START_US / 1e6, UTC)


class Head:
    status = 429

    def __init__(self, **headers: str) -> None:
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self._headers.get(name)


def low() -> float:
    return 0.0


def high() -> float:
    return 1.0


def test_a_backoff_is_a_random_part_of_what_doubles() -> None:
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0] == [backoff(n, SETTINGS, high) for n in range(7)]
    assert 0.0 == backoff(3, SETTINGS, low)
    assert 2.0 == backoff(10**9, SETTINGS, high)


REFUSALS = (
    "auth",
    "permission",
    "quota",
    "invalid_request",
    "context_length",
    "content_filter",
    "not_found",
    "protocol",
)
SILENCES = (FirstByteTimeout(), IdleTimeout(), ConnectTimeout(), TotalTimeout())
OTHERS = (EgressDenied(), ResponseTooLarge(), SecretUnavailable(), InvalidRequest(""))


@pytest.mark.parametrize("error", [*SILENCES, *OTHERS, *(ProviderFault(cause, 400) for cause in REFUSALS)], ids=repr)
def test_what_will_not_get_better_is_not_tried_again(error: Exception) -> None:
    assert wait_for(error, 0, SETTINGS, high) is None


@pytest.mark.parametrize(
    "error",
    [ConnectFailed(), ConnectionBroken(), ProviderFault("server", 500), ProviderFault("timeout", 408)],
    ids=repr,
)
def test_what_may_get_better_is_tried_after_a_backoff(error: Exception) -> None:
    assert [0.0, 0.1, 0.4] == [wait_for(error, n, SETTINGS, dice) for n, dice in ((0, low), (0, high), (2, high))]


@pytest.mark.parametrize("cause", ["rate_limit", "overloaded"])
@pytest.mark.parametrize("retry_after", [None, 0.0, 0.001])
def test_a_target_that_asks_for_less_is_never_tried_again_at_once(cause: str, retry_after: float | None) -> None:
    error = ProviderFault(cause, 429, retry_after=retry_after)
    assert SETTINGS.limited_least == wait_for(error, 0, SETTINGS, low)
    assert SETTINGS.limited_least + SETTINGS.base == wait_for(error, 0, SETTINGS, high)


@given(
    cause=st.sampled_from(["rate_limit", "overloaded", "server", "timeout"]),
    asked=st.floats(0, 3600),
    attempt=st.integers(0, 100),
    seed=st.integers(),
)
def test_the_wait_is_what_was_asked_for_or_there_is_none(cause: str, asked: float, attempt: int, seed: int) -> None:
    wait = wait_for(ProviderFault(cause, 503, retry_after=asked), attempt, SETTINGS, Random(seed).random)
    if asked > SETTINGS.wait_most:
        assert wait is None
    else:
        assert wait is not None
        assert asked <= wait <= max(asked, SETTINGS.limited_least) + SETTINGS.most


def test_a_date_to_wait_for_is_seconds_from_now() -> None:
    for seconds, expected in ((7, 7.0), (0, 0.0), (-60, 0.0), (90_000, 3600.0)):
        date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
        assert expected == retry_after_date(Head(retry_after=date), START_US)


def test_the_answers_own_clock_is_believed_however_wrong_ours_is() -> None:
    head = Head(
        retry_after=format_datetime(NOW + timedelta(seconds=8), usegmt=True), date=format_datetime(NOW, usegmt=True)
    )
    for jump_us in (0, 3_600_000_000, -3_600_000_000):
        assert 8.0 == retry_after_date(head, START_US + jump_us)


@pytest.mark.parametrize(
    "date", ["Tue, 14 Nov 2023 22:14:20 GMT", "Tuesday, 14-Nov-23 22:14:20 GMT", "Tue Nov 14 22:14:20 2023"]
)
def test_the_three_forms_of_a_date_are_read(date: str) -> None:
    assert 60.0 == retry_after_date(Head(retry_after=date), START_US)


NO_NUMBERS = (
    "Tue, 14 Nov 99999999999 22:14:20 GMT",
    "14 Nov 2023 22:14:99999999999",
    "14 Nov 2023 22:14:20 +9999999999999",
)
"""Of the form of a date, with numbers that no clock has room for."""


@pytest.mark.parametrize(
    "value", ["", "12", "1.5", "-3", "soon", "Tue, 99 Nov 2023 22:14:20 GMT", "x" * 70_000, *NO_NUMBERS]
)
def test_what_is_no_date_is_none(value: str) -> None:
    assert retry_after_date(Head(retry_after=value), START_US) is None
    assert retry_after_date(Head(), START_US) is None
    good = format_datetime(NOW + timedelta(seconds=5), usegmt=True)
    assert 5.0 == retry_after_date(Head(retry_after=good, date=value), START_US)


DATE_LIKE = st.lists(
    st.sampled_from(
        ["Tue", ",", " ", "14", "Nov", "2023", "22:14:20", ":", "GMT", "-", "+9999", "00", "0", "99999", "²", ".", "am"]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(max_size=45), DATE_LIKE))
def test_no_text_is_too_strange_for_it(value: str) -> None:
    found = retry_after_date(Head(retry_after=value, date=value), START_US)
    assert found in (None, 0.0)
    found = retry_after_date(Head(retry_after=value), START_US)
    assert found is None or 0 <= found <= 3600


def test_a_budget_is_a_share_of_recent_requests_but_never_less_than_its_floor() -> None:
    ambient = FixedAmbient()
    budget = RetryBudget(SETTINGS, ambient)
    assert [True] * 3 + [False] == [budget.spend() for _ in range(4)]
    for _ in range(100):
        budget.note()
    assert 17 == [budget.spend() for _ in range(100)].count(True)
    ambient.advance(SETTINGS.budget_window)
    assert 3 == [budget.spend() for _ in range(100)].count(True)


def test_at_total_failure_retries_are_the_share_and_the_floor() -> None:
    ambient, requests, retries = FixedAmbient(), 2000, 0
    budget = RetryBudget(SETTINGS, ambient)
    for _ in range(requests):
        budget.note()
        retries += sum(budget.spend() for _ in range(3))  # each would be tried three times more
        ambient.advance(SETTINGS.budget_window / requests / 2)
    assert retries <= SETTINGS.budget_share * requests
    assert retries >= SETTINGS.budget_share * requests - 1  # and they are to be had


@given(st.lists(st.tuples(st.floats(0, 6), st.integers(0, 40), st.integers(0, 20)), max_size=40))
def test_retries_never_pass_the_share_and_a_floor_for_each_window(steps: list[tuple[float, int, int]]) -> None:
    ambient = FixedAmbient()
    budget = RetryBudget(SETTINGS, ambient)
    requests = retries = 0
    for seconds, new, wanted in steps:
        ambient.advance(seconds)
        for _ in range(new):
            budget.note()
        requests += new
        retries += sum(budget.spend() for _ in range(wanted))
    windows = 2 + (ambient.monotonic() - 1000.0) // (0.9 * SETTINGS.budget_window)
    assert retries <= SETTINGS.budget_share * requests + SETTINGS.budget_floor * windows
