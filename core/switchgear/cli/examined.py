"""An installed plugin looked at in a process of its own, where the test kit is: its suites, its tests, what it costs."""

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from switchgear.discovery import Installed
from switchgear.errors import ConfigError, PluginError

_NEEDED = ("pytest", "pytest_asyncio", "hypothesis")
_WITHIN_S = 1800.0


def conformance(installed: Installed, config: Path | None) -> tuple[dict[str, Any], str]:
    """Run the suites; return the report (`switchgear.testing.conformance.Report`) and what pytest wrote."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(f"the suites need {', '.join(missing)}. Run `pip install pytest pytest-asyncio hypothesis`.")
    with tempfile.TemporaryDirectory(prefix="switchgear-report-") as place:
        file = Path(place) / "report.json"
        tests = [str(it) for it in tests_of(installed)]
        output = _run("conformance", installed.name, str(file), str(config or ""), *tests)
        if not file.exists():
            raise PluginError(f"{installed}: the suites could not be run:\n{output[-4000:]}")
        report: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if errors := report.get("errors"):
        raise PluginError(*errors)
    return report, output


def costs(installed: Installed, config: Path | None) -> list[dict[str, Any]]:
    """Return what its policies cost, as `switchgear.testing.costs` measures it; why not where it cannot be measured."""
    if find_spec("pytest") is None:
        raise ConfigError(
            "measuring needs pytest, for the test kit. Run `pip install pytest pytest-asyncio hypothesis`."
        )
    output = _run("costs", installed.name, str(config or ""))
    try:
        found = json.loads(output)
    except ValueError:
        raise PluginError(f"{installed}: its policies could not be measured:\n{output[-4000:]}") from None
    if isinstance(found, dict):
        raise PluginError(*found["errors"])
    return list(found)


def tests_of(installed: Installed) -> list[Path]:
    """Return where the tests of a plugin are: in the checkout its distribution was installed from; nowhere without one."""
    dist = installed.entry_point.dist
    origin = json.loads((dist and dist.read_text("direct_url.json")) or "{}").get("url", "")
    if origin.startswith("file:"):
        tests = Path(unquote(urlsplit(origin).path)) / "tests"
        for path in (tests / "plugins" / installed.name, tests):
            if path.is_dir():
                return [path]
    return []


def _run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"switchgear.testing.{module}", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_WITHIN_S)  # noqa: S603 - our own
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr
