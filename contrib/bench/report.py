"""From turns to a table: no share of a ceiling that moved."""

import statistics
from collections.abc import Sequence

import msgspec
from figures import FIGURES, Figure

Turn = dict[str, float]
CEILING = "ceiling"
MOST_MOVED = 0.1
"""How far apart the ceiling's rounds may be, as a part of their median, before it is no yardstick."""


class Share(msgspec.Struct, frozen=True):
    """A figure as a share of the same figure of the ceiling, round by round: the median, the lowest, the highest.

    More is better: of a rate it is own over ceiling's, of a cost ceiling's over own. `moved` is how far the ceiling's own rounds
    were apart; None: there was one round, which shows nothing.
    """

    median: float
    low: float
    high: float
    moved: float | None

    @property
    def is_steady(self) -> bool:
        return self.moved is not None and self.moved <= MOST_MOVED


class Result(msgspec.Struct, kw_only=True):
    """All about one contender."""

    name: str
    turns: list[Turn] = []
    shares: dict[str, Share] = {}
    added_ms: dict[str, float] = {}
    rss_mb: float = 0
    rss_large_mb: float = 0
    rss_later_mb: float = 0
    requests: int = 0
    failed: int = 0
    start_s: float = 0
    same: str = ""
    samples: list[str] = []

    def values(self, figure: str) -> list[float]:
        return [turn[figure] for turn in self.turns if figure in turn]

    def median(self, figure: str) -> float:
        return statistics.median(self.values(figure) or [0.0])


def moved(values: Sequence[float]) -> float | None:
    """Return how far values are apart, as a part of their median; None if there are too few to say."""
    if len(values) < 2 or not statistics.median(values):
        return None
    return (max(values) - min(values)) / statistics.median(values)


def share(figure: Figure, own: Sequence[Turn], ceiling: Sequence[Turn]) -> Share | None:
    """Compare round by round; None where one of the two has nothing to compare."""
    name = figure.name
    pairs = [
        (mine[name], top[name]) for mine, top in zip(own, ceiling, strict=False) if mine.get(name) and top.get(name)
    ]
    if not pairs or figure.sort not in ("rate", "cost"):
        return None
    parts = [mine / top if figure.sort == "rate" else top / mine for mine, top in pairs]
    return Share(statistics.median(parts), min(parts), max(parts), moved([top for _, top in pairs]))


def compare(result: Result, ceiling: Sequence[Turn], direct: Sequence[Turn]) -> None:
    """Fill in what is relative: shares of the ceiling, and latency over the upstream's own by round."""
    for figure in FIGURES:
        if figure.sort == "added":
            pairs = [
                (mine[figure.name], own[figure.name])
                for mine, own in zip(result.turns, direct, strict=False)
                if figure.name in mine and figure.name in own
            ]
            if pairs:
                result.added_ms[figure.name] = statistics.median(mine - own for mine, own in pairs) / 1000
        elif (found := share(figure, result.turns, ceiling)) is not None:
            result.shares[figure.name] = found


def unsteady(results: Sequence[Result]) -> list[str]:
    """Return a line for each figure of which the ceiling gives no yardstick."""
    lines = []
    for figure in FIGURES:
        shares = [result.shares[figure.name] for result in results if figure.name in result.shares]
        if shares and not all(share.is_steady for share in shares):
            apart = [share.moved for share in shares if share.moved is not None]
            why = f"moved by {max(apart):.0%} between rounds" if apart else "was measured in one round only"
            lines.append(f"no share in {figure.title}: the ceiling itself {why}")
    return lines


def table(results: Sequence[Result], *, allow_unsteady: bool) -> str:
    """Return the figures as text, a row a figure and a column a contender."""
    rows = [["", *(result.name for result in results)]]
    measured = [figure for figure in FIGURES if any(result.values(figure.name) for result in results)]
    rows += [[f.title, *(_cell(r, f, allow_unsteady=allow_unsteady) for r in results)] for f in measured]
    rows.append(["RSS MB (after)", *(f"{r.rss_mb:.0f} ({r.requests:,})" for r in results)])
    if any(result.rss_large_mb for result in results):
        rows.append(["RSS MB after 300 KB prompts", *(f"{r.rss_large_mb:.0f}" for r in results)])
        rows.append(["RSS MB a minute later", *(f"{r.rss_later_mb:.0f}" for r in results)])
    rows.append(["start s", *(f"{r.start_s:.2f}" for r in results)])
    rows.append(["answers", *(f"{r.same}, {r.failed} wrong" for r in results)])
    rows.append(["others", *(f"{r.median('others'):.0%}" for r in results)])
    return _aligned(rows)


def _cell(result: Result, figure: Figure, *, allow_unsteady: bool) -> str:
    if not result.values(figure.name):
        return "-"
    if figure.sort == "added":
        return figure.form.format(result.added_ms[figure.name]) if figure.name in result.added_ms else "-"
    value = figure.form.format(result.median(figure.name))
    found = result.shares.get(figure.name)
    if found is None:
        return value
    if result.name == CEILING:
        return value if found.moved is None else f"{value} (moved {found.moved:.0%})"
    return f"{value} = {_words(found, allow_unsteady=allow_unsteady)}"


def _words(found: Share, *, allow_unsteady: bool) -> str:
    if found.is_steady:
        return f"{found.median:.2f} [{found.low:.2f}-{found.high:.2f}]"
    return f"{found.median:.2f}? [{found.low:.2f}-{found.high:.2f}]" if allow_unsteady else "?"


def against(base: Result, other: Result) -> str:
    """Return how another tree's gateway compares with this one's, round by round: below 1 it costs less, or does less."""
    rows = []
    for figure in FIGURES:
        found = share(figure, other.turns, base.turns)
        if found is not None:
            parts = (found.median, found.low, found.high)
            if figure.sort == "cost":  # cost over cost reads as one expects: 0.9 is a tenth less
                parts = (1 / found.median, 1 / found.high, 1 / found.low)
            rows.append([f"  {figure.title}", "{:.3f} [{:.3f}-{:.3f}]".format(*parts)])
    return f"{other.name} over {base.name}, round by round:\n{_aligned(rows)}" if rows else ""


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )
