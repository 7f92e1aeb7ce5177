"""The figures of the fault suite: what each fault was measured to do, and the page they are published on.

SWITCHGEAR_FIGURES=write SWITCHGEAR_SOAK=1 pytest tests/faults -n 0    # measures everything and writes the page anew
"""

import os
import platform
from pathlib import Path
from typing import Protocol

from msgspec import Struct

WRITE = os.environ.get("SWITCHGEAR_FIGURES") == "write"
PAGE = Path(__file__).parents[2] / "contrib" / "bench" / "faults.md"
_HEAD = """# What faults do

Each row is a test that breaks something on purpose and measures what clients get; the bar is what the test holds it to, where it
does (times on a shared machine are shown, not asserted). Written by the suite itself, on {machine}:

```
SWITCHGEAR_FIGURES=write SWITCHGEAR_SOAK=1 pytest tests/faults -n 0
```

| fault | figure | measured | bar | test |
|---|---|---|---|---|
"""


class Figure(Struct, frozen=True, order=True):
    """One measurement: `fault` is what was broken, `name` what was measured, `value` and `bar` as they are shown."""

    fault: str
    name: str
    value: str
    bar: str
    test: str


class Record(Protocol):
    """Keeps a figure of the test it is given to."""

    def __call__(self, fault: str, name: str, value: str, bar: str = "") -> None: ...


def write(measured: list[Figure]) -> None:
    """Write the page: what was measured now, and the rows of tests that were not run."""
    ran = {it.test for it in measured}
    known = _read(PAGE.read_text()) if PAGE.exists() else []
    rows = [
        f"| {it.fault} | {it.name} | {it.value} | {it.bar} | `{it.test}` |"
        for it in sorted([*measured, *(it for it in known if it.test not in ran)])
    ]
    machine = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    PAGE.write_text(_HEAD.format(machine=machine) + "\n".join(rows) + "\n")


def _read(page: str) -> list[Figure]:
    cells = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in page.splitlines() if line.endswith("` |")
    ]
    return [Figure(*row) for row in cells]
