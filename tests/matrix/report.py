"""The matrix as a page of Markdown: one table a dialect, cases down, providers across."""

from itertools import groupby
from pathlib import Path

from matrix.clients import CLIENTS
from matrix.providers import NAMES
from matrix.run import Cell
from matrix.scenarios import CASES

PAGE = Path(__file__).parents[2] / "contrib" / "docs" / "matrix.md"
INTRO = """\
# Providers by dialects

What survives the way from each way of speaking to the gateway to each provider and back. Every cell is an exchange over real
sockets, streamed and not, between a whole gateway and an upstream that speaks the vendor's wire format as strictly as the
vendor does; `tests/matrix` runs them all and compares each with its golden file in `tests/matrix/golden`. This page is
written by that run, and the run fails while it differs:

```
pytest tests/matrix                               # compare
SWITCHGEAR_GOLDEN=write pytest tests/matrix -n 0  # write the golden files and this page anew
```

| in a cell | means |
|---|---|
| yes | all of it arrived, both ways |
| without `x` | the vendor has nothing for it: `x-switchgear-dropped` names it; with `x-switchgear-strict` it is refused |
| refused: `x` | leaving `x` out would change the meaning: 400 naming it, before anything is sent |
| blocked | the vendor gives no answer at all: 400, code of the vendor |
| 429 … | the client's status for the vendor's failure |
| estimated | the vendor does not count; the gateway estimates |
| - | the dialect has no words for it |

The cases: `options` sends temperature, top_p, stop, a bound on the answer, user, seed, penalties and metadata, as far as the
dialect has them. `tools` calls two at once (GigaChat: one), `tools_results` brings their results back. `reasoning_tools` is
the same with reasoning, whose signatures must come back unchanged. `several` asks for two answers. `usage` has cached tokens.
`cut` breaks the connection in the middle of a stream, `fails_late` sends the vendor's own error there: the client sees what
came before and an error, never an end.
"""


def page(cells: list[Cell]) -> str:
    """Write the page."""
    found = {(cell.dialect, cell.case, cell.provider, cell.stream): cell for cell in cells}
    parts = [INTRO]
    extra = {"messages": ["count"]}
    for dialect in (*CLIENTS, "embeddings"):
        cases = [*CASES, *extra.get(dialect, ())] if dialect in CLIENTS else ["one", "several", "base64"]
        names = [name for name in cases if any((dialect, name, NAMES[0], stream) in found for stream in (False, True))]
        parts.append(f"\n## {dialect}\n\n| | {' | '.join(NAMES)} |\n|---{'|---' * len(NAMES)}|\n")
        for name in names:
            row = [
                _both(*(found.get((dialect, name, provider, stream)) for stream in (False, True))) for provider in NAMES
            ]
            parts.append(f"| {name} | {' | '.join(row)} |\n")
    return "".join(parts)


def _both(whole: Cell | None, streamed: Cell | None) -> str:
    words = [_word(cell) for cell in (whole, streamed) if cell is not None]
    if not words:
        return "-"
    return words[0] if len(set(words)) == 1 else f"{words[0]}; streamed: {words[1]}"


def _word(cell: Cell) -> str:
    status = f"{cell.status}" if cell.status != 200 else ""
    match cell.verdict:
        case "carried":
            return status or cell.detail or "yes"
        case "blocked":
            return "blocked"
        case "refused":
            return f"refused: `{cell.detail}`"
        case _:
            names = ", ".join(f"`{name}`" for name in _short(cell.detail.split(", ")))
            return f"{status} without {names}".strip()


def _short(names: list[str]) -> list[str]:
    """List what is deep in one member once."""
    return [name for name, _ in groupby(sorted(names))]


__all__ = ["PAGE", "page"]
