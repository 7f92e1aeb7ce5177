"""Every provider by every dialect: what the client sees is what the vendor said, and what the vendor got is what was asked."""

import asyncio
import difflib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix.clients import CLIENTS
from matrix.golden import normal, written
from matrix.pack import pack, unpack
from matrix.providers import NAMES
from matrix.report import PAGE, page
from matrix.run import Cell, matrix

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("SWITCHGEAR_GOLDEN") == "write"
WITHOUT_EMBEDDINGS = {"anthropic", "vertex_claude"}
PAIRS = [(provider, dialect) for provider in NAMES for dialect in (*CLIENTS, "embeddings")]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    found = asyncio.run(matrix(tmp_path_factory.mktemp("matrix")))
    if WRITE:
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name, text in pack({cell.name: normal(cell.golden) for cell in found}).items():
            file = GOLDEN / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        PAGE.write_text(page(found))
    return found


@pytest.fixture(scope="module")
def golden(cells: list[Cell]) -> dict[str, str]:
    return {str(file.relative_to(GOLDEN).with_suffix("")): file.read_text() for file in GOLDEN.rglob("*.*")}


@pytest.fixture(scope="module")
def exchanges(golden: dict[str, str]) -> dict[str, list[Any]]:
    return unpack(golden)


@pytest.mark.parametrize(("provider", "dialect"), PAIRS)
def test_nothing_is_lost_silently(cells: list[Cell], provider: str, dialect: str) -> None:
    mine = [cell for cell in cells if (provider, dialect) == (cell.provider, cell.dialect)]
    assert {} == {cell.name: cell.problems for cell in mine if cell.problems}
    assert mine or (dialect == "embeddings" and provider in WITHOUT_EMBEDDINGS)


@pytest.mark.parametrize(("provider", "dialect"), PAIRS)
def test_every_exchange_is_its_golden_one(
    cells: list[Cell], exchanges: dict[str, list[Any]], provider: str, dialect: str
) -> None:
    lines: list[str] = []
    for cell in cells:
        if (provider, dialect) == (cell.provider, cell.dialect):
            lines += _difference(cell.name, exchanges.get(cell.name), normal(cell.golden))
    if lines:
        pytest.fail("\n".join(lines[:60]), pytrace=False)


def _difference(name: str, expected: Any, found: Any) -> Iterator[str]:
    return difflib.unified_diff(
        written(expected).splitlines(), written(found).splitlines(), name, "this run", lineterm=""
    )


def test_there_is_no_golden_exchange_without_a_cell(cells: list[Cell], exchanges: dict[str, list[Any]]) -> None:
    assert {cell.name for cell in cells} == exchanges.keys()


def test_the_golden_files_are_as_they_would_be_written(cells: list[Cell], golden: dict[str, str]) -> None:
    expected = pack({cell.name: normal(cell.golden) for cell in cells})
    assert expected.keys() == golden.keys()
    assert [] == [name for name in expected if expected[name] != golden[name]]


def test_the_page_says_what_the_run_found(cells: list[Cell]) -> None:
    assert PAGE.read_text() == page(cells)
