"""Every provider by every dialect: what the client sees is what the vendor said, and what the vendor got is what was asked."""

import asyncio
import difflib
import os
import shutil

import pytest

from matrix.clients import CLIENTS
from matrix.golden import GOLDEN, normal
from matrix.providers import NAMES
from matrix.report import PAGE, page
from matrix.run import Cell, matrix

WRITE = os.environ.get("SWITCHGEAR_GOLDEN") == "write"
WITHOUT_EMBEDDINGS = {"anthropic", "vertex_claude"}
PAIRS = [(provider, dialect) for provider in NAMES for dialect in (*CLIENTS, "embeddings")]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    found = asyncio.run(matrix(tmp_path_factory.mktemp("matrix")))
    if WRITE:
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for cell in found:
            file = GOLDEN / f"{cell.name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(normal(cell.golden))
        PAGE.write_text(page(found))
    return found


@pytest.mark.parametrize(("provider", "dialect"), PAIRS)
def test_nothing_is_lost_silently(cells: list[Cell], provider: str, dialect: str) -> None:
    mine = [cell for cell in cells if (provider, dialect) == (cell.provider, cell.dialect)]
    assert {} == {cell.name: cell.problems for cell in mine if cell.problems}
    assert mine or (dialect == "embeddings" and provider in WITHOUT_EMBEDDINGS)


@pytest.mark.parametrize(("provider", "dialect"), PAIRS)
def test_every_exchange_is_its_golden_one(cells: list[Cell], provider: str, dialect: str) -> None:
    for cell in cells:
        if (provider, dialect) == (cell.provider, cell.dialect):
            file = GOLDEN / f"{cell.name}.json"
            expected = file.read_text() if file.exists() else ""
            found = normal(cell.golden)
            if expected != found:
                lines = difflib.unified_diff(
                    expected.splitlines(), found.splitlines(), cell.name, "this run", lineterm=""
                )
                pytest.fail("\n".join(list(lines)[:60]), pytrace=False)


def test_there_is_no_golden_file_without_a_cell(cells: list[Cell]) -> None:
    assert {cell.name for cell in cells} == {str(file.relative_to(GOLDEN))[:-5] for file in GOLDEN.rglob("*.json")}


def test_the_page_says_what_the_run_found(cells: list[Cell]) -> None:
    assert PAGE.read_text() == page(cells)
