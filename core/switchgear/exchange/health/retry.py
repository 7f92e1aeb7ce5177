"""Whether, when and how often the same target is tried again."""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from switchgear.ambient import Ambient
from switchgear.contracts.provider import Head, ProviderFault
from switchgear.exchange.faults import cause_of
from switchgear.exchange.health.settings import RetrySettings
from switchgear.exchange.health.window import Window

LIMITED = frozenset({"rate_limit", "overloaded"})
"""Causes by which a target asks for less."""
_AGAIN = LIMITED | {"connect", "connection", "server", "timeout"}
"""Causes after which the same target may do better. A silent one is not among them: it was waited for long enough."""
_RETRY = "retry"
_MOST_DOUBLINGS = 30
_LONGEST_S = 3600.0
_LONGEST_DATE = 40


class RetryBudget:
    """Bounds the retries at one target to a share of its recent requests, so that an outage is not multiplied.

    In any `budget_window`: retries ≤ max(`budget_floor`, `budget_share` of the requests).
    """

    __slots__ = ("_settings", "_window", "note")

    def __init__(self, settings: RetrySettings, ambient: Ambient) -> None:
        self._settings = settings
        self._window = Window(settings.budget_window, ambient.monotonic)
        self.note: Callable[[], None] = self._window.note
        """Count a request: its first try at this target, not the retries."""

    def spend(self) -> bool:
        """Take one retry; False if there is none left now."""
        requests, marks = self._window.sums()
        if marks[_RETRY] + 1 > max(self._settings.budget_floor, self._settings.budget_share * requests):
            return False
        self._window.mark(_RETRY)
        return True


def backoff(attempt: int, settings: RetrySettings, random: Callable[[], float]) -> float:
    """Return seconds: a random part of what doubles with each `attempt`, which counts from 0 (full jitter)."""
    return random() * min(settings.most, settings.base * 2.0 ** min(attempt, _MOST_DOUBLINGS))


def wait_for(error: Exception, attempt: int, settings: RetrySettings, random: Callable[[], float]) -> float | None:
    """Return seconds until the same target may be tried again; None if that would not help or would take too long.

    `attempt` counts from 0 the tries that failed before. A target that stayed silent, even when called, is not tried again,
    nor one that understood and refused. What the target asks for (`retry_after`) is kept to, with a little more by chance.
    """
    cause = cause_of(error)
    if cause not in _AGAIN or getattr(error, "final", False):
        return None
    asked = error.retry_after if isinstance(error, ProviderFault) else None
    least = settings.limited_least if cause in LIMITED else 0.0
    if asked is not None:
        if asked > settings.wait_most:
            return None
        least = max(least, asked)
    return least + backoff(attempt, settings, random)


def retry_after_date(head: Head, now_us: int) -> float | None:
    """Read a `retry-after` that is a date (RFC 9110, 10.2.3) as seconds from now, from 0 to an hour; None if it is not one.

    The answer's own `date` is now, if it has one, so that it does not matter whose clock is wrong; else `now_us` is.
    """
    until = _seconds(head.header("retry-after"))
    if until is None:
        return None
    now = _seconds(head.header("date"))
    return min(max(until - (now_us / 1e6 if now is None else now), 0.0), _LONGEST_S)


def _seconds(date: str | None) -> float | None:
    if date is None or len(date) > _LONGEST_DATE:
        return None
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # the latter for a year, or a zone, of eleven digits
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
