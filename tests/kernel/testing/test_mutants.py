"""The suites must fail for what is wrong, or passing them says nothing: each mutant is wrong in one thing.

A module of `mutants` has a suite over what is right, `TestRight…`, and in `MUTANTS` what is wrong, under the attribute of that
suite which it takes the place of.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest

from support.mutants import caught, unshrunk

FILES = sorted((Path(__file__).parent / "mutants").glob("[a-z]*.py"))
MODULES = [importlib.import_module(f"kernel.testing.mutants.{file.stem}") for file in FILES]
CASES = [
    pytest.param(suite, attribute, mutant, id=f"{module.__name__.rpartition('.')[2]}-{mutant.__name__}")
    for module in MODULES
    for suite, attribute, mutants in module.MUTANTS
    for mutant in mutants
]

__all__ = ["unshrunk"]


@pytest.mark.usefixtures("unshrunk")
@pytest.mark.parametrize(("suite", "attribute", "mutant"), CASES)
def test_it_fails_for(suite: type, attribute: str, mutant: Any, tmp_path: Path) -> None:
    assert caught(type(suite.__name__, (suite,), {attribute: mutant}), tmp_path), mutant.__doc__


@pytest.mark.parametrize(
    "suite", [suite for module in MODULES for suite, _, _ in module.MUTANTS], ids=lambda it: it.__module__
)
def test_it_passes_for_what_is_right(suite: type, tmp_path: Path) -> None:
    assert caught(suite, tmp_path) is None
