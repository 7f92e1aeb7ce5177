"""Times as the admin API writes them."""

from datetime import UTC, datetime


def timestamp(at_us: int) -> str:
    """Write microseconds since 1970 as RFC 3339 in UTC: `2026-11-30T16:00:00.000000Z`."""
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
