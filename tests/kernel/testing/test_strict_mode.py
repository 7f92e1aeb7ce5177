"""Suites are inherited by projects whose pytest-asyncio is in its strict mode, which is the default."""

import sys
from pathlib import Path
from subprocess import run

import pytest

TESTS = Path(__file__).parents[2]
OPTIONS = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--noconftest", "--import-mode=importlib", "-W", "error")
SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
pythonpath = {tests}
python_files = *.py
"""
FIXTURES = """
import pytest

@pytest.mark.asyncio
async def test_a_gateway_is_a_fixture(gateway, upstream, clock):
    async with upstream, gateway(ambient=clock) as run:
        assert "hi" == (await run.chat("hi", model="echo")).json()["choices"][0]["message"]["content"]
"""


@pytest.mark.slow
def test_every_suite_passes_for_what_is_right_in_the_strict_mode(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(SETTINGS.format(tests=TESTS))
    (tmp_path / "fixtures.py").write_text(FIXTURES)
    mutants = Path(__file__).parent / "mutants"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(tmp_path / "pytest.ini"),
        *OPTIONS,
        str(mutants),
        str(tmp_path / "fixtures.py"),
    ]
    said = run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == said.returncode, said.stdout[-5000:] + said.stderr
    counts = said.stdout.splitlines()[-1]
    assert "passed" in counts, counts
    assert "skipped" not in counts, counts
