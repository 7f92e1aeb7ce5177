"""`python -m switchgear.testing.conformance NAME FILE CONFIG TESTS…`: runs the suites on a plugin, writes the report into FILE.

What `switchgear plugins test` shows; CONFIG may be empty. The suites are those that the plugin's own tests inherit, and those
that can be run on what it offers as it is.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, to_builtins

from switchgear.errors import BootError
from switchgear.phrasing import raised
from switchgear.testing.offered import SUITES, Offered

_SOURCE = """from pathlib import Path
from switchgear.testing.offered import Offered

globals().update(Offered({name!r}, {config}).classes()[0])
"""
_OWN = "(its own)"


class SuiteRow(Struct):
    """How the tests of one class did; `suite` is what it inherits."""

    suite: str
    test: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0


class NotRun(Struct):
    """An offer that no suite was run on."""

    kind: str
    offer: str
    why: str


class Report(Struct):
    """What was found. `total` counts what passed or failed."""

    name: str
    distribution: str
    passed: int = 0
    failed: int = 0
    total: int = 0
    suites: list[SuiteRow] = []
    not_run: list[NotRun] = []


class _Recorder:
    """Notes which class each test is of, and how it did."""

    def __init__(self, generated: Path) -> None:
        self._generated = generated
        self._of: dict[str, tuple[str, str]] = {}
        self._outcomes: dict[str, str] = {}
        self.errors: list[str] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out generated tests whose suite the plugin's own tests inherit: those know what may be waived."""
        own = {suite for it in items if it.path != self._generated and (suite := _suite(it)) is not None}
        left_out = [it for it in items if it.path == self._generated and _suite(it) in own]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [it for it in items if it not in left_out]
        for item in items:
            made = getattr(item, "cls", None)
            self._of[item.nodeid] = (_suite(item) or _OWN, made.__name__ if made is not None else item.path.name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed:
            self.errors.append(str(report.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test did: what fails in any phase has failed."""
        if report.failed or report.nodeid not in self._outcomes or (report.when == "call" and not report.passed):
            self._outcomes[report.nodeid] = report.outcome

    def rows(self) -> list[SuiteRow]:
        """Return how each class did."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for node, outcome in self._outcomes.items():
            found.setdefault(self._of.get(node, (_OWN, node)), Counter())[outcome] += 1
        rows = [SuiteRow(*who, it["passed"], it["failed"], it["skipped"]) for who, it in found.items()]
        return rows + [SuiteRow(_OWN, where, failed=1) for where in self.errors]


def _suite(item: pytest.Item) -> str | None:
    """Return the suite that a test's class inherits."""
    for base in (getattr(item, "cls", None) or object).__mro__:
        if base.__module__.startswith("switchgear.testing.") and base.__name__.endswith("Suite"):
            return str(base.__name__)
    return None


def run(name: str, config: Path | None, tests: list[str]) -> Report:
    """Run the suites in this process. Raises `BootError` for a plugin that cannot be used."""
    offered = Offered(name, config)
    installed = offered.installed
    report = Report(name, f"{installed.distribution} {installed.version}")
    try:
        _, left = offered.classes()
    except Exception as error:  # noqa: BLE001 - told to whoever tests the plugin
        report.not_run.append(NotRun("", "", f"looking at what it offers raised {raised(error)}"))
        left = []
    with tempfile.TemporaryDirectory(prefix="switchgear-conformance-") as place:
        generated = Path(place).resolve() / "test_offers.py"
        said = f"Path({str(config)!r})" if config is not None else "None"
        generated.write_text(_SOURCE.format(name=name, config=said), "utf-8")
        recorder = _Recorder(generated)
        flags = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib"]
        project = [file for it in tests for file in (*Path(it).parents,) if (file / "pyproject.toml").is_file()][:1]
        flags += ["-c", str(project[0] / "pyproject.toml")] if project else ["-o", "asyncio_mode=auto"]
        code = pytest.main([*flags, str(generated), *tests], plugins=[recorder])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            recorder.errors.append(f"pytest ended with {int(code)}")
    report.suites = recorder.rows()
    report.passed = sum(row.passed for row in report.suites)
    report.failed = sum(row.failed for row in report.suites)
    report.total = report.passed + report.failed
    inherited = {row.suite for row in report.suites}
    report.not_run += [
        NotRun(hook, offer, f"{why}: inherit `{SUITES[hook][0]}` in its tests")
        for hook, offer, why in left
        if not inherited.intersection(SUITES[hook])
    ]
    return report


def main() -> None:
    """Run as a program."""
    name, file, config, *tests = sys.argv[1:]
    try:
        found: Any = to_builtins(run(name, Path(config) if config else None, tests))
    except BootError as error:
        found = {"errors": list(error.failures)}
    Path(file).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
