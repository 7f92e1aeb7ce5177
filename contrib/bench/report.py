"""From turns to a table."""

import statistics
from collections.abc import Callable, Sequence

import msgspec
from measure import Turn


class Result(msgspec.Struct, kw_only=True):
    """All about one contender. Ratios are the median over rounds of its figure over the ceiling's of the same round."""

    name: str
    turns: list[Turn]
    ratios: dict[str, float] = {}
    spread: dict[str, tuple[float, float]] = {}
    added_p50_ms: float = 0
    added_p99_ms: float = 0
    rss_mb: float = 0
    requests: int = 0
    failed: int = 0
    start_s: float = 0
    same: str = ""
    samples: list[str] = []

    def median(self, figure: str) -> float:
        return float(statistics.median(getattr(turn, figure) for turn in self.turns))


FIGURES = ("requests_s", "streams_s", "cpu_us_request", "cpu_us_stream")


def compare(result: Result, ceiling: Sequence[Turn], direct: Sequence[tuple[int, int]]) -> None:
    """Fill in what is relative: ratios to the ceiling, latency over the upstream's own (p50, p99 in µs by round)."""
    for figure in FIGURES:
        shares = [getattr(own, figure) / getattr(top, figure) for own, top in zip(result.turns, ceiling, strict=False)]
        if shares:
            result.ratios[figure] = statistics.median(shares)
            result.spread[figure] = min(shares), max(shares)
    pairs = list(zip(result.turns, direct, strict=True))
    result.added_p50_ms = statistics.median(turn.p50_us - p50 for turn, (p50, _) in pairs) / 1000
    result.added_p99_ms = statistics.median(turn.p99_us - p99 for turn, (_, p99) in pairs) / 1000


def table(results: Sequence[Result]) -> str:
    """Return the figures as text, one row a contender."""
    columns: list[tuple[str, Callable[[Result], str]]] = [
        ("contender", lambda r: r.name),
        ("req/s", lambda r: _share(r, "requests_s", "{:,.0f}")),
        ("streams/s", lambda r: _share(r, "streams_s", "{:,.0f}")),
        ("CPU us/req", lambda r: _share(r, "cpu_us_request", "{:,.0f}")),
        ("CPU us/stream", lambda r: _share(r, "cpu_us_stream", "{:,.0f}")),
        ("added p50 ms", lambda r: f"{r.added_p50_ms:.2f}"),
        ("added p99 ms", lambda r: f"{r.added_p99_ms:.2f}"),
        ("RSS MB (after)", lambda r: f"{r.rss_mb:.0f} ({r.requests:,})"),
        ("start s", lambda r: f"{r.start_s:.2f}"),
        ("answers", lambda r: f"{r.same}, {r.failed} wrong"),
        ("others", lambda r: f"{r.median('others'):.0%}"),
    ]
    rows = [[title for title, _ in columns], *([cell(result) for _, cell in columns] for result in results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _share(result: Result, figure: str, form: str) -> str:
    if not result.median(figure):
        return "-"
    value = form.format(result.median(figure))
    if figure not in result.ratios:
        return value
    low, high = result.spread[figure]
    return f"{value} = {result.ratios[figure]:.2f} [{low:.2f}-{high:.2f}]"
